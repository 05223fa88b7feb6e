"""TextFile is io.TextIOWrapper, awaited, on the same Buffer that a BinaryFile has."""

from __future__ import annotations

import io
import operator
import os
from typing import Any

from aio_posix.asyncio import arguments
from aio_posix.asyncio.files.binary import BinaryFile
from aio_posix.asyncio.files.characters import Characters, How
from aio_posix.asyncio.files.file import File
from aio_posix.asyncio.files.sharing import Shared


class TextFile(File[str]):
    """io.TextIOWrapper, awaited.

    Beside its methods there are pread() and pwrite(), of bytes at an offset in bytes, and fsync().
    """

    def __init__(self, shared: Shared, text: Characters, how: How, mode: str) -> None:
        super().__init__(shared, text)
        self._text = text
        self._how = how
        self._mode = mode
        self._binary: BinaryFile | None = None

    @property
    def mode(self) -> str:
        return self._mode

    @property
    def buffer(self) -> BinaryFile:
        """The binary file below, awaited too.

        Both share one buffer and the order of their calls. Text that was read ahead is not read
        again.
        """
        self._shared.check()
        if self._binary is None:
            self._binary = BinaryFile(self._shared)
        return self._binary

    @property
    def encoding(self) -> str:
        """The name of the encoding."""
        return self._how.encoding

    @property
    def errors(self) -> str:
        """What happens to what cannot be decoded or encoded."""
        return self._how.errors

    @property
    def newlines(self) -> Any:
        """The line ends met so far. None if there was none yet, and a tuple if there were several
        kinds.
        """
        return self._text.decoded.newlines

    @property
    def line_buffering(self) -> bool:
        """Whether a line end is flushed at once."""
        return self._text.line_buffering

    def detach(self) -> Any:
        """What the built-in's detach() returns, at the position reached: a binary file with a
        buffer.

        This file is of no use afterwards. The call blocks for what waits to be written. Raises
        RuntimeError while an operation is going on.
        """
        raw, size = super().detach(), self._buffer.size
        if raw.readable() and raw.writable():
            return io.BufferedRandom(raw, size)
        return io.BufferedWriter(raw, size) if raw.writable() else io.BufferedReader(raw, size)

    async def read(self, size: int | None = -1) -> str:
        """Reads ``size`` characters. Fewer come at the end of the file only.

        A negative size, or None, stands for everything up to the end.
        """
        size = arguments.size(size)
        if not self._order.busy:
            if 0 < size <= len(self._window):
                return self._window.take(size)
            if size < 0 and (data := self._opened.read_now(-1)) is not None:
                return self._text.decoded.finish(data)
        with await self._shared.reading():
            if size < 0:
                return await self._text.readall()
            while (have := len(self._window)) < size and await self._text.fill(size - have):
                pass
            return self._window.take(size)

    async def write(self, text: str) -> int:
        """Writes ``text``, at once or when more has come together, and returns its number of
        characters.
        """
        self._shared.check()
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if type(text) is not str:
            text = str.__str__(text)  # the characters, whatever the methods of a subclass say
        if self._text.appends and not self._order.busy and self._buffer.outbox.room > 0:
            data = self._text.encode(text)
            if not self._buffer.put(data):
                with await self._shared.writing():
                    await self._buffer.write(data)
            return len(text)
        with await self._shared.writing():
            return await self._text.write(text)

    async def tell(self) -> int:
        """Where seek() finds this place again.

        It is TextIOWrapper's number, which holds more than a number of bytes.
        """
        await self.flush()
        return await super().tell()

    async def seek(self, cookie: int, whence: int = os.SEEK_SET) -> int:
        """Moves to what tell() returned, to the beginning (0) or to the end (0, os.SEEK_END)."""
        cookie, whence = operator.index(cookie), operator.index(whence)
        self._shared.check()
        if not self._opened.seekable:
            raise io.UnsupportedOperation("underlying stream is not seekable")
        with await self._shared.turn():
            if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
                raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
            if whence != os.SEEK_SET and cookie:
                kind = "cur" if whence == os.SEEK_CUR else "end"
                raise io.UnsupportedOperation(f"can't do nonzero {kind}-relative seeks")
            return await self._text.seek(cookie, whence)
