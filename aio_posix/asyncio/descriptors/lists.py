"""One loop's requests in glibc, in lists that fly, and what has become of their entries.

- Each entry in flight keeps its batch, and so lanes. Writes and syncs are drained at exit.
- A batch is used again, and its memory freed, only when all results are handed out and no waiter
  holds it.
- C moves entries from the line to a batch, and what is complete from there to `found`, so a signal
  handler that raises finds each entry in one of them. What glibc refuses is complete with EAGAIN.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from aio_posix._calls import batch_abandon, batch_collect, batch_submit
from aio_posix._ffi import lib
from aio_posix.asyncio.bell import Bell
from aio_posix.asyncio.descriptors.batch import Batch, Entry, Lane, seam


class Nobody:
    """Stands for a future that nobody awaits any more, because a future would keep its loop."""

    def done(self) -> bool:
        return True


NOBODY = Nobody()


class Lists:
    """Those of one loop. The bell rings when one that was posted is done."""

    __slots__ = ("_bell", "_spare", "flying", "found")

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.flying: list[Batch] = []
        self._spare: deque[Batch] = deque()
        # entry, and what its future gets: found by harvest(), until it is delivered
        self.found: list[tuple[Entry, Any]] = []

    def start(self, line: deque[Entry], n: int) -> bool:
        """Submits the first n entries of the line as one list; False if they stay in the line."""
        try:
            batch = self._unused()
        except MemoryError:
            return False
        self.flying.append(batch)
        if seam.watcher is not None:
            seam.watcher.submitting()
        with suppress(MemoryError, BufferError, OSError):  # an exit has drained what was in flight
            batch_submit(batch.address, batch.entries, line, n, batch)
        if seam.watcher is not None:
            flies = bool(batch.c.left) and not batch.c.refused
            seam.watcher.submitted(batch.all(), batch.addresses() if flies else [], flies)
        return bool(batch.c.left)

    def _unused(self) -> Batch:
        for _ in range(len(self._spare)):
            batch = self._spare.popleft()
            if not (batch.posted and lib.batch_held(batch.c)):
                batch.posted = False
                return batch
            self._spare.append(batch)
        return Batch()

    def _rest(self, batch: Batch) -> None:
        batch.entries = []
        self._spare.append(batch)

    def post(self) -> None:
        """Has the bell rung for what flies."""
        for batch in self.flying:
            if not batch.posted:
                batch.posted = True
                lib.batch_post(batch.c, self._bell.c)

    def harvest(self, whole: bool) -> None:
        """Puts what is newly complete into ``found``; only of lists that are done, if ``whole``."""
        done = []
        for batch in self.flying:
            batch_collect(batch.address, batch.entries, self.found, whole)
            if not batch.c.left:
                done.append(batch)
        for batch in done:
            self.flying.remove(batch)
            self._rest(batch)

    def _all(self) -> Iterator[tuple[Batch, int, Entry]]:
        for batch in list(self.flying):
            for i, entry in enumerate(batch.entries):
                if entry is not None:
                    yield batch, i, entry

    def entries(self) -> list[Entry]:
        return [entry for _, _, entry in self._all()]

    def refused(self) -> list[Entry]:
        """What glibc did not take, and nobody has looked at yet."""
        return [entry for batch, _, entry in self._all() if batch.c.refused]

    def has(self, lane: Lane) -> bool:
        """Whether glibc has a request of this lane."""
        return any(entry.lane is lane for _, _, entry in self._all())

    def detach(self, future: Any) -> bool:
        """Nobody awaits the request any more. Cancels it if glibc has not begun it. False if it is
        not here.
        """
        for batch, i, entry in self._all():
            if entry.future is future:
                batch.entries[i] = entry._replace(future=NOBODY)
                lib.batch_cancel(batch.c, i)
                return True
        return False

    def detach_done(self, channel: Any) -> bool:
        """The same for all of a channel whose futures are done. False if there is none."""
        found = False
        for batch, i, entry in self._all():
            if entry.channel is channel and entry.future.done():
                found = True
                batch.entries[i] = entry._replace(future=NOBODY)
                lib.batch_cancel(batch.c, i)
        return found

    def take_back(self) -> None:
        """Cancels what has not begun, because all helpers are blocked in something."""
        for batch, i, _ in reversed(list(self._all())):  # or the next one would begin meanwhile
            lib.batch_cancel(batch.c, i)

    def abandon(self) -> None:
        """The loop has closed. All of it is released when glibc is done with it."""
        flying, self.flying = self.flying, []
        for batch in flying:
            for i, entry in enumerate(batch.entries):
                if entry is not None:
                    batch.entries[i] = entry._replace(future=NOBODY)
            batch_abandon(batch.address)
