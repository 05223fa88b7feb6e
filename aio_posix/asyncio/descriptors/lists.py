"""One loop's requests in glibc: lists that fly, and what has become of their entries.

- Each entry in flight keeps its batch, and so buffers and lanes. Writes and syncs are drained at
  exit.
- A batch is used again, and its memory freed, only when all results are handed out and no waiter
  holds it.
- A list is submitted or it is not: flies() says which, also when start() was interrupted.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from aio_posix._ffi import lib
from aio_posix.asyncio.descriptors.batch import Batch, Bell, Entry
from aio_posix.asyncio.native import batch_abandon, batch_collect, batch_submit


class Nobody:
    """In place of a future that nobody awaits any more: a future would keep its loop."""

    def done(self) -> bool:
        return True


NOBODY = Nobody()


class Result(NamedTuple):
    """What has become of an entry."""

    entry: Entry
    n: int  # a count, or minus an errno
    undone: bool  # glibc did not do it


class Lists:
    """Those of one loop. The bell rings when one of them is done."""

    __slots__ = ("_bell", "_flying", "_spare", "entries", "found")

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._flying: list[Batch] = []
        self._spare: deque[Batch] = deque()
        self.entries = 0  # in glibc
        self.found: list[Result] = []  # what harvest() has found, until it is delivered

    def __bool__(self) -> bool:
        return bool(self._flying)

    def start(self, entries: list[Entry]) -> None:
        """Submits one list, as far as flies() tells then."""
        batch = None
        try:
            batch = self._unused()
            batch.entries = cast("list[Entry | None]", entries)
            self._flying.append(batch)
            if batch_submit(batch.address, entries, self._bell.address, batch) > 0:
                self._bell.ring()  # some are refused
        except (MemoryError, OSError):  # no memory; or an exit has drained what was in flight
            pass
        finally:
            if batch is not None:
                if batch.c.left > 0:
                    self.entries += len(entries)
                    for entry in entries:
                        entry.lane.flying += 1
                else:
                    self._flying.remove(batch)
                    self._rest(batch)

    def flies(self, entries: list[Entry]) -> bool:
        """Whether this list was submitted, also if a signal handler has raised meanwhile."""
        return any(batch.entries is entries and batch.c.left for batch in reversed(self._flying))

    def _unused(self) -> Batch:
        for _ in range(len(self._spare)):
            batch = self._spare.popleft()
            if not lib.batch_held(batch.c):
                return batch
            self._spare.append(batch)
        return Batch()

    def _rest(self, batch: Batch) -> None:
        batch.entries = []
        self._spare.append(batch)

    def harvest(self) -> None:
        """Puts what is newly complete into ``found``.

        A signal handler may raise after any call, so between two calls everything is in one table
        or the other.
        """
        done = []
        for batch in self._flying:
            results, entries = batch.results, batch.entries
            batch_collect(batch.address, results)
            while results:
                i, n = results[0]
                entry = entries[i]
                if entry is not None:
                    undone = n == -errno.ECANCELED or n == -errno.EAGAIN
                    result = Result(entry, n, undone)
                    self.found += (result,)
                    entries[i] = None
                    entry.lane.flying -= 1
                self.entries -= 1
                del results[0]
            if not batch.c.left:
                done.append(batch)
        for batch in done:
            self._flying.remove(batch)
            self._rest(batch)

    def _all(self) -> Iterator[tuple[Batch, int, Entry]]:
        for batch in list(self._flying):
            for i, entry in enumerate(batch.entries):
                if entry is not None:
                    yield batch, i, entry

    def flying(self) -> list[Entry]:
        return [entry for _, _, entry in self._all()]

    def detach(self, future: Any) -> bool:
        """Nobody awaits it any more: cancelled, if it has not begun. False if it is not here."""
        for batch, i, entry in self._all():
            if entry.future is future:
                batch.entries[i] = entry._replace(future=NOBODY)
                lib.batch_cancel(batch.c, i)
                return True
        return False

    def detach_done(self, channel: Any) -> bool:
        """The same for all of a channel whose futures are done; False if there is none."""
        found = False
        for batch, i, entry in self._all():
            if entry.channel is channel and entry.future.done():
                found = True
                batch.entries[i] = entry._replace(future=NOBODY)
                lib.batch_cancel(batch.c, i)
        return found

    def take_back(self) -> None:
        """Cancels what has not begun: all helpers are blocked in something."""
        for batch, i, _ in reversed(list(self._all())):  # or the next one would begin meanwhile
            lib.batch_cancel(batch.c, i)

    def abandon(self) -> None:
        """The loop has closed: all of it is released when glibc is done with it."""
        flying, self._flying = self._flying, []
        for batch in flying:
            for i, entry in enumerate(batch.entries):
                if entry is not None:
                    batch.entries[i] = entry._replace(future=NOBODY)
            batch_abandon(batch.address)
