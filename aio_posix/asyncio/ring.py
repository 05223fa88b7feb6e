"""One loop's requests: submitted to glibc, awaited through a CompletionQueue that the loop watches."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from aio_posix.aio import aio_fsync, aio_read, aio_return, aio_write
from aio_posix.aiocb import aiocb
from aio_posix.queue import CompletionQueue

_rings: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Ring] = weakref.WeakKeyDictionary()


class Ring:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = CompletionQueue()
        loop.add_reader(self._queue.fileno(), self._ready)

    def read(self, fd: Any, buffer: Any, offset: int, nbytes: int | None = None) -> asyncio.Future[int]:
        cb, future = self._new(fd, buffer, offset, nbytes)
        aio_read(cb)
        return future

    def write(self, fd: Any, buffer: Any, offset: int, nbytes: int | None = None) -> asyncio.Future[int]:
        cb, future = self._new(fd, buffer, offset, nbytes)
        aio_write(cb)
        return future

    def fsync(self, fd: Any, op: int) -> asyncio.Future[int]:
        cb, future = self._new(fd, None, 0, None)
        aio_fsync(op, cb)
        return future

    def _new(self, fd: Any, buffer: Any, offset: int, nbytes: int | None) -> tuple[aiocb, asyncio.Future[int]]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        cb = aiocb(fd, buffer, offset, nbytes)
        cb.aio_sigevent = self._queue.sigevent((cb, future))
        return cb, future

    def _ready(self) -> None:
        for cb, future in self._queue.get(0):
            try:
                result = aio_return(cb)
            except OSError as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)


def ring() -> Ring:
    loop = asyncio.get_running_loop()
    found = _rings.get(loop)
    if found is None:
        found = _rings[loop] = Ring(loop)
    return found
