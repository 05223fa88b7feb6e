"""Text files: io.TextIOWrapper, awaited, on the same Buffer that a BinaryFile has.

- Without "+" reads grow from TextIOWrapper's chunk to Buffer's most. What cannot be decoded must
  not take the good text before it along: the chunk is tried again in pieces of TextIOWrapper's
  size, so the error comes where it comes with the built-in.
- With "+" chunks keep TextIOWrapper's size, because a write goes where the chunk before it ended.
"""

from __future__ import annotations

import codecs
import functools
import io
import locale
import operator
import os
from typing import Any, NamedTuple

from aio_posix.asyncio import arguments
from aio_posix.asyncio.files.binary import BinaryFile
from aio_posix.asyncio.files.buffer import Buffer
from aio_posix.asyncio.files.decoded import Decoded
from aio_posix.asyncio.files.file import File
from aio_posix.asyncio.files.opened import Opened
from aio_posix.asyncio.files.window import read_line


class How(NamedTuple):
    """How text is decoded and encoded, as io.TextIOWrapper would do it."""

    encoding: str
    errors: str
    newline: str | None
    line_buffering: bool
    chunk: int  # bytes that it reads at once


def how(encoding: str | None, errors: str | None, newline: str | None, *, lines: bool) -> How:
    """Raises what the built-in open() raises for what cannot be."""
    if encoding == "locale":
        encoding = locale.getencoding()
    return _looked_up(encoding, errors, newline, lines)


@functools.lru_cache(64)
def _looked_up(encoding: str | None, errors: str | None, newline: str | None, lines: bool) -> How:
    wrapper: Any = io.TextIOWrapper(io.BytesIO(), encoding, errors, newline, lines)
    return How(wrapper.encoding, wrapper.errors, newline, lines, int(wrapper._CHUNK_SIZE))


class TextFile(File[str]):
    """io.TextIOWrapper, awaited.

    Beside its methods there are pread() and pwrite(), of bytes at an offset in bytes, and fsync().
    """

    def __init__(self, buffer: Buffer, opened: Opened, how: How, mode: str) -> None:
        seekable = opened.seekable
        self._decoded = Decoded(how.encoding, how.errors, how.newline, seekable)
        super().__init__(buffer, opened, self._decoded.window)
        self._how = how
        self._mode = mode
        self._newline = how.newline if how.newline in ("\r", "\r\n") else None  # what "\n" becomes
        self._encoder: Any = codecs.getincrementalencoder(how.encoding)(how.errors)
        self._chunk = how.chunk
        reads, writes = self._opened.mode.reads, self._opened.mode.writes
        self._grows = not (reads and writes)
        self.line_buffering = how.line_buffering
        self._appends = not (reads or how.line_buffering)
        self._binary: BinaryFile | None = None
        if writes and seekable:
            self._encode_from(self._opened.tell())

    @property
    def mode(self) -> str:
        return self._mode

    @property
    def buffer(self) -> BinaryFile:
        """The binary file below, awaited too.

        Both share one buffer and the order of their calls. Text that was read ahead is not read
        again.
        """
        self._check()
        if self._binary is None:
            self._binary = BinaryFile(self._buffer, self._opened)
            self._binary._order = self._binary._write_order = self._order
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
        return self._decoded.newlines

    def _detached_from(self, raw: io.FileIO) -> Any:
        size = self._buffer.size
        if raw.readable() and raw.writable():
            return io.BufferedRandom(raw, size)
        return io.BufferedWriter(raw, size) if raw.writable() else io.BufferedReader(raw, size)

    async def read(self, size: int | None = -1) -> str:
        """Reads ``size`` characters. Fewer come at the end of the file only.

        A negative size, or None, stands for everything up to the end.
        """
        size = arguments.size(size)
        if not self._order.users:
            if 0 < size <= len(self._window):
                return self._window.take(size)
            if size < 0 and (data := self._opened.read_now(-1)) is not None:
                return self._decoded.finish(data)
        async with self._reading():
            if size < 0:
                return await self._readall()
            while (have := len(self._window)) < size and await self._fill(size - have):
                pass
            return self._window.take(size)

    async def write(self, text: str) -> int:
        """Writes ``text``, at once or when more has come together, and returns its number of
        characters.
        """
        self._check()
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._appends and not self._write_order.users and self._buffer.room > 0:
            data = self._encode(text)  # a file that cannot be read has nothing to forget before
            if not self._buffer.put(data):
                async with self._writing():
                    await self._buffer.write(data)
            return len(text)
        async with self._writing():
            return await self._write(text)

    async def tell(self) -> int:
        """Where seek() finds this place again.

        It is TextIOWrapper's number, which holds more than a number of bytes.
        """
        await self.flush()
        return await super().tell()

    async def seek(self, cookie: int, whence: int = os.SEEK_SET) -> int:
        """Moves to what tell() returned, to the beginning (0) or to the end (0, os.SEEK_END)."""
        cookie, whence = operator.index(cookie), operator.index(whence)
        self._check()
        if not self._opened.seekable:
            raise io.UnsupportedOperation("underlying stream is not seekable")
        async with self._turn():
            if whence not in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END):
                raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
            if whence != os.SEEK_SET and cookie:
                kind = "cur" if whence == os.SEEK_CUR else "end"
                raise io.UnsupportedOperation(f"can't do nonzero {kind}-relative seeks")
            await self._buffer.flush()
            if whence == os.SEEK_END:
                at = await self._buffer.seek(0, os.SEEK_END)
                self._decoded.reset()
                self._encode_from(at)
                return at
            if whence == os.SEEK_CUR:
                cookie = self._tell()
            if cookie < 0:
                raise ValueError(f"negative seek position {cookie}")
            await self._restore(cookie)
            return cookie

    async def _restore(self, cookie: int) -> None:
        start, feed = self._decoded.restore(cookie)
        await self._buffer.seek(start, os.SEEK_SET)
        if feed is not None:
            self._decoded.skip(await self._buffer.read(feed))
        self._encode_from(cookie)

    def _encode_from(self, at: int) -> None:
        """A byte order mark belongs at the beginning only."""
        if at:
            self._encoder.setstate(0)
        else:
            self._encoder.reset()

    async def _fill(self, chars: int = 0) -> bool:
        """One read into the window, for about ``chars`` characters; False at the end of the
        file.
        """
        if self._grows and not len(self._buffer.window):
            await self._buffer.fill(int(self._decoded.ratio * chars))
            raw = self._buffer.window.take()
        elif self._grows:
            raw = self._buffer.window.take()
        else:
            raw = await self._buffer.read1(
                max(self._chunk, int(max(self._decoded.ratio, 1) * chars))
            )
        try:
            return self._decoded.feed(raw) > 0 or bool(raw)
        except UnicodeError:
            if not self._grows or len(raw) <= self._chunk:
                raise
        self._buffer.window.add(raw[self._chunk :])
        return self._decoded.feed(raw[: self._chunk]) > 0 or bool(raw)

    async def _readall(self) -> str:
        return self._decoded.finish(await self._buffer.readall())

    async def _readline(self, limit: int) -> str:
        return await read_line(self._window, self._fill_line, limit)

    async def _more(self) -> bool:
        return await self._fill_line()

    async def _fill_line(self) -> bool:
        if await self._fill():
            return True
        self._decoded.end()
        return False

    def _encode(self, text: str) -> bytes:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._newline:
            text = text.replace("\n", self._newline)
        return bytes(self._encoder.encode(text))

    async def _write(self, text: str) -> int:
        data = self._encode(text)
        self._decoded.reset()
        await self._buffer.write(data)
        if self.line_buffering and ("\n" in text or "\r" in text):
            await self._buffer.flush()
        return len(text)

    def _tell(self) -> int:
        if not self._opened.seekable:
            raise io.UnsupportedOperation("underlying stream is not seekable")
        return self._decoded.tell(self._buffer.tell())
