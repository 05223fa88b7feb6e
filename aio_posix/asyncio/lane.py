"""A file as glibc sees it: descriptor numbers, one queue each, and what waits for a place in them.

- A lane is one descriptor number, so one queue of glibc: its requests run one at a time, in their
  order. Writes and syncs of a channel all use its first lane. Reads that have to wait for a device
  spread over duplicates of it, which are given back when the channel is idle.
- At most WINDOW requests of a channel are in glibc, whose cost for each grows with their number;
  the rest wait in a FIFO of our own, where a cancelled one simply never gets its turn.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from aio_posix.asyncio import loop
from aio_posix.asyncio.batch import Entry, Wish
from aio_posix.asyncio.native import lock_held
from aio_posix.asyncio.openfile import OpenFile, duplicate

WINDOW = 64  # glibc walks the queue for each new request: 64 steps cost less than 0.2 us
# helpers that take turns at one file: with more of glibc's 20, waking them costs more than it
# brings
LANES = 8


class Lane:
    """A descriptor, how many requests of a channel are on it, and those that a thread of ours does
    or will do.
    """

    __slots__ = ("busy", "current", "fd", "file", "own", "working")

    def __init__(self, file: OpenFile) -> None:
        self.file = file
        self.fd = file.fd
        self.busy = 0
        self.own: deque[Entry] = deque()
        self.current: Entry | None = None  # what the thread does now
        self.working = False


class Channel:
    """The lanes of one file in one loop, and its line; `name` goes into its errors."""

    __slots__ = (
        "_quiet",
        "aligned",
        "behind",
        "borrowed",
        "follower",
        "given_up",
        "in_flight",
        "lanes",
        "late",
        "name",
        "reading",
        "users",
        "waiting",
        "writers",
    )

    def __init__(self, file: OpenFile, name: Any = None) -> None:
        self.lanes = [Lane(file)]
        self.name = name
        self.writers = loop.Line()  # of a stream
        self.aligned: dict[int, list[Any]] = {}  # memory for reads, by size
        self.users = 0  # calls that go on
        self.in_flight = 0  # requests, also those that nobody awaits any more
        self.waiting: deque[Wish] = deque()
        self.given_up = False  # nobody but calls and requests that go on needs the lanes
        self.borrowed: int | None = None  # the user's number, of a channel shared by it
        self.behind: Channel | None = None  # the channel whose requests come first
        self.follower: Channel | None = None  # whose requests come then
        self.late = b""  # what a stream gave to a read that had been cancelled
        self.reading: loop.Future[None] | None = None  # while a thread reads from a stream
        self._quiet: list[loop.Future[None]] = []

    @property
    def idle(self) -> bool:
        return not (self.users or self.in_flight or self.late or self.reading)

    @property
    def free(self) -> bool:
        """A request need not wait in the line."""
        if self.behind is not None and not self.behind.in_flight and not self.behind.waiting:
            self.behind = None
        return self.in_flight < WINDOW and self.behind is None

    def reader(self) -> Lane:
        """The lane on which a read waits least."""
        best = self.lanes[0]
        for lane in self.lanes:
            if not lane.busy:
                return lane
            if lane.busy < best.busy:
                best = lane
        if len(self.lanes) < LANES and not lock_held(best.fd):
            try:
                self.lanes.append(Lane(duplicate(best.fd)))
            except OSError:  # no descriptors left: fewer lanes
                return best
            return self.lanes[-1]
        return best

    def rest(self) -> None:
        """No request is in flight: gives duplicates back, wakes who waits for that."""
        del self.lanes[1:]
        quiet, self._quiet = self._quiet, []
        for future in quiet:
            loop.settle(future, None, None)

    async def quiet(self) -> None:
        """Waits until no request is in flight."""
        while self.in_flight:
            future = loop.new_future()
            self._quiet.append(future)
            await future
