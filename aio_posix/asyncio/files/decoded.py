"""Decoded text and where in the file it came from, without any I/O. io.TextIOWrapper knows this
beside its buffer.

- ``chunks`` are the reads whose text is not all taken yet, each with the decoder's state before it.
  The last one stays until the next. Without chunks the position is that of the buffer below.
- A position is TextIOWrapper's cookie, bit for bit. It says where the decoder can start, its flags
  there, the bytes to feed it and the characters to skip. Either kind of file can seek to a position
  of the other.
"""

from __future__ import annotations

import codecs
import io
import struct
from collections import deque
from typing import Any, NamedTuple

from aio_posix.asyncio.files.window import Window


class Chunk(NamedTuple):
    flags: int
    held: bytes  # undecoded bytes of the read before
    raw: bytes
    chars: int


class Decoded:
    """``telling``: positions will be asked for."""

    def __init__(self, encoding: str, errors: str, newline: str | None, telling: bool) -> None:
        self._how = encoding, errors, newline
        decoder: Any = codecs.getincrementaldecoder(encoding)(errors)
        self._decoder = (
            decoder if newline else io.IncrementalNewlineDecoder(decoder, newline is None)
        )
        self.window = Window("", newline)
        self._telling = telling
        self._chunks: deque[Chunk] = deque()
        self.ratio = 0.0  # bytes for a character in the last chunk

    @property
    def newlines(self) -> Any:
        return getattr(self._decoder, "newlines", None)

    def clear(self) -> None:
        """Forgets text and positions, not the decoder's state."""
        self.window.clear()
        self._chunks.clear()

    def reset(self) -> None:
        self.clear()
        self._decoder.reset()

    def feed(self, raw: bytes) -> int:
        """Decodes ``raw`` (empty: the file ends here) and adds the text to the window; the number
        of characters.

        If it cannot be decoded, nothing has changed, and another try with less of it may do.
        """
        held, flags = state = self._decoder.getstate()
        try:
            text = self._decoder.decode(raw, not raw)
        except UnicodeError:
            self._decoder.setstate(state)
            raise
        if self._telling:
            taken = self._taken()
            while self._chunks and taken >= self._chunks[0].chars:
                taken -= self._chunks.popleft().chars
            self._chunks.append(Chunk(flags, held, raw, len(text)))
        self.ratio = len(raw) / len(text) if text else 0.0
        self.window.add(text)
        return len(text)

    def mark(self) -> tuple[str, Any]:
        """What back() needs when text was appended since."""
        text = self.window.take()
        self.window.hold(text)
        return text, self._decoder.getstate()

    def append(self, raw: bytes) -> None:
        """The text of ``raw`` behind what is in the window. There is no telling until finish()."""
        self.window.append(self._decoder.decode(raw))

    def back(self, mark: tuple[str, Any]) -> None:
        text, state = mark
        self.window.hold(text)
        self._decoder.setstate(state)

    def finish(self, raw: bytes) -> str:
        """All the text left, and that of ``raw``, which ends the file."""
        text = self._decoder.decode(raw, True)
        text = self.window.take() + text
        self._chunks.clear()
        return text

    def end(self) -> None:
        """What is left is the last line, so the next position is that of the buffer below."""
        self._chunks.clear()

    def tell(self, end: int) -> int:
        """The cookie of the next character, if the buffer below is at ``end``."""
        if not self._chunks:
            return end
        taken = self._taken()
        chunks = iter(self._chunks)
        chunk = next(chunks)
        start = end - sum(len(each.raw) for each in self._chunks) - len(chunk.held)
        for following in chunks:
            if taken < chunk.chars:
                break
            taken -= chunk.chars
            start += len(chunk.held) + len(chunk.raw) - len(following.held)
            chunk = following
        if not taken:
            return pack(start, chunk.flags)
        return self._cookie(start, chunk, taken)

    def restore(self, cookie: int) -> int | None:
        """Goes to the decoder's state at a cookie. Returns how many bytes skip() needs, if any."""
        _, flags, feed, self._skip, self._need_eof = unpack(cookie)
        self.clear()
        if cookie:
            self._decoder.setstate((b"", flags))
        else:
            self._decoder.reset()
        self._flags = flags
        if self._telling and cookie:
            self._chunks.append(Chunk(flags, b"", b"", 0))
        return feed if self._skip else None

    def skip(self, raw: bytes) -> None:
        """The rest of a restore() that asked for bytes."""
        text = self._decoder.decode(raw, self._need_eof)
        if len(text) < self._skip:
            raise OSError("can't restore logical file position")
        self.clear()
        self._chunks.append(Chunk(self._flags, b"", raw, len(text)))
        self.window.add(text)
        self.window.take(self._skip)

    def _taken(self) -> int:
        return sum(chunk.chars for chunk in self._chunks) - len(self.window)

    def _cookie(self, start: int, chunk: Chunk, taken: int) -> int:
        """What TextIOWrapper tells in the chunk. It is not at 0 there, where it would reset the
        decoder.
        """
        data = b"\0" + chunk.held + chunk.raw
        wrapper: Any = io.TextIOWrapper(io.BytesIO(data), *self._how)
        wrapper._CHUNK_SIZE = len(data)
        wrapper.seek(pack(1, chunk.flags))
        wrapper.read(taken)
        return int(wrapper.tell()) - 1 + start


def pack(start: int, flags: int) -> int:
    """A cookie with nothing to feed and nothing to skip."""
    return start | flags << 64


class Cookie(NamedTuple):
    """As io.TextIOWrapper packs it."""

    start: int
    flags: int
    feed: int  # bytes
    skip: int  # characters
    need_eof: bool  # whether the file ends then


def unpack(cookie: int) -> Cookie:
    if cookie < 0 or cookie >> 168:
        raise OverflowError("not a position that tell() returned")
    return Cookie(*struct.unpack("<QIII?", cookie.to_bytes(21, "little")))
