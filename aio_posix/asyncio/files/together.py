"""Small writes. One thread writes what one turn of the loop asked for, one after another.

A list for glibc wakes a helper for each file, and a waiter in the end. That takes longer than the
writes. 16 files that flush a line each had 31,000 flushes/s, and have some 150,000 so
(benchmarks/everyday.py, flush-16).

- Only files of file systems that are known to be of this machine are written so, because one write
  that waits holds up the others of its turn.
- Each write looks at lock and number of its file itself, so none meets another file.
- A write goes on when its task is cancelled. An exit waits for writes that have begun, and does
  those itself that a stopped loop has not handed over.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any

from aio_posix.asyncio import exits, loop, threads

SMALL = 64 << 10  # bytes of one write
MOST = 1 << 20  # bytes of one turn that one thread writes


class Small:
    """A write that has begun."""

    __slots__ = ("_name", "_write", "at", "batch", "data", "error", "result", "waiting")
    lost = False

    def __init__(
        self, write: Callable[[], int], name: Any, data: bytes | memoryview, at: int, batch: Batch
    ) -> None:
        self._write = write
        self._name = name
        self.data = data
        self.at = at
        self.waiting: list[loop.Future[None]] = []
        self.batch = batch
        self.result: int | None = None  # how much was written, once it has ended
        self.error: OSError | None = None

    def perform(self) -> None:
        """In a thread."""
        put = 0
        try:
            put = self._write()
        except OSError as error:
            put = getattr(error, "characters_written", 0)
            if error.filename is None:
                error.filename = self._name
            self.error = error
        except ValueError:  # closed meanwhile
            self.error = OSError(errno.EBADF, os.strerror(errno.EBADF), self._name)
        self.result = put

    async def over(self) -> OSError | None:
        """Waits for its end; its error, if there was one, with ``characters_written``."""
        while self.result is None:
            if self.batch.loop is loop.running():
                await loop.woken(self.waiting)
            else:  # which may have been closed, or stopped before the thread began
                self.join()
        return self.error

    def join(self) -> None:
        """The same, blocking. A forked child leaves it to the parent."""
        if self.batch.generation != loop.generation():
            return
        self.batch()
        with self.batch.running:
            pass


class Batch(exits.Job):
    """The small writes of one turn."""

    def __init__(self) -> None:
        super().__init__(self._perform, "small writes", here=True)
        self.writes: list[Small] = []
        self.size = 0
        self.loop = loop.running()
        self.generation = loop.generation()
        self._post = loop.poster()

    def open(self) -> bool:
        """Whether more can be added, which another loop or a forked child may not do."""
        here = self.loop is loop.running() and self.generation == loop.generation()
        return here and not self.begun()

    def _perform(self) -> None:
        for write in self.writes:
            write.perform()
        self._post(self._tell)

    def _tell(self) -> None:
        for write in self.writes:
            loop.wake(write.waiting)


class _Here(threading.local):
    batch: Batch | None = None


_here = _Here()


def put(write: Callable[[], int], name: Any, data: bytes | memoryview, at: int) -> Small:
    """Begins the ``write`` of ``data`` to the file of that name."""
    batch = _here.batch
    if batch is None or batch.size > MOST or not batch.open():
        batch = _here.batch = Batch()
        loop.soon(_start, batch)
    small = Small(write, name, data, at, batch)
    batch.writes.append(small)
    batch.size += len(data)
    return small


def _start(batch: Batch) -> None:
    if _here.batch is batch:
        _here.batch = None
    if batch.generation == loop.generation() and not threads.start(batch):
        batch()
