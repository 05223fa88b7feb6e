"""Small writes. One thread writes what one turn of the loop asked for, one after another.

A list for glibc wakes a helper for each file, and a waiter in the end. That takes longer than the
writes. The thread needs no GIL for them (csrc/python/writes.c).

- Only files of file systems that are known to be of this machine are written so, because one write
  that waits holds up the others of its turn.
- Nobody closes the descriptor of a file before its writes are over.
- A write goes on when its task is cancelled. An exit waits for writes that have begun, and does
  those itself that a stopped loop has not handed over.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from aio_posix._calls import Ended
from aio_posix.asyncio import exits, loop
from aio_posix.asyncio.jobs import Jobs

SMALL = 64 << 10  # bytes of one write
MOST = 1 << 20  # bytes of one turn that one thread writes


class Small:
    """A write that has begun."""

    __slots__ = ("_batch", "_error", "_name", "_place", "at", "data", "waiting")
    lost = False

    def __init__(self, batch: Batch, place: int, name: Any, data: bytes, at: int) -> None:
        self._batch = batch
        self._place = place
        self._name = name
        self._error: OSError | None = None
        self.data = data
        self.at = at
        self.waiting: list[loop.Future[None]] = []

    @property
    def result(self) -> int | None:
        """How much was written, once it has ended."""
        return self._batch.result(self._place)[0] if self._batch.done else None

    @property
    def error(self) -> OSError | None:
        """The error that ended it, with ``characters_written``."""
        if self._error is None:
            self._error = self._batch.failure(self._place, self._name)
        return self._error

    async def over(self) -> OSError | None:
        """Waits for its end; its error, if there was one."""
        while not self._batch.done:
            if self._batch.loop is loop.running():
                await loop.woken(self.waiting)
            else:  # which may have been closed, or stopped before the thread began
                self.join()
        return self.error

    def join(self) -> None:
        """The same, blocking. A forked child leaves it to the parent."""
        if self._batch.generation == loop.generation():
            self._batch()
            self._batch.wait()


class Batch(exits.WritesOwed):
    """The small writes of one turn."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended, "small writes")
        self.writes: list[Small] = []
        self.size = 0
        self.loop = loop.running()
        self.generation = loop.generation()

    def open(self) -> bool:
        """Whether more can be added, which another loop or a forked child may not do."""
        here = self.loop is loop.running() and self.generation == loop.generation()
        return here and self.size <= MOST

    def over(self) -> None:
        for write in self.writes:
            loop.wake(write.waiting)
        self.writes = []  # each knows the batch
        super().over()


def _none() -> None:
    return None


class _Here(threading.local):
    batch: Callable[[], Batch | None] = staticmethod(_none)  # a weak reference


_here = _Here()


def put(jobs: Jobs, fd: int, name: Any, data: bytes, at: int, place: int) -> Small:
    """Begins to write ``data`` to the file of that name, at ``place`` or, where that is -1, at the
    position of the system.
    """
    batch = _here.batch()
    i = -1 if batch is None or not batch.open() else batch.add(fd, data, place)
    if batch is None or i < 0:
        batch = Batch(jobs.ended)
        i = batch.add(fd, data, place)
        jobs.soon(batch)  # before anybody else can add to it
        _here.batch = weakref.ref(batch)
    small = Small(batch, i, name, data, at)
    batch.writes.append(small)
    batch.size += len(data)
    return small
