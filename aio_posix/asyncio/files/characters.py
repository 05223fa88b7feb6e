"""Text at a file's position. It is a Buffer with a decoder and an encoder, as io.TextIOWrapper is
one.

- Without "+" reads grow from TextIOWrapper's chunk to Buffer's most. What cannot be decoded must
  not take the good text before it along. The chunk is tried again in pieces of TextIOWrapper's
  size, so the error comes where it comes with the built-in.
- With "+" chunks keep TextIOWrapper's size, because a write goes where the chunk before it ended.
"""

from __future__ import annotations

import codecs
import functools
import io
import locale
import os
from typing import Any, NamedTuple

from aio_posix.asyncio.files.buffer import Buffer
from aio_posix.asyncio.files.decoded import Decoded, unpack

# bytes of a long text that are decoded at once; malloc keeps so few for the next piece
PIECE = 1 << 16


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


class Characters:
    """Calls come one at a time, as with Buffer."""

    __slots__ = ("_buffer", "_chunk", "_encoder", "_grows", "_newline", "appends", "decoded",
                 "line_buffering", "window")  # fmt: skip

    def __init__(self, buffer: Buffer, how: How) -> None:
        opened = buffer.opened
        self._buffer = buffer
        self.decoded = Decoded(how.encoding, how.errors, how.newline, opened.seekable)
        self.window = self.decoded.window
        self._newline = how.newline if how.newline in ("\r", "\r\n") else None  # what "\n" becomes
        self._encoder: Any = codecs.getincrementalencoder(how.encoding)(how.errors)
        self._chunk = how.chunk
        self._grows = not (opened.mode.reads and opened.mode.writes)
        self.line_buffering = how.line_buffering
        # whether a write has nothing to forget before, and nothing to flush after
        self.appends = not (opened.mode.reads or how.line_buffering)
        if opened.mode.writes and opened.seekable:
            self._encode_from(opened.tell())

    async def fill(self, chars: int = 0) -> bool:
        """One read into the window, for about ``chars`` characters; False at the end of the
        file.
        """
        buffer, ratio, exactly = self._buffer, self.decoded.ratio, not self._grows
        size = max(self._chunk, int(max(ratio, 1) * chars)) if exactly else int(ratio * chars)
        if not len(buffer.window):
            await buffer.fill(size, exactly=exactly)
        raw = buffer.window.take(size if exactly else None)
        try:
            return self.decoded.feed(raw) > 0 or bool(raw)
        except UnicodeError:
            if exactly or len(raw) <= self._chunk:
                raise
        buffer.window.add(raw[self._chunk :])
        return self.decoded.feed(raw[: self._chunk]) > 0 or bool(raw)

    def end(self) -> None:
        """The line that ends the file has been read."""
        self.decoded.end()

    async def readall(self) -> str:
        """All up to the end. What is long is decoded in pieces, with the event loop between them.
        If that fails or is cancelled, nothing has been read.
        """
        buffer = self._buffer
        await buffer.flush()
        if buffer.left() > PIECE:
            at, before = buffer.tell(), self.decoded.mark()
            try:
                while len(buffer.window) or await buffer.fill(PIECE, exactly=True):
                    self.decoded.append(buffer.window.take())
                    await buffer.opened.courtesy()
                return self.decoded.finish(b"")
            except BaseException as error:
                buffer.back(at)
                self.decoded.back(before)
                if not isinstance(error, UnicodeError):
                    raise
        # at once, so the error tells the place in all of it, as with the built-in
        return self.decoded.finish(await buffer.readall())

    def encode(self, text: str) -> bytes:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._newline:
            text = text.replace("\n", self._newline)
        return bytes(self._encoder.encode(text))

    async def write(self, text: str) -> int:
        data = self.encode(text)
        self.decoded.reset()
        await self._buffer.write(data)
        if self.line_buffering and ("\n" in text or "\r" in text):
            await self._buffer.flush()
        return len(text)

    def tell(self) -> int:
        return self.decoded.tell(self._buffer.tell())

    async def seek(self, cookie: int, whence: int) -> int:
        await self._buffer.flush()
        if whence == os.SEEK_END:
            at = await self._buffer.seek(0, os.SEEK_END)
            self.decoded.reset()
            self._encode_from(at)
            return at
        if whence == os.SEEK_CUR:
            cookie = self.tell()
        if cookie < 0:
            raise ValueError(f"negative seek position {cookie}")
        await self._buffer.seek(unpack(cookie).start, os.SEEK_SET)
        feed = self.decoded.restore(cookie)
        if feed is not None:
            window = self._buffer.window
            while len(window) < feed and await self._buffer.fill(feed - len(window)):
                pass
            self.decoded.skip(window.take(feed))
        self._encode_from(cookie)
        return cookie

    def _encode_from(self, at: int) -> None:
        """A byte order mark belongs at the beginning only."""
        if at:
            self._encoder.setstate(0)
        else:
            self._encoder.reset()
