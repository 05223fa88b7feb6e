"""A duplicate of a descriptor, owned: no request on it can ever reach another file."""

from __future__ import annotations

import fcntl
import os
from typing import Any

from aio_posix.asyncio.ring import ring


class _Owned:
    """A descriptor that is closed when neither its Descriptor nor any request in flight needs it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)

    def fileno(self) -> int:
        return self.fd

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)


class Descriptor:
    def __init__(self, fd: int) -> None:
        self._lane: _Owned | None = _Owned(fd)

    @property
    def closed(self) -> bool:
        return self._lane is None

    def _open(self) -> _Owned:
        if self._lane is None:
            raise ValueError("I/O operation on closed file")
        return self._lane

    def fileno(self) -> int:
        return self._open().fd

    async def pread(self, nbytes: int, offset: int) -> bytes:
        data = bytearray(nbytes)
        got = 0
        with memoryview(data) as view:
            while got < nbytes:
                n = await self.preadinto(view[got:], offset + got)
                if n == 0:
                    break
                got += n
        return bytes(data[:got])

    async def preadinto(self, buffer: Any, offset: int) -> int:
        return await ring().read(self._open(), buffer, offset)

    async def pwrite(self, data: Any, offset: int) -> int:
        lane, put = self._open(), 0
        with memoryview(data).cast("B") as view:
            while True:
                put += await ring().write(lane, view[put:], offset + put)
                if put >= len(view):
                    return put

    async def fsync(self) -> None:
        await ring().fsync(self._open(), os.O_SYNC)

    async def fdatasync(self) -> None:
        await ring().fsync(self._open(), os.O_DSYNC)

    def close(self) -> None:
        self._lane = None
