"""Writes, and a sync behind them, which waits for what its descriptor was given before.

The order holds for one descriptor and equal priorities. A sync may overtake a write that has
aio_reqprio > 0.
"""

import os
import tempfile

from aio_posix import aio_error, aio_fsync, aio_return, aio_suspend, aio_write, aiocb

with tempfile.TemporaryFile(buffering=0) as file:
    records = [aiocb(file, b"record %d\n" % i, 9 * i) for i in range(3)]
    for record in records:
        aio_write(record)
    barrier = aiocb(file)
    aio_fsync(os.O_DSYNC, barrier)

    aio_suspend([barrier])
    print(
        aio_return(barrier),
        [aio_error(record) for record in records],
        [aio_return(record) for record in records],
    )
    print(file.seek(0, os.SEEK_END))

# Output:
# 0 [0, 0, 0] [9, 9, 9]
# 27
