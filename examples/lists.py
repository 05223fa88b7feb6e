"""lio_listio submits many requests in one call, to be waited for or announced together."""

import os
import threading

from aio_posix import (
    LIO_NOWAIT,
    LIO_READ,
    LIO_WAIT,
    LIO_WRITE,
    SIGEV_THREAD,
    aio_return,
    aiocb,
    lio_listio,
    sigevent,
)

file = os.memfd_create("file")
writes = [aiocb(file, bytes([65 + i]) * 4, 4 * i, aio_lio_opcode=LIO_WRITE) for i in range(5)]
lio_listio(LIO_WAIT, [*writes, None])  # None is skipped, as NULL is in C
print([aio_return(cb) for cb in writes])

whole = threading.Event()
reads = [aiocb(file, bytearray(2), 4 * i, aio_lio_opcode=LIO_READ) for i in range(5)]
lio_listio(LIO_NOWAIT, reads, sigevent(SIGEV_THREAD, sigev_notify_function=lambda cbs: whole.set()))
whole.wait()  # the list's own notification, once after the last of them
print(b"".join(bytes(cb.aio_buf) for cb in reads), sum(aio_return(cb) for cb in reads))

# Output:
# [4, 4, 4, 4, 4]
# b'AABBCCDDEE' 10
