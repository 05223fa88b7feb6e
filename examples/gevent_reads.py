"""Reads of a file in gevent, with a greenlet for each and one queue for all of them."""

import os

import gevent
from gevent.event import AsyncResult
from gevent.socket import wait_read

from aio_posix import CompletionQueue, aio_read, aio_return, aiocb


def deliver(queue: CompletionQueue) -> None:
    while True:
        wait_read(queue.fileno())
        for request, result in queue.get(0):
            try:
                result.set(bytes(request.aio_buf[: aio_return(request)]))
            except OSError as error:
                result.set_exception(error)


def pread(queue: CompletionQueue, fd: int, nbytes: int, offset: int) -> bytes:
    request = aiocb(fd, bytearray(nbytes), offset)
    result: AsyncResult[bytes] = AsyncResult()
    request.aio_sigevent = queue.sigevent((request, result))
    aio_read(request)
    return result.get() or b""


file = os.memfd_create("file")
os.write(file, b"the quick brown fox")
with CompletionQueue() as queue:
    deliverer = gevent.spawn(deliver, queue)
    readers = [gevent.spawn(pread, queue, file, 5, offset) for offset in (4, 10, 16)]
    print([reader.get() for reader in readers])
    deliverer.kill()

# Output:
# [b'quick', b'brown', b'fox']
