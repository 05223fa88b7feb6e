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

import io
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

S = TypeVar("S", str, bytes)
STRETCH = 1 << 10  # characters: some ten lines
MOST = 1 << 14  # empty lines that may be handed out before the loop has its turn: 5 ms


class Window(Generic[S]):
    """``split`` cuts after each of ``ends``, which are what a line may end with."""

    __slots__ = (
        "_cut",
        "_data",
        "_empty",
        "_ends",
        "_marks",
        "_pieces",
        "_searched",
        "_stretch",
        "lines",
        "split",
    )

    def __init__(self, split: Callable[[S], list[S]], ends: tuple[S, ...]) -> None:
        self.split: Callable[[S], list[S]] = split
        self._ends: tuple[S, ...] = ends
        self._marks: tuple[S, ...] = tuple(end[-1:] for end in ends)
        self._empty: S = ends[0][:0]
        self.clear()

    def clear(self) -> None:
        self._data: S = self._empty
        self._pieces: list[S] = []  # what follows data
        self._cut = 0  # where what was taken, or waits in lines, ends in data
        self.lines: Iterator[S] = iter(())
        self._stretch = STRETCH
        self._searched = False  # and no line end found

    def __len__(self) -> int:
        self._take_back()
        return len(self._data) - self._cut + sum(map(len, self._pieces))

    def add(self, more: S) -> None:
        """Puts ``more`` behind what is there."""
        self._pieces.append(more)
        if self._searched and any(mark in more for mark in self._marks):
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
            return self._empty
        if self._pieces:
            self._join()
        stretch = self._stretch
        self._stretch = min(2 * stretch, MOST)
        while self._cut < len(self._data):
            stop = self._cut + stretch
            stretch *= 2  # not only so far as MOST: a line may be longer
            lines = self.split(self._data[self._cut : stop])
            last = lines[-1]
            if not last.endswith(self._ends) or (
                stop < len(self._data) and last.endswith(self._marks)
            ):
                lines.pop()  # half a line, or perhaps half a line end
            if lines:
                self._cut += sum(map(len, lines))
                self.lines = iter(lines)
                return next(self.lines)
            if stop >= len(self._data):
                break
        self._searched = True
        return self._empty

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
        self.lines = iter(())
        self._stretch = STRETCH

    def _join(self) -> tuple[S, int]:
        self._take_back()
        if self._pieces:
            rest = self._data[self._cut :]
            if rest:
                self._pieces.insert(0, rest)
            self._data = self._empty.join(self._pieces)
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


def byte_window() -> Window[bytes]:
    return Window(byte_lines, (b"\n",))


def text_window(newline: str | None) -> Window[str]:
    """For text as TextIOWrapper's ``newline`` leaves it: translated, or with the line ends of the
    file.
    """
    if newline in (None, "", "\n"):

        def split(text: str) -> list[str]:
            return io.StringIO(text, "" if newline == "" else "\n").readlines()

        return Window(split, ("\n", "\r") if newline == "" else ("\n",))

    def split_at(text: str) -> list[str]:
        lines = [line + newline for line in text.split(newline)]
        lines[-1] = lines[-1][: -len(newline)]
        return lines if lines[-1] else lines[:-1]

    return Window(split_at, (newline,))
