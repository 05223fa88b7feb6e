"""One loop's requests: what a turn asked for goes to glibc in one lio_listio, one waiter brings the
loop back.

- A wish waits in its channel, then as an entry in `_line`, then flies in a batch. Its future gets a
  count or minus an errno, never an exception: nobody complains about one that nobody awaits any
  more.
- Until all results of a batch are handed out flight.in_flight keeps it, and so buffers and lanes.
  Writes and syncs have a record of their own there, and are drained at exit.
- Every wake-up looks at all batches: the bell rings only when the last entry of a list is done. A
  timer looks as well, for lists that no waiter has taken.
- What glibc refuses for want of threads, never starts because all its helpers are blocked, or would
  never do in a forked child, errands.py does.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import weakref
from collections import deque
from itertools import islice
from typing import Any, cast

from aio_posix import flight
from aio_posix._ffi import lib
from aio_posix.asyncio import errands, loop
from aio_posix.asyncio.batch import BATCH, DSYNC, READ, SYNC, Batch, Entry, Wish
from aio_posix.asyncio.errands import Bell, Errands
from aio_posix.asyncio.lane import Channel
from aio_posix.asyncio.memory import release
from aio_posix.asyncio.native import batch_collect, batch_submit, same_file
from aio_posix.asyncio.openfile import duplicate
from aio_posix.asyncio.poller import Poller
from aio_posix.asyncio.turn import Turn

# requests of a loop in glibc, whose cost for each grows with the number of busy descriptors
ROOM = 1024
# seconds between two looks of the timer; the shorter after one that found something
SOONEST, LATEST = 0.001, 0.1
STALLED = 1.0  # seconds without any progress until others do what glibc has not begun
AVOID_MOST = 64.0  # seconds that glibc gets no requests after it has stalled again and again


class _Nobody:
    """In place of a future that nobody awaits any more."""

    def done(self) -> bool:
        return True


NOBODY = cast("loop.Future[int]", _Nobody())


class Ring:
    """The requests of one loop."""

    def __init__(self) -> None:
        self.born = loop.generation()
        self.turn = Turn()
        self.loop = weakref.ref(loop.running())
        self._poller: Poller | None = None
        self._borrowed: dict[int, Channel] = {}  # by the user's number
        self._bell = Bell()
        self._errands = Errands(self._bell, self._deliver)
        self._line: deque[Entry] = deque()
        self._batches: list[Batch] = []
        self._spare: deque[Batch] = deque()
        self._in_glibc = 0
        self._flushing = False
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

    def borrow(self, fd: int, name: Any, *, shared: bool) -> Channel:
        """A channel of the file that the user's descriptor means now; shared: with all that is
        asked of this descriptor.
        """
        channel = Channel(duplicate(fd), name)
        channel.given_up = True
        if shared:
            old = self._borrowed.get(fd)
            if (
                old is not None
                and same_file(fd, old.lanes[0].fd) < 0
                and os.path.sameopenfile(fd, old.lanes[0].fd)
            ):  # perhaps the same open file: writes keep their order
                channel.behind, old.follower = old, channel
            self._borrowed[fd] = channel
            channel.borrowed = fd
        return channel

    def borrowed(self, fd: int) -> Channel | None:
        """The shared channel of a descriptor on which something goes on already."""
        old = self._borrowed.get(fd)
        return old if old is not None and same_file(fd, old.lanes[0].fd) == 1 else None

    def left(self, channel: Channel) -> None:
        """A call is over."""
        channel.users -= 1
        self.let_go(channel)

    def let_go(self, channel: Channel) -> None:
        """Gives duplicates back after the last call and request that need them."""
        if channel.given_up and channel.idle:
            if channel.borrowed is not None and self._borrowed.get(channel.borrowed) is channel:
                del self._borrowed[channel.borrowed]
            channel.lanes.clear()

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
        wish = Wish(future, op, buffer, nbytes, offset, spread, kept)
        if channel.free:
            self._enter(channel, wish)
        else:
            channel.waiting.append(wish)
        return future

    def _enter(self, channel: Channel, wish: Wish) -> None:
        lane = channel.reader() if wish.spread else channel.lanes[0]
        lane.busy += 1
        channel.in_flight += 1
        future, op, buffer, nbytes, offset, spread, kept = wish
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
        while line and self._in_glibc < ROOM:
            entry = line[0]
            if entry.future.done():  # cancelled before it began
                self._leave(line.popleft())
            elif aside or entry.lane.working:  # it must not overtake what is done there
                self._errands.do(line.popleft())
            else:
                self._start(self._list())

    def _list(self) -> list[Entry]:
        """What goes into the next list: a sync stands alone."""
        first = self._line[0]
        n = 1
        if first.op != SYNC and first.op != DSYNC:
            for entry in islice(self._line, 1, BATCH):
                if (
                    entry.op == SYNC
                    or entry.op == DSYNC
                    or entry.spread is not first.spread
                    or entry.future.done()
                    or entry.lane.working
                ):
                    break
                n += 1
        return [self._line.popleft() for _ in range(n)]

    def _start(self, entries: list[Entry]) -> None:
        batch = None
        error = -errno.ENOMEM
        try:
            batch = self._unused()
            batch.entries = cast("list[Entry | None]", entries)
            self._batches.append(batch)
            error = batch_submit(batch.address, entries, flight.serials, self._bell.address)
        except MemoryError:
            pass
        finally:  # also after an interruption
            if batch is not None and batch.c.left:
                self._keep(batch)
            else:
                if batch is not None:
                    batch.entries = []
                    self._batches.remove(batch)
                    self._spare.append(batch)
                for entry in entries:
                    self._errands.do(entry)
        if error > 0:
            cast("Batch", batch).refused = True
            self._harvest()

    def _unused(self) -> Batch:
        for _ in range(len(self._spare)):
            batch = self._spare.popleft()
            if not lib.batch_held(batch.c):
                batch.refused = False
                return batch
            self._spare.append(batch)
        return Batch()

    def _keep(self, batch: Batch) -> None:
        for i, entry in enumerate(batch.entries):
            if entry is not None and (entry.op != READ or not i):
                self._record(batch, i, entry)
        self._in_glibc += len(batch.entries)
        if not self._due:
            self._progress = time.monotonic()
            self._look_again(LATEST)

    def _record(self, batch: Batch, i: int, entry: Entry) -> Any:
        request = lib.batch_request(batch.c, i)
        serial = request.word >> 2
        name = entry.channel.name
        file = f"descriptor {entry.fd}" if name is None else name
        flight.in_flight[serial] = (request, entry.op, None, file, batch)
        batch.serials.append(serial)
        return request

    # --- out

    def _ready(self) -> None:
        lib.bell_hush(self._bell.c)
        self._errands.collect()
        self._harvest()
        if self._line and not self._flushing:
            self._flush()

    def _harvest(self) -> bool:
        """Hands out what is complete; True if that was something."""
        found = False
        batches, self._batches = self._batches, []
        try:
            for batch in batches:
                results = batch_collect(batch.address)
                self._in_glibc -= len(results)
                for i, n in results:
                    entry = batch.entries[i]
                    batch.entries[i] = None
                    if entry is not None:
                        found |= self._landed(batch, entry, n)
        finally:
            for batch in batches:
                if batch.c.left:
                    self._batches.append(batch)
                else:
                    self._recycle(batch)
        if found:
            self._progress = time.monotonic()
            self._avoid = STALLED
        return found

    def _landed(self, batch: Batch, entry: Entry, n: int) -> bool:
        """False if glibc did not do it."""
        if (n == -errno.ECANCELED or (n == -errno.EAGAIN and batch.refused)) and (
            not entry.future.done()
        ):
            self._errands.do(entry)
            return False
        self._deliver(entry, n)
        return True

    def _recycle(self, batch: Batch) -> None:
        for serial in batch.serials:
            flight.in_flight.pop(serial, None)
        batch.serials = []
        batch.entries = []
        self._spare.append(batch)

    def _deliver(self, entry: Entry, n: int) -> None:
        self._leave(entry)
        if not entry.future.done():
            entry.future.set_result(n)

    def _leave(self, entry: Entry) -> None:
        """Frees the entry's place for the next one of its channel."""
        channel = entry.channel
        if entry.kept is not None:
            release(entry.kept)
        channel.in_flight -= 1
        entry.lane.busy -= 1
        if channel.waiting:
            self._advance(channel)
        if not channel.in_flight:
            channel.rest()
            if channel.follower is not None:
                follower, channel.follower = channel.follower, None
                self._advance(follower)
            self.let_go(channel)

    def _advance(self, channel: Channel) -> None:
        while channel.waiting and channel.free:
            wish = channel.waiting.popleft()
            if wish.future.done():
                release(wish.kept)
            else:
                self._enter(channel, wish)

    def detach(self, future: loop.Future[int]) -> bool:
        """The awaiting task is gone: cancels what has not begun; whether the buffer may still be in
        use.

        A future that is still in a line will be passed over there.
        """
        for batch in self._batches:
            for i, entry in enumerate(batch.entries):
                if entry is not None and entry.future is future:
                    batch.entries[i] = entry._replace(future=NOBODY)  # a future keeps its loop
                    lib.batch_cancel(batch.c, i)
                    self._look_again(SOONEST)
                    return True
        return errands.has(future)

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
        found = self._harvest()
        if found:
            lib.waiters_more()
        if self._line and not self._flushing:
            self._flush()
        if not self._batches:
            return
        if time.monotonic() - self._progress > STALLED:
            self._take_over()
        self._look_again(SOONEST if found else min(2 * self._pause, LATEST))

    def _take_over(self) -> None:
        """Takes back what is behind no running request: all helpers are blocked in something
        else.
        """
        self._avoid_until = time.monotonic() + self._avoid
        self._avoid = min(2 * self._avoid, AVOID_MOST)
        running = set()
        for batch in list(self._batches):
            for i, entry in enumerate(batch.entries):
                if (
                    entry is not None
                    and entry.fd not in running
                    and lib.batch_cancel(batch.c, i) == lib.AIO_NOTCANCELED
                ):
                    running.add(entry.fd)
        self._harvest()

    def close(self) -> None:
        """The loop has closed: whatever is in flight is released when glibc is done with it."""
        if self.born != loop.generation():
            return
        batches, self._batches = self._batches, []
        for batch in batches:
            for i, entry in enumerate(batch.entries):
                if entry is not None:
                    batch.entries[i] = entry._replace(future=NOBODY)
                    lib.request_abandon(self._record(batch, i, entry))
            for serial in batch.serials:
                kept = flight.in_flight.get(serial)
                if kept is not None:
                    flight.look(kept[0])
        self._line.clear()


_rings: weakref.WeakKeyDictionary[loop.Loop, Ring] = weakref.WeakKeyDictionary()
_making = threading.Lock()
_here = threading.local()


def current() -> Ring:
    """The ring of the running loop."""
    running = loop.running()
    try:
        ring: Ring | None = _here.ring()
        if ring is not None and ring.loop() is running and ring.born == loop.generation():
            return ring
    except AttributeError:
        pass
    with _making:
        found = _rings.get(running)
        if found is None:
            found = _rings[running] = Ring()
    _here.ring = weakref.ref(found)
    return found


async def rest() -> None:
    """Makes room for other tasks, and opens a slice for the next read of this one."""
    await current().turn.take()


def _in_child() -> None:
    global _making, _here, _rings
    _making, _here, _rings = threading.Lock(), threading.local(), weakref.WeakKeyDictionary()


os.register_at_fork(after_in_child=_in_child)
