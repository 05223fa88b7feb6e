"""Binary files: BinaryFile, which open() gives for "rb" and its like, and RawFile for
buffering=0.
"""

from __future__ import annotations

import io
import operator
import os
from collections.abc import Container
from typing import TYPE_CHECKING, Any

from aio_posix.asyncio import arguments
from aio_posix.asyncio.buffer import Buffer
from aio_posix.asyncio.file import File
from aio_posix.asyncio.order import Order

if TYPE_CHECKING:
    from aio_posix._types import ReadableBuffer, WritableBuffer


class BinaryFile(File[bytes]):
    """io.BufferedReader, BufferedWriter and BufferedRandom, awaited; plus pread, pwrite, readinto
    at an offset.
    """

    _whences: Container[int] = (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE)

    def __init__(self, builtin: Any, buffer: Buffer) -> None:
        super().__init__(builtin, buffer, buffer.window)

    async def read(self, size: int | None = -1) -> bytes:
        """``size`` bytes, fewer only at the end of the file; negative or None: all up to the
        end.
        """
        size = arguments.size(size)
        if size == -1:
            return await self.readall()
        if 0 < size <= len(self._window) and self._order.free():
            return self._window.take(size)
        async with self._reading():
            return await self._buffer.read(size)

    async def readall(self) -> bytes:
        """All up to the end of the file."""
        async with self._reading():
            return await self._readall()

    async def read1(self, size: int = -1) -> bytes:
        """What was read ahead, or else what one read brings; at most ``size`` bytes."""
        size = arguments.fitting(operator.index(size))
        async with self._reading():
            return await self._buffer.read1(self._buffer.size if size < 0 else size)

    async def peek(self, size: int = 0) -> bytes:
        """What was read ahead, at least a byte unless the file ends here; the position stays."""
        operator.index(size)
        async with self._reading():
            if not len(self._window):
                await self._buffer.fill()
            return self._window.peek()

    async def readinto(self, buffer: WritableBuffer, offset: int | None = None) -> int:
        """Fills ``buffer`` as far as the file goes, from the position or from ``offset``, and
        returns how far.

        From an offset the position stays and other operations go on meanwhile; raises as pread
        does.
        """
        view = arguments.writable(buffer, "readinto")
        if offset is not None:
            await self._go_to(offset, self.raw.readable)
            return await self._stream.preadinto(view, offset)
        async with self._reading():
            return await self._buffer.readinto(view)

    async def readinto1(self, buffer: WritableBuffer) -> int:
        """As read1, into memory of the caller's."""
        view = arguments.writable(buffer, "readinto1")
        data = await self.read1(len(view))
        view[: len(data)] = data
        return len(data)

    async def write(self, data: ReadableBuffer) -> int:
        """Writes all of ``data`` (bytes-like), at once or when more has come together; returns its
        size in bytes.
        """
        if type(data) is bytes and self._write_order.free() and self._buffer.put(data):
            return len(data)
        async with self._writing():
            return await self._write(data)

    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves the position; the new one."""
        offset, whence = arguments.position(offset), operator.index(whence)
        if whence not in self._whences:
            raise ValueError(f"whence value {whence} unsupported")
        self._check(self.raw.seekable, "File or stream is not seekable.")
        async with self._turn():
            return await self._buffer.seek(offset, whence)

    async def _readall(self) -> bytes:
        return await self._buffer.readall()

    async def _readline(self, limit: int) -> bytes:
        return await self._buffer.readline(limit)

    async def _write(self, data: Any) -> int:
        if type(data) is not bytes:
            data = arguments.readable(data)  # not released by us: a cancelled write goes on
        await self._buffer.write(data)
        return len(data)

    def _tell(self) -> int:
        return self._buffer.tell()


class RawFile(BinaryFile):
    """io.FileIO, awaited: one read or write of the file for each call, nothing kept back between
    two of them.
    """

    _whences = range(-(1 << 31), 1 << 31)  # the system says which it knows

    def __init__(self, builtin: Any, buffer: Buffer) -> None:
        super().__init__(builtin, buffer)
        if not self._stream.seekable:
            self._write_order = (
                Order()
            )  # what comes out of a socket has nothing to do with what goes in

    async def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes: short at the end of the file, and from a pipe; negative or None:
        all up to the end.
        """
        size = arguments.size(size)
        if size < 0:
            return await self.readall()
        async with self._reading():
            return await self._stream.read(size)

    read1 = read

    async def readinto(self, buffer: WritableBuffer, offset: int | None = None) -> int:
        """One read into ``buffer``; or as much as the file has at ``offset``."""
        if offset is not None:
            return await super().readinto(buffer, offset)
        view = arguments.writable(buffer, "readinto")
        async with self._reading():
            return await self._stream.readinto(view)

    async def peek(self, size: int = 0) -> bytes:
        raise io.UnsupportedOperation("peek")

    async def _readline(self, limit: int) -> bytes:
        try:
            return await self._buffer.readline(limit)
        finally:
            self._buffer.unread()
