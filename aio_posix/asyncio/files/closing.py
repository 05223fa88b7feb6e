"""What a close still has to write, and the job that writes and closes.

- What is left may be several pieces behind writes that are on their way. It is ``plain`` when one
  write is all of it, which needs no Python.
- A Closing owns its descriptor. An exit waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Protocol

from aio_posix._calls import Ended
from aio_posix.asyncio import exits, loop
from aio_posix.asyncio.files import blocking
from aio_posix.asyncio.files.modes import Mode
from aio_posix.asyncio.files.together import Small
from aio_posix.asyncio.memory import ALIGNMENT, aligned, pin

Data = bytes | memoryview


class File(Protocol):
    """An open file, as this module sees it."""

    fd: int
    at: int  # negative, where the system has the position
    direct: bool
    mode: Mode


class Behind(Protocol):
    """A write of a regular file that goes on by itself, whoever is cancelled."""

    at: int

    @property
    def data(self) -> Data: ...
    @property
    def result(self) -> int | None: ...  # how much was written, once it has ended
    @property
    def error(self) -> OSError | None: ...
    @property
    def lost(self) -> bool: ...
    async def over(self) -> OSError | None: ...


def join(behind: Iterable[Behind]) -> None:
    """Blocks until no small write is under way."""
    for each in behind:
        if isinstance(each, Small):
            each.join()


class Rest:
    """What a close has to write. It is called where it may block."""

    __slots__ = ("_behind", "_opened", "_pieces")

    def __init__(self, opened: File, behind: list[Behind], pieces: list[Data]) -> None:
        self._opened = opened
        # a large write of a closed loop would keep the descriptor that its close waits for
        self._behind = [each for each in behind if isinstance(each, Small)]
        self._pieces = pieces

    def plain(self) -> tuple[Data, int] | None:
        """The one write that is all of it, and its place (-1: the position of the system)."""
        opened = self._opened
        if self._behind or opened.direct:
            return None
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        return data, -1 if opened.mode.appends else opened.at

    def __call__(self) -> None:
        join(self._behind)
        opened = self._opened
        for data in self._pieces:
            if opened.direct and pin(data)[1] % ALIGNMENT:
                data = aligned(data)
            if opened.at < 0 or opened.mode.appends:
                blocking.write_at(opened.fd, data, None)
            else:
                opened.at += blocking.write_at(opened.fd, data, opened.at)


class Closing(exits.WritesOwed):
    """The last write of a file and its close, by a thread without the GIL."""

    here = False

    def __init__(self, ended: Ended, fd: int, name: Any, write: tuple[Data, int] | None) -> None:
        self.future: loop.Future[None] = loop.new_future()
        self._writes = write is not None
        if write is not None:
            self.add(fd, *write)
        self.closes = fd
        super().__init__(ended, f"close of {name!r}")

    def over(self) -> None:
        super().over()
        if not self.future.done():
            loop.settle(self.future, None, self._failure())

    def _failure(self) -> OSError | None:
        error = self.failure(0) if self._writes else None
        if error is None and self.error:
            return OSError(self.error, os.strerror(self.error))
        return error
