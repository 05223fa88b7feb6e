"""What aio_cancel can do: what waits in the queue can be cancelled, what runs cannot; shutdown(2)
ends that.
"""

import errno
import socket
import time

from aio_posix import aio_cancel, aio_error, aio_read, aio_return, aio_suspend, aiocb

here, there = socket.socketpair()
with here, there:
    running, queued = aiocb(here, bytearray(8)), aiocb(here, bytearray(8))
    for cb in (running, queued):
        aio_read(cb)
    time.sleep(
        0.1
    )  # until a thread of glibc's has taken the first; requests of one descriptor run one at a time

    print(aio_cancel(here, running).name, aio_cancel(here, queued).name)
    print(errno.errorcode[aio_error(queued)], errno.errorcode[aio_error(running)])

    here.shutdown(socket.SHUT_RD)  # close(2) would not wake it
    aio_suspend([running])
    print(aio_return(running), aio_cancel(here, running).name)

# Output:
# AIO_NOTCANCELED AIO_CANCELED
# ECANCELED EINPROGRESS
# 0 AIO_ALLDONE
