"""What was read and not yet handed out, cut into lines in bulk by the C of io.BytesIO and
io.StringIO.

- ``lines`` yields the next whole lines, cut but still part of the window: to take one from it is to
  take it.
- Nothing but line() fills ``lines``; everything else takes the lines not taken back first, so a
  caller that mixes tell() or read() with lines would cut all of them again each time: the stretch
  that is cut begins small and grows.
- Pieces without a line end wait in a list, so that a long line costs its length once, not once a
  piece.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

S = TypeVar("S", str, bytes)
STRETCH = 1 << 10  # characters: some ten lines
MOST = 1 << 14  # empty lines that may be handed out before the loop has its turn: 5 ms


class Ends(NamedTuple, Generic[S]):
    """What a line may end with, and how text is cut after it."""

    split: Callable[[S], list[S]]
    ends: tuple[S, ...]
    marks: tuple[S, ...]  # the last character of each
    empty: S


NONE: Iterator[Any] = iter(())


class Window(Generic[S]):
    """Bytes or text, cut after each of ``ends``."""

    __slots__ = ("_cut", "_data", "_ends", "_pieces", "_searched", "_stretch", "lines", "split")

    def __init__(self, ends: Ends[S]) -> None:
        self._ends: Ends[S] = ends
        self.split: Callable[[S], list[S]] = ends.split
        self.clear()

    def clear(self) -> None:
        self._data: S = self._ends.empty
        self._pieces: list[S] = []  # what follows data
        self._cut = 0  # where what was taken, or waits in lines, ends in data
        self.lines: Iterator[S] = NONE
        self._stretch = STRETCH
        self._searched = False  # and no line end found

    def __len__(self) -> int:
        self._take_back()
        return len(self._data) - self._cut + sum(map(len, self._pieces))

    def add(self, more: S) -> None:
        """Puts ``more`` behind what is there."""
        self._pieces.append(more)
        if self._searched and any(mark in more for mark in self._ends.marks):
            self._searched = False

    def take(self, n: int | None = None) -> S:
        """The next ``n``, or as many as there are; None: all."""
        data, start = self._join()
        if n is None or start + n >= len(data):
            self.clear()
            return data[start:]
        self._cut = start + n
        return data[start : start + n]

    def back(self, n: int) -> None:
        """Takes back the last ``n`` of the line that line() returned last."""
        self._take_back()
        self._cut -= n
        self._searched = False

    def peek(self) -> S:
        """All there is; nothing is taken."""
        data, start = self._join()
        return data[start:]

    def line(self) -> S:
        """The next whole line; empty if there is none."""
        for line in self.lines:
            return line
        if self._searched:
            return self._ends.empty
        if self._pieces:
            self._join()
        stretch = self._stretch
        self._stretch = min(2 * stretch, MOST)
        while self._cut < len(self._data):
            stop = self._cut + stretch
            stretch *= 2  # not only so far as MOST: a line may be longer
            lines = self.split(self._data[self._cut : stop])
            last = lines[-1]
            if not last.endswith(self._ends.ends) or (
                stop < len(self._data) and last.endswith(self._ends.marks)
            ):
                lines.pop()  # half a line, or perhaps half a line end
            if lines:
                self._cut += sum(map(len, lines))
                self.lines = iter(lines)
                return next(self.lines)
            if stop >= len(self._data):
                break
        self._searched = True
        return self._ends.empty

    def take_lines(self, length: int) -> list[S] | None:
        """Lines that are ``length`` long together, or a little longer; None, and nothing is taken,
        if there are not so many.
        """
        if len(self) < length:
            return None
        self._join()
        lines: list[S] = []
        have = 0
        while have < length and (line := self.line()):
            lines.append(line)
            have += len(line)
        if have >= length:
            return lines
        self.back(have)
        return None

    def _take_back(self) -> None:
        self._cut -= sum(map(len, self.lines))
        self.lines = NONE
        self._stretch = STRETCH

    def _join(self) -> tuple[S, int]:
        self._take_back()
        if self._pieces:
            rest = self._data[self._cut :]
            if rest:
                self._pieces.insert(0, rest)
            self._data = self._ends.empty.join(self._pieces)
            self._pieces = []
            self._cut = 0
        return self._data, self._cut


async def read_line(window: Window[S], fill: Callable[[], Awaitable[bool]], limit: int) -> S:
    """The next line, or its first ``limit``; ``fill`` adds to the window, False at the end."""
    while not (line := window.line()):
        if 0 <= limit <= len(window) or not await fill():
            return window.take(limit if limit >= 0 else None)
    if 0 <= limit < len(line):
        window.back(len(line) - limit)
        return line[:limit]
    return line


def byte_lines(data: bytes) -> list[bytes]:
    return io.BytesIO(data).readlines()


BYTES: Ends[bytes] = Ends(byte_lines, (b"\n",), (b"\n",), b"")


def byte_window() -> Window[bytes]:
    return Window(BYTES)


@functools.cache
def text_ends(newline: str | None) -> Ends[str]:
    """For text as TextIOWrapper's ``newline`` leaves it: translated, or with the line ends of the
    file.
    """
    if newline in (None, "", "\n"):

        def split(text: str) -> list[str]:
            return io.StringIO(text, "" if newline == "" else "\n").readlines()

        ends = ("\n", "\r") if newline == "" else ("\n",)
        return Ends(split, ends, ends, "")

    def split_at(text: str) -> list[str]:
        lines = [line + newline for line in text.split(newline)]
        lines[-1] = lines[-1][: -len(newline)]
        return lines if lines[-1] else lines[:-1]

    return Ends(split_at, (newline,), (newline[-1:],), "")


def text_window(newline: str | None) -> Window[str]:
    return Window(text_ends(newline))
