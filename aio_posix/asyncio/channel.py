"""A file as glibc sees it: descriptor numbers, one queue each, and what waits for a place in them.

- A lane is one descriptor number, so one queue of glibc: its requests run one at a time, in their
  order. Writes and syncs of a channel all use its first lane. Reads that have to wait for a device
  spread over duplicates of it.
- At most WINDOW requests of a channel are in glibc, whose cost for each grows with their number;
  the rest wait in a FIFO of our own, where a cancelled one simply never gets its turn.
- An owned lane is closed when its last holder is gone; a request in flight is one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
from collections import deque
from typing import Any

WINDOW = 64  # glibc walks the queue for each new request: 64 steps cost less than 0.2 us
# helpers that take turns at one file: with more of glibc's 20, waking them costs more than it
# brings
LANES = 8


class Lane:
    """A descriptor and how many requests of a channel are on it; closed with its last reference if
    a duplicate.
    """

    __slots__ = ("_owned", "_whose", "busy", "fd")

    def __init__(self, fd: int, *, duplicate: bool = False, whose: Lane | None = None) -> None:
        self.busy = 0
        self._owned = False
        self._whose = whose
        self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0) if duplicate else fd
        self._owned = duplicate

    def __del__(self) -> None:
        if self._owned:
            os.close(self.fd)


def _kind(fd: int) -> tuple[bool, bool]:
    """Whether it is a stream (a read may wait for ever, offsets mean nothing), and whether it is
    O_DIRECT.
    """
    try:
        mode, flags = os.fstat(fd).st_mode, fcntl.fcntl(fd, fcntl.F_GETFL)
    except OSError:
        return False, False  # the request finds out
    stream = (
        stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode) or not stat.S_IFMT(mode)
    )
    return stream, bool(flags & os.O_DIRECT)


class Channel:
    """The lanes of one file in one loop, and its line; `name` goes into its errors."""

    __slots__ = ("aligned", "direct", "in_flight", "lanes", "name", "stream", "waiting", "writers")

    def __init__(self, lane: Lane, name: Any = None) -> None:
        self.lanes = [lane]
        self.name = name
        self.stream, self.direct = _kind(lane.fd)
        self.writers: asyncio.Lock | None = None  # of a stream
        self.aligned: dict[
            int, list[Any]
        ] = {}  # memory for reads, by size; no more than reads at one time
        self.in_flight = 0
        self.waiting: deque[tuple[Any, ...]] = deque()

    def reader(self) -> Lane:
        """The lane on which a read waits least."""
        best = self.lanes[0]
        for lane in self.lanes:
            if not lane.busy:
                return lane
            if lane.busy < best.busy:
                best = lane
        if len(self.lanes) < LANES:
            try:
                self.lanes.append(Lane(best.fd, duplicate=True))
            except OSError:  # no descriptors left: fewer lanes
                return best
            return self.lanes[-1]
        return best
