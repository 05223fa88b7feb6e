"""BinaryFile, which open() gives for "rb" and its like, and RawFile for buffering=0."""

from __future__ import annotations

import io
import operator
import os
from collections.abc import Callable, Container
from typing import TYPE_CHECKING

from aio_posix._calls import declined
from aio_posix.asyncio import arguments
from aio_posix.asyncio.files.file import File
from aio_posix.asyncio.files.sharing import Shared
from aio_posix.asyncio.files.window import read_line
from aio_posix.asyncio.native import OTHERWISE

if TYPE_CHECKING:
    from aio_posix._types import ReadableBuffer, WritableBuffer

START = io.SEEK_SET  # one object, as every small int is, so it is known without a comparison


class BinaryFile(File[bytes]):
    """io.BufferedReader, BufferedWriter and BufferedRandom, awaited.

    Beside their methods there are pread(), pwrite() and readinto() at an offset, and fsync().
    """

    _offset: Callable[[object], int] = staticmethod(arguments.position)
    _whences: Container[int] = (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE)

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared, shared.buffer)

    async def read(self, size: int | None = -1) -> bytes:
        """Reads ``size`` bytes. Fewer come at the end of the file only.

        A negative size, or None, stands for everything up to the end.
        """
        if type(size) is not int:
            size = arguments.size(size)
        if not self._order.busy:
            data = self._opened.read_now(size)
            if data is None and size > 0:
                data = self._buffer.read_now(size)
            if data is not None:
                return data
        size, window = arguments.fitting(size), self._window
        with await self._shared.reading():
            if size == -1:
                return await self._buffer.readall()
            if size < 0:
                raise ValueError("read length must be non-negative or -1")
            while (have := len(window)) < size and await self._buffer.fill(size - have):
                pass
            return window.take(size)

    async def readall(self) -> bytes:
        """All up to the end of the file."""
        with await self._shared.reading():
            return await self._buffer.readall()

    async def read1(self, size: int = -1) -> bytes:
        """At most ``size`` bytes of what was read ahead, or else what one read brings."""
        size = arguments.fitting(operator.index(size))
        size = self._buffer.size if size < 0 else size
        with await self._shared.reading():
            if size and not len(self._window):
                await self._buffer.fill(size, exactly=True)
            return self._window.take(size)

    async def peek(self, size: int = 0) -> bytes:
        """What was read ahead, at least a byte unless the file ends here. The position stays."""
        arguments.fitting(operator.index(size))
        with await self._shared.reading():
            if not len(self._window):
                await self._buffer.fill()
            return self._window.peek()

    async def readinto(self, buffer: WritableBuffer, offset: int | None = None) -> int:
        """Fills ``buffer`` as far as the file goes, and returns how far.

        Without ``offset`` it begins at the position, and moves it. With one the position stays, and
        other operations go on meanwhile. Raises what pread() raises.
        """
        if offset is None:
            if not self._order.busy:
                count = self._opened.readinto_now(buffer)
                if count is not None:
                    return count
            view = arguments.writable(buffer, "readinto")
            with await self._shared.reading():
                return await self._buffer.readinto(view)
        count = self._opened.readinto_now(buffer, offset)
        if count is not None:
            return count
        if declined() != OTHERWISE:
            return await self._opened.requests.preadinto_missed(buffer, offset)
        view = arguments.writable(buffer, "readinto")
        arguments.not_negative("offset", arguments.position(offset))
        if self._shared.behind_position(writing=False):
            await self._shared.settle_position()
        return await self._opened.requests.preadinto(view, offset)

    async def readinto1(self, buffer: WritableBuffer) -> int:
        """As read1(), into memory of the caller's."""
        view = arguments.writable(buffer, "readinto1")
        data = await self.read1(len(view))
        view[: len(data)] = data
        return len(data)

    async def write(self, data: ReadableBuffer) -> int:
        """Writes all of ``data`` (bytes-like), and returns its size in bytes.

        Small data is written when more has come together. A large write of bytes to a regular file
        may still be going on when this returns. Whatever depends on it, flush() and close() among
        it, waits for it and raises its error.
        """
        if type(data) is bytes and not self._shared.write_order.busy and self._buffer.put(data):
            return len(data)
        with await self._shared.writing():
            return await self._buffer.write(data)

    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves the position, and returns the new one."""
        now = whence is START and not self._order.busy
        if now and self._opened.seek_now(offset):
            return offset
        offset, whence = self._offset(offset), operator.index(whence)
        if now and self._buffer.seek_now(offset):
            return offset
        if whence not in self._whences:
            raise ValueError(f"whence value {whence} unsupported")
        self._shared.check()
        if not self._opened.seekable:
            raise io.UnsupportedOperation("File or stream is not seekable.")
        with await self._shared.turn():
            return await self._buffer.seek(offset, whence)


class RawFile(BinaryFile):
    """io.FileIO, awaited. Each call is one read or write of the file, and nothing is kept back
    between two of them.
    """

    _offset = staticmethod(arguments.place)
    _whences = range(-(1 << 31), 1 << 31)  # the system says which it knows

    async def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes: short at the end of the file, and from a pipe; negative or None:
        all up to the end.
        """
        size = arguments.size(size)
        if size < 0:
            return await self.readall()
        with await self._shared.reading():
            if size and not len(self._window):
                await self._buffer.fill(size, exactly=True)
            return self._window.take(size)

    read1 = read

    async def readline(self, limit: int | None = -1) -> bytes:
        """The next line with its end, or its first ``limit`` bytes."""
        limit = arguments.size(limit)
        with await self._shared.reading():
            try:
                return await read_line(self._buffer, limit)
            finally:
                self._buffer.unread()

    async def peek(self, size: int = 0) -> bytes:
        raise io.UnsupportedOperation("peek")
