"""aio_cancel cancels a request that waits in its queue, and not one that runs.

shutdown(2) ends a blocked read of a socket, and close(2) does not.
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
    # Requests of one descriptor run one at a time. Until then a thread of glibc's has the first.
    time.sleep(0.1)
    print(aio_cancel(here, running).name, aio_cancel(here, queued).name)
    print(errno.errorcode[aio_error(queued)], errno.errorcode[aio_error(running)])

    here.shutdown(socket.SHUT_RD)
    aio_suspend([running])
    print(aio_return(running), aio_cancel(here, running).name)

# Output:
# AIO_NOTCANCELED AIO_CANCELED
# ECANCELED EINPROGRESS
# 0 AIO_ALLDONE
