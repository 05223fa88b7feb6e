"""What was read and not yet handed out, cut into lines by csrc/python/lines.c.

- What is added waits in a list, so that a long line costs its length once, not once a piece.
- ``left`` tells how much may be taken as lines without a turn on the file. Every operation that has
  a turn takes it away, and the one that looks for a line gives STRETCH again at its end. So other
  tasks and the event loop get their turn after that much.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from aio_posix._calls import Lines

S = TypeVar("S", str, bytes)
STRETCH = 1 << 14  # letters: as many empty lines take 2 ms
# for newline of open() the number that lines.c has for it, and the last letters of its line ends
ENDS = {None: (0, "\n"), "\n": (0, "\n"), "\r": (1, "\r"), "\r\n": (2, "\n"), "": (3, "\r\n")}


class Window(Lines[S], Generic[S]):
    """Bytes or text that ends its lines as ``newline`` of open() says."""

    __slots__ = ("_empty", "_marks", "_pieces", "_searched")

    def __init__(self, empty: S, newline: str | None = None) -> None:
        self._empty: S = empty
        self.ends, self._marks = ENDS[newline]
        self._pieces: list[S] = []  # what follows data
        self._searched = False  # and no line end found
        self.hold(empty)

    def clear(self) -> None:
        self.hold(self._empty)
        self._pieces = []
        self._searched = False

    def __len__(self) -> int:
        have = len(self.data) - self.at
        return have + sum(map(len, self._pieces)) if self._pieces else have

    def add(self, more: S) -> None:
        """Puts ``more`` behind what is there."""
        if self._searched:
            marks: Any = self._marks if isinstance(more, str) else (b"\n",)
            self._searched = not any(mark in more for mark in marks)
        self._pieces.append(more)

    def take(self, n: int | None = None) -> S:
        """The next ``n``, or as many as there are; None: all."""
        pieces = self._pieces
        if len(pieces) == 1 and self.at == len(self.data) and (n is None or len(pieces[0]) <= n):
            self._searched = False
            return pieces.pop()
        self._join()
        data, start = self.data, self.at
        if n is None or start + n >= len(data):
            self.clear()
            return data[start:]
        self.move(start + n)
        return data[start : start + n]

    def back(self, n: int) -> None:
        """Takes back the last ``n`` that were taken as lines."""
        self.move(self.at - n)
        self._searched = False

    def peek(self) -> S:
        """All there is. Nothing is taken."""
        self._join()
        return self.data[self.at :]

    def next_line(self) -> S:
        """The next whole line, or empty if there is none."""
        if self._searched:
            return self._empty
        line = self.line()
        if line is None and self._pieces:
            self._join()
            line = self.line()
        if line is None:
            self._searched = True
            return self._empty
        return line

    def all_lines(self) -> list[S]:
        """All there is, the last line also without an end."""
        self._join()
        lines = self.lines()
        if rest := self.take():
            lines.append(rest)
        return lines

    def take_lines(self, length: int) -> list[S] | None:
        """Lines until they are longer than ``length`` together; None, and nothing is taken, if
        there are not so many.
        """
        if len(self) <= length:
            return None
        self._join()
        lines: list[S] = []
        have = 0
        while have <= length and (line := self.next_line()):
            lines.append(line)
            have += len(line)
        if have > length:
            return lines
        self.back(have)
        return None

    def _join(self) -> None:
        if self._pieces:
            rest = self.data[self.at :]
            if rest:
                self._pieces.insert(0, rest)
            pieces, self._pieces = self._pieces, []
            self.hold(pieces[0] if len(pieces) == 1 else self._empty.join(pieces))


class Source(Protocol[S]):
    """What a file reads and writes at its position, a Buffer or text on one (characters.py)."""

    window: Window[S]

    async def fill(self) -> bool: ...  # one read into the window; False at the end of the file
    def end(self) -> None: ...  # the last line has no end
    async def readall(self) -> S: ...
    async def write(self, data: Any) -> int: ...
    def tell(self) -> int: ...


async def read_line(source: Source[S], limit: int) -> S:
    """The next line, or its first ``limit``."""
    window = source.window
    while not (line := window.next_line()):
        if 0 <= limit <= len(window):
            return window.take(limit)
        if not await source.fill():
            source.end()
            return window.take()
    if 0 <= limit < len(line):
        window.back(len(line) - limit)
        return line[:limit]
    return line
