"""One loop's requests, and who does them: glibc in lists, or threads of ours.

- A wish waits in its channel, then as an entry in `_line`; what one turn of the loop asked for goes
  to glibc together. Its future gets a count or minus an errno, never an exception: nobody complains
  about one that nobody awaits any more.
- Every wake-up looks at all lists: the bell rings only when the last entry of one is done. A timer
  looks as well, for lists that no waiter has taken.
- What glibc refuses because it lacks threads, does not begin because its helpers are all blocked,
  or would never do in a forked child, is done by threads, or by the loop where none can be made.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from itertools import islice
from typing import Any

from aio_posix import flight, log
from aio_posix._ffi import lib
from aio_posix.asyncio import loop
from aio_posix.asyncio.descriptors import errands
from aio_posix.asyncio.descriptors.batch import (
    BATCH,
    DSYNC,
    READ,
    SYNC,
    WRITE,
    Bell,
    Entry,
    Later,
    Wish,
)
from aio_posix.asyncio.descriptors.channel import WINDOW, Channel, Channels
from aio_posix.asyncio.descriptors.errands import Errands
from aio_posix.asyncio.descriptors.lists import Lists
from aio_posix.asyncio.descriptors.poller import Poller
from aio_posix.asyncio.memory import release
from aio_posix.asyncio.native import fresh
from aio_posix.asyncio.turn import Turn

# requests of a loop in glibc, whose cost for each grows with the number of busy descriptors
ROOM = 1024
# seconds between two looks of the timer; the shorter after one that found something
SOONEST, LATEST = 0.001, 0.1
STALLED = 1.0  # seconds without any progress until threads do what glibc has not begun
AVOID_MOST = 64.0  # seconds that glibc gets no requests after it has stalled again and again


class Ring:
    """The requests of one loop."""

    def __init__(self) -> None:
        self.born = loop.generation()
        self.loop = weakref.ref(loop.running())
        self.turn = Turn()
        self._poller: Poller | None = None
        self.channels = Channels()
        self._bell = Bell()
        self._lists = Lists(self._bell)
        self._errands = Errands(self._bell)
        self._line: deque[Entry] = deque()
        self._flushing = False
        self._left: Entry | None = None  # the entry that has left last
        self._due = 0.0  # of the next look; 0: none
        self._pause = LATEST
        self._progress = time.monotonic()
        self._avoid_until, self._avoid = 0.0, STALLED
        loop.watch(self._bell.fd, self._ready, self.close)

    @property
    def poller(self) -> Poller:
        if self._poller is None:
            self._poller = Poller()
        return self._poller

    # --- in

    def submit(
        self,
        channel: Channel,
        op: int,
        buffer: Any,
        nbytes: int,
        offset: int,
        spread: bool = False,
        kept: Any = None,
    ) -> loop.Future[int]:
        """Starts a request when its turn comes; the future's result is a count or minus an
        errno.
        """
        future = loop.new_future()
        self.ask(channel, future, op, buffer, nbytes, offset, spread, kept)
        return future

    def ask(
        self, channel: Channel, future: Any, op: int, buffer: Any, nbytes: int, offset: int,
        spread: bool = False, kept: Any = None,
    ) -> None:  # fmt: skip
        """The same for what has a future's done() and set_result()."""
        if channel.in_flight < WINDOW and (channel.behind is None or channel.free):
            self._enter(channel, future, op, buffer, nbytes, offset, spread, kept)
        else:
            channel.waiting.append(Wish(future, op, buffer, nbytes, offset, spread, kept))

    def _enter(
        self, channel: Channel, future: Any, op: int, buffer: Any, nbytes: int, offset: int,
        spread: bool, kept: Any,
    ) -> None:  # fmt: skip
        lane = channel.reader() if spread else channel.lanes[0]
        lane.busy += 1
        channel.in_flight += 1
        self._line.append(
            Entry(future, op, lane.fd, buffer, nbytes, offset, channel, lane, spread, kept)
        )
        if not self._flushing:
            self._flushing = True
            loop.soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        line = self._line
        aside = self.born or lib.forked or time.monotonic() < self._avoid_until
        while line and self._lists.entries < ROOM:
            entry = line[0]
            if entry.future.done():  # cancelled before it began
                self._leave(line.popleft())
                self._left = None
            elif aside or entry.lane.working:  # it must not overtake what is done there
                self._errands.do(line.popleft())
            else:
                entries = self._next_list()
                try:
                    self._lists.start(entries)
                finally:  # also after an interruption
                    if not self._lists.flies(entries):
                        for entry in entries:
                            self._errands.do(entry)
        if self._lists and not self._due:
            self._progress = time.monotonic()
            self._look_again(LATEST)

    def _next_list(self) -> list[Entry]:
        """A sync stands alone."""
        line = self._line
        first = line[0]
        n = 1
        if first.op != SYNC and first.op != DSYNC:
            for entry in islice(line, 1, BATCH):
                if (
                    entry.spread is not first.spread
                    or entry.op == SYNC
                    or entry.op == DSYNC
                    or entry.lane.working
                    or entry.future.done()
                ):
                    break
                n += 1
        return [line.popleft() for _ in range(n)]

    # --- out

    def _ready(self) -> None:
        self._bell.hush()
        try:
            for entry, n in self._errands.collect():
                self._deliver(entry, n)
                self._left = None
            self._harvest()
        except BaseException:  # a signal handler has raised: there may be more
            self._bell.ring()
            raise

    def _harvest(self) -> bool:
        """Hands out what is complete; True if that was something."""
        found = False
        self._lists.harvest()
        results = self._lists.found
        while results:
            entry, n, undone = results[0]
            if undone and not entry.future.done():
                self._errands.do(entry)
            else:
                found = True
                self._deliver(entry, n)
            del results[0]
            self._left = None  # it has a future, which keeps its loop
            lane = entry.lane
            if lane.working and not lane.flying:
                self._errands.begin(lane)
        if found:
            self._progress = time.monotonic()
            self._avoid = STALLED
        if self._line and not self._flushing:
            self._flush()
        return found

    def _deliver(self, entry: Entry, n: int) -> None:
        if self._left is not entry:  # else a signal handler has raised after it had left
            self._leave(entry)
        if not entry.future.done():
            entry.future.set_result(n)

    def _leave(self, entry: Entry) -> None:
        """Frees the entry's place for the next one of its channel."""
        channel: Channel = entry.channel
        self._left = entry
        channel.in_flight -= 1
        entry.lane.busy -= 1
        if entry.kept is not None:
            release(entry.kept)
        if channel.waiting:
            self._advance(channel)
        if not channel.in_flight:
            channel.rest()
            if channel.follower is not None:
                follower, channel.follower = channel.follower, None
                self._advance(follower)
            self.channels.let_go(channel)

    def _advance(self, channel: Channel) -> None:
        while channel.waiting and channel.free:
            future, op, buffer, nbytes, offset, spread, kept = channel.waiting.popleft()
            if future.done():
                release(kept)
                continue
            if isinstance(buffer, Later):
                later, buffer = buffer, fresh(nbytes)
                later.data = buffer
            self._enter(channel, future, op, buffer, nbytes, offset, spread, kept)

    def detach(self, future: loop.Future[int]) -> bool:
        """The awaiting task is gone: cancels what has not begun; whether the buffer may still be in
        use.

        A future that is still in a line will be passed over there.
        """
        if self._lists.detach(future):
            self._look_again(SOONEST)
            return True
        return errands.has(future)

    def detach_done(self, channel: Channel) -> None:
        """The same for all requests of a channel that nobody awaits any more."""
        if self._lists.detach_done(channel):
            self._look_again(SOONEST)

    # --- what can go wrong

    def _look_again(self, pause: float) -> None:
        due = time.monotonic() + pause
        if not self._due or due < self._due:
            self._due = due
            self._pause = pause
            loop.later(pause, self._look, due)

    def _look(self, due: float) -> None:
        """For lists that no waiter has taken, and for requests that glibc does not begin."""
        if due != self._due:
            return
        self._due = 0.0
        try:
            found = self._harvest()
        except BaseException:
            self._bell.ring()
            raise
        if found:
            lib.waiters_more()
        if self._lists:
            now = time.monotonic()
            if now - self._progress > STALLED:
                _say_that_the_pool_is_stuck()
                self._avoid_until = now + self._avoid
                self._avoid = min(2 * self._avoid, AVOID_MOST)
                self._lists.take_back()
                self._harvest()
            self._look_again(SOONEST if found else min(2 * self._pause, LATEST))

    def unsubmitted(self) -> list[Entry]:
        """What waits here and in the lines of channels, in the order of each channel."""
        found = list(self._line)
        for channel in {entry.channel: None for entry in (*self._lists.flying(), *found)}:
            lane = channel.lanes[0]
            for wish in channel.waiting:
                future, op, buffer, nbytes, offset, spread, kept = wish
                found.append(
                    Entry(future, op, lane.fd, buffer, nbytes, offset, channel, lane, spread, kept)
                )
        return found

    def close(self) -> None:
        """The loop has closed: whatever is in flight is released when glibc is done with it."""
        self._left = None
        if self.born == loop.generation():
            self._lists.abandon()
            self._line.clear()
            closed = self.loop()
            if closed is not None:
                _rings.pop(closed, None)


def _say_that_the_pool_is_stuck() -> None:
    names = {READ: "read", WRITE: "write"}
    blocked = [(names.get(one.op, "sync"), one.fd) for one in reversed(flight.in_flight())]
    log.pool_is_stuck(blocked)


_rings: weakref.WeakKeyDictionary[loop.Loop, Ring] = weakref.WeakKeyDictionary()
_making = threading.Lock()
_local = threading.local()


def current() -> Ring:
    """The ring of the running loop."""
    running = loop.running()
    try:
        ring: Ring | None = _local.ring()
        if ring is not None and ring.loop() is running:
            return ring
    except AttributeError:
        pass
    with _making:
        found = _rings.get(running)
        if found is None:
            found = _rings[running] = Ring()
    _local.ring = weakref.ref(found)
    return found


def rings() -> list[Ring]:
    """Those of all loops that are not closed."""
    return list(_rings.values())


async def rest() -> None:
    """Makes room for other tasks, and opens a slice for the next read of this one."""
    await current().turn.take()


def _in_child() -> None:
    global _making, _local, _rings
    _making, _local, _rings = threading.Lock(), threading.local(), weakref.WeakKeyDictionary()


os.register_at_fork(after_in_child=_in_child)
