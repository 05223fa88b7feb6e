"""A file as glibc sees it, which is descriptor numbers with one queue each, and what waits for a
place in them.

- A lane is one descriptor number, so one queue of glibc. Its requests run one at a time, in their
  order. Writes and syncs of a channel all use its first lane. Reads that have to wait for a device
  spread over duplicates of it, which are given back when the channel is idle.
- At most WINDOW requests of a channel are in glibc, whose cost for each grows with their number.
  The rest wait in a FIFO of our own, where a cancelled one never gets its turn.
- The channel of a borrowed descriptor holds a duplicate, and exists while something goes on.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from aio_posix._calls import lock_held_here, same_file
from aio_posix.asyncio import loop
from aio_posix.asyncio.descriptors.batch import READ, WRITE, Entry, Lane, new_entry, seam
from aio_posix.asyncio.descriptors.openfile import Kind, OpenFile, duplicate, kind

if TYPE_CHECKING:
    from aio_posix.asyncio.descriptors.poller import Poller
    from aio_posix.asyncio.turn import Turn

WINDOW = 64  # glibc walks the queue for each new request, and 64 steps cost less than 0.2 us
# helpers that take turns at one file; waking more of glibc's 20 costs more than it brings
LANES = 8


class Home(Protocol):
    """The loop that a channel belongs to (ring.Ring)."""

    loop: weakref.ref[loop.Loop]
    turn: Turn
    channels: Channels
    line: deque[Entry]  # what goes to glibc with the next flush
    flushing: bool  # there will be one

    @property
    def poller(self) -> Poller: ...
    def flush_soon(self) -> None: ...
    def hurry(self) -> None: ...
    def detach(self, future: Any) -> bool: ...
    def detach_done(self, channel: Channel) -> None: ...


class Channel:
    """The lanes of one file in one loop, and its line; `name` goes into its errors."""

    __slots__ = (
        "_quiet",
        "behind",
        "borrowed",
        "follower",
        "given_up",
        "home",
        "in_flight",
        "known_kind",
        "lanes",
        "late",
        "name",
        "reading",
        "users",
        "waiting",
        "writers",
    )

    def __init__(self, home: Home, file: OpenFile, name: Any = None) -> None:
        self.home = home
        self.lanes = [Lane(file)]
        self.name = name
        self.users = 0  # calls that go on
        self.in_flight = 0  # requests, also those that nobody awaits any more
        self.given_up = False  # nobody but calls and requests that go on needs the lanes
        self.borrowed: int | None = None  # the user's number, of a channel shared by it
        self.waiting: deque[Entry] = deque()
        self.behind: Channel | None = None  # the channel whose requests come first
        self.follower: Channel | None = None  # whose requests come then
        self._quiet: list[loop.Future[None]] | None = None  # of those who wait until it is idle
        self.writers: loop.Line | None = None  # of a stream
        self.late = b""  # what a stream gave to a read that had been cancelled
        self.reading: loop.Future[None] | None = None  # while a thread reads from a stream
        self.known_kind: Kind | None = None

    @property
    def fd(self) -> int:
        return self.lanes[0].fd

    @property
    def kind(self) -> Kind:
        known = self.known_kind
        if known is None:
            known = self.known_kind = kind(self.fd)
        return known

    @property
    def idle(self) -> bool:
        return not (self.users or self.in_flight or self.late or self.reading)

    def failure(self, op: int, number: int) -> OSError:
        """The OSError of a request."""
        text = os.strerror(number)
        if number == errno.EINVAL and op in (READ, WRITE) and self.lanes and self.kind.direct:
            text += (
                ": O_DIRECT needs offset, length and memory aligned to the block size of the device"
            )
        return OSError(number, text) if self.name is None else OSError(number, text, self.name)

    # --- requests

    def ask(
        self, future: Any, op: int, buffer: Any = None, at: int = 0, nbytes: int = 0,
        offset: int = 0, spread: bool = False,
    ) -> None:  # fmt: skip
        """Starts a request when its turn comes. ``future`` has done() and set_result(), and is
        given what Entry says.
        """
        lane, fd, home = None, -1, self.home
        if self.in_flight < WINDOW and (self.behind is None or self._free()):
            lane = self._reader() if spread else self.lanes[0]
            fd = lane.fd
        entry = new_entry(Entry, (future, op, fd, buffer, at, nbytes, offset, self, lane, spread))
        if seam.watcher is not None:
            seam.watcher.asked(entry)
        if lane is None:
            self.waiting.append(entry)
            return
        lane.busy += 1  # a signal handler may raise after a call, and none lies between these lines
        self.in_flight += 1
        home.line.append(entry)
        if not home.flushing:
            home.flush_soon()

    def _free(self) -> bool:
        """Nobody's requests come first."""
        before = self.behind
        if before is not None and not before.in_flight and not before.waiting:
            self.behind = before = None
        return before is None

    def _reader(self) -> Lane:
        """The lane on which a read waits least."""
        best = self.lanes[0]
        for lane in self.lanes:
            if not lane.busy:
                return lane
            if lane.busy < best.busy:
                best = lane
        if len(self.lanes) < LANES and not lock_held_here(best.fd):
            try:
                self.lanes.append(Lane(duplicate(best.fd)))
            except OSError:  # no descriptors are left for more lanes
                return best
            return self.lanes[-1]
        return best

    def advance(self) -> None:
        """Requests have ended, so others get their places."""
        while self.waiting and self.in_flight < WINDOW and self._free():
            entry = self.waiting[0]
            if entry.future.done():
                del self.waiting[0]
                continue
            lane = self._reader() if entry.spread else self.lanes[0]
            entry = entry._replace(lane=lane, fd=lane.fd)
            del self.waiting[0]
            lane.busy += 1
            self.in_flight += 1
            self.home.line.append(entry)
            self.home.flush_soon()
        if not self.in_flight:
            del self.lanes[1:]
            if self._quiet:
                loop.wake(self._quiet)
            if self.follower is not None:
                follower, self.follower = self.follower, None
                follower.advance()
            self.home.channels.let_go(self)

    async def quiet(self) -> None:
        """Waits until no request is in flight."""
        if self._quiet is None:
            self._quiet = []
        await loop.woken(self._quiet)


class Channels:
    """Those of one loop that are shared by all that is asked of a borrowed descriptor."""

    __slots__ = ("shared",)

    def __init__(self) -> None:
        self.shared: dict[int, Channel] = {}  # by the user's number

    def borrow(self, home: Home, fd: int, name: Any, *, shared: bool) -> Channel:
        """A channel of the file that the user's descriptor means now; shared: with all that is
        asked of this descriptor.
        """
        channel = Channel(home, duplicate(fd), name)
        channel.given_up = True
        if shared:
            old = self.shared.get(fd)
            if (
                old is not None and same_file(fd, old.fd) < 0 and os.path.sameopenfile(fd, old.fd)
            ):  # perhaps the same open file, whose writes keep their order
                channel.behind, old.follower = old, channel
            self.shared[fd] = channel
            channel.borrowed = fd
        return channel

    def left(self, channel: Channel) -> None:
        """A call is over."""
        channel.users -= 1
        if channel.given_up:
            self.let_go(channel)

    def let_go(self, channel: Channel) -> None:
        """Gives duplicates back after the last call and request that need them."""
        if channel.given_up and channel.idle:
            if channel.borrowed is not None and self.shared.get(channel.borrowed) is channel:
                del self.shared[channel.borrowed]
            channel.lanes.clear()
