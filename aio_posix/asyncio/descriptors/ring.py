"""One loop's requests, which glibc does in lists, or threads of ours.

- An entry waits in `line`; what one turn of the loop asked for goes to glibc together. Its future
  gets what it reads, a count, or minus an errno. It never gets an exception, because asyncio would
  complain about one that nobody awaits any more.
- While lists fly, the loop looks at them in each turn, for as long as that finds something or for
  PATIENCE. Many are done before a thread would have been woken to say so. Then waiters get them,
  and ring the bell when one is done. O_DIRECT reads take longer, so theirs go to waiters at once. A
  timer looks as well, for lists that no waiter has taken.
- What glibc refuses because it lacks threads, does not begin because its helpers are all blocked,
  or would never do in a forked child, is done by threads, or by the loop where none can be made.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from aio_posix import flight, log
from aio_posix._ffi import lib
from aio_posix.asyncio import exits, loop
from aio_posix.asyncio.bell import Bell
from aio_posix.asyncio.descriptors import errands
from aio_posix.asyncio.descriptors.batch import (
    BATCH,
    DSYNC,
    READ,
    SYNC,
    WRITE,
    Entry,
    seam,
)
from aio_posix.asyncio.descriptors.channel import Channel, Channels
from aio_posix.asyncio.descriptors.errands import Errands
from aio_posix.asyncio.descriptors.lists import Lists
from aio_posix.asyncio.descriptors.poller import Poller
from aio_posix.asyncio.jobs import Jobs
from aio_posix.asyncio.patience import Patience
from aio_posix.asyncio.turn import Turn

# lists of a loop in glibc, whose cost for each request grows with the number of busy descriptors
ROOM = 64
# seconds between two looks of the timer; the shorter after one that found something
SOONEST, LATEST = 0.001, 0.1
# seconds; a helper that slept takes some 30 us to begin, and a waiter some 40 us to ring
PATIENCE = 50e-6
STALLED = 1.0  # seconds without any progress until threads do what glibc has not begun
AVOID_MOST = 64.0  # seconds that glibc gets no requests after it has stalled again and again
SYNCS = (SYNC, DSYNC)
UNDONE = (-errno.ECANCELED, -errno.EAGAIN)  # glibc did not do it


class Ring:
    """The requests of one loop."""

    def __init__(self) -> None:
        self.born = loop.generation()
        self.loop = weakref.ref(loop.running())
        self.turn = Turn()
        self.channels = Channels()
        self._poller: Poller | None = None
        self._bell = Bell()
        self.jobs = Jobs(self._bell)
        self._lists = Lists(self._bell)
        self._errands = Errands(self._bell)
        self.line: deque[Entry] = deque()
        self.flushing = self._busy = self._looking = False
        self._touched: list[Channel] = []  # requests of theirs have ended
        self._patience = Patience(PATIENCE)
        self._due = 0.0  # of the next look of the timer; 0: none
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

    def flush_soon(self) -> None:
        """What is in the line goes to glibc in the next turn."""
        if not self.flushing:
            self._look_again(LATEST)  # before anything that a signal handler may end
            self.flushing = True
            loop.soon(self._flush)

    def hurry(self) -> None:
        """A list of them goes at once, and helpers begin while its caller asks for more."""
        if len(self.line) >= BATCH and not self._busy:
            self._flush()

    def _flush(self) -> None:
        line, lists = self.line, self._lists
        aside = self.born or lib.forked or time.monotonic() < self._avoid_until
        self.flushing, self._busy = False, True
        near = False  # whether something went that may be done before a thread is woken
        try:
            while line and len(lists.flying) < ROOM:
                entry = line[0]
                if entry.future.done():  # cancelled before it began
                    self._touch(entry.channel)
                    entry.channel.in_flight -= 1
                    entry.lane.busy -= 1
                    line.popleft()
                elif (  # it must not overtake what is done there
                    aside or entry.lane.own is not None or not lists.start(line, self._together())
                ):
                    self._do(entry)
                    line.popleft()
                elif not (entry.spread and entry.channel.kind.direct):
                    near = True
            self._advance()
        finally:  # also after an interruption
            self._busy = False
            if lists.flying and not self._looking:
                if near:
                    self._patience.begin()
                    self._looking = True
                    loop.soon(self._look)
                else:
                    lists.post()

    def _together(self) -> int:
        """How many at the head of the line make one list. A sync stands alone."""
        line = self.line
        first = line[0]
        n, spreads = 1, first.spread
        if first.op not in SYNCS:
            # unpacked, because a field of a named tuple costs 30 ns
            for future, op, _, _, _, _, _, _, lane, spread in islice(line, 1, BATCH):
                if spread is not spreads or op in SYNCS or lane.own is not None or future.done():
                    break
                n += 1
        return n

    def _do(self, entry: Entry) -> None:
        self._errands.do(entry)
        if not self._lists.has(entry.lane):
            self._errands.begin(entry.lane)

    # --- out

    def _ready(self) -> None:
        self._bell.hush()
        self.jobs.ready()
        self._harvest()

    def _look(self) -> None:
        self._looking = False
        found = self._harvest(whole=True)
        if not self._lists.flying:
            return
        if found:
            self._patience.found()
        elif self._patience.ends():
            self._lists.post()
            return
        self._looking = True
        loop.soon(self._look)

    def _harvest(self, *, whole: bool = False) -> bool:
        """Hands out what is complete, and lists only as a whole if that is asked for; True if that
        was something.
        """
        busy, self._busy = self._busy, True
        try:
            self._errands.collect()
            self._deliver(self._errands.found)
            self._lists.harvest(whole)
            found = bool(self._lists.found)
            if found:
                self._deliver(self._lists.found, UNDONE)
                self._progress = time.monotonic()
                self._avoid = STALLED
            self._advance()
        except BaseException:  # a signal handler has raised, and there may be more
            self._bell.ring()
            raise
        finally:
            self._busy = busy
        if self.line:
            self._flush()
        return found

    def _deliver(self, found: list[tuple[Entry, Any]], undone: tuple[int, ...] = ()) -> None:
        """A signal handler may raise after any call, so what counts an entry is no call."""
        watcher = seam.watcher
        last = None
        while found:
            entry, result = found[0]
            future, _, _, _, _, _, _, channel, lane, _ = entry
            if watcher is not None:
                watcher.given(entry, result)
            if not future.done():
                if undone and result.__class__ is int and result in undone:
                    self._do(entry)
                    del found[0]
                    continue
                future.set_result(result)
            if channel is not last:
                self._touch(channel)
                last = channel
            channel.in_flight -= 1
            lane.busy -= 1
            del found[0]
            if lane.own and not self._lists.has(lane):
                self._errands.begin(lane)

    def _touch(self, channel: Channel) -> None:
        if channel not in self._touched:
            self._touched.append(channel)

    def _advance(self) -> None:
        while self._touched:
            self._touched[-1].advance()
            self._touched.pop()

    def detach(self, future: loop.Future[Any]) -> bool:
        """The awaiting task is gone: cancels what has not begun; whether it is on its way.

        A future that is still in a line will be passed over there.
        """
        if seam.watcher is not None:
            seam.watcher.detached(future)
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
        now = time.monotonic()
        due = now + pause
        if not self._due or due < self._due or self._due < now - LATEST:  # that one was lost
            if not self._lists.flying:
                self._progress = now
            self._due = due
            self._pause = pause
            loop.later(pause, self._look_late, due)

    def _look_late(self, due: float) -> None:
        """For lists that no waiter has taken, and for requests that glibc does not begin."""
        if due != self._due:
            return
        self._due = 0.0
        found = self._harvest()
        if found:
            lib.waiters_more()
        if self._lists.flying or self.line:
            now = time.monotonic()
            if now - self._progress > STALLED:
                _say_that_the_pool_is_stuck()
                self._avoid_until = now + self._avoid
                self._avoid = min(2 * self._avoid, AVOID_MOST)
                self._lists.take_back()
                self._harvest()
            self._look_again(SOONEST if found else min(2 * self._pause, LATEST))

    def _channels(self) -> Iterable[Channel]:
        return {entry.channel: None for entry in (*self._lists.entries(), *self.line)}

    def unsubmitted(self) -> list[Entry]:
        """What waits here and in the lines of channels, in the order of each channel."""
        found = [*self._lists.refused(), *self.line]
        for channel in self._channels():
            lane = channel.lanes[0]
            found += [entry._replace(lane=lane, fd=lane.fd) for entry in channel.waiting]
        return found

    def close(self) -> None:
        """The loop has closed. Whatever is in flight is released when glibc is done with it."""
        self.jobs.close()
        if self.born == loop.generation():
            for channel in self._channels():
                channel.waiting.clear()  # no cycle of garbage may keep the channel
            self._lists.abandon()
            self.line.clear()
            self.channels = Channels()
            self._poller = None
            closed = self.loop()
            if closed is not None:
                _rings.pop(closed, None)


def _say_that_the_pool_is_stuck() -> None:
    names = {READ: "read", WRITE: "write"}
    blocked = [(names.get(one.op, "sync"), one.fd) for one in reversed(flight.in_flight())]
    log.pool_is_stuck(blocked)


_rings: weakref.WeakKeyDictionary[loop.Loop, Ring] = weakref.WeakKeyDictionary()
_making = threading.Lock()


def _none() -> None:
    return None


_latest: Callable[[], Ring | None] = _none


def current() -> Ring:
    """The ring of the running loop."""
    global _latest
    running = loop.running()
    ring = _latest()
    if ring is not None and ring.loop() is running:
        return ring
    with _making:
        found = _rings.get(running)
        if found is None:
            exits.before_the_end(_finish)
            found = _rings[running] = Ring()
    _latest = weakref.ref(found)
    return found


async def rest() -> None:
    """Makes room for other tasks, and opens a slice for the next read of this one."""
    await current().turn.take()


def _finish() -> None:
    """asyncio.run() cancels its tasks, and leaves nothing to be done here."""
    errands.finish(
        lambda: [entry for ring in list(_rings.values()) for entry in ring.unsubmitted()]
    )


def _in_child() -> None:
    global _making, _latest, _rings
    _making, _latest, _rings = threading.Lock(), _none, weakref.WeakKeyDictionary()


os.register_at_fork(after_in_child=_in_child)
