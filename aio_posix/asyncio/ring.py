"""One loop's requests: what a turn asked for goes to glibc in one lio_listio, one notification
brings the loop back.

- An entry waits in its channel, then in `_line`, then flies in a batch. Its future gets a count or
  minus an errno, never an exception: nobody complains about one that nobody awaits any more.
- A batch goes back to the pool when its notice has come and all its results are handed out; until
  the notice comes flight.owed keeps the entries, and so buffers and lanes. Writes and syncs are
  known to flight.in_flight as well, which drains them at exit.
- Every wake-up looks at all batches: a list is only announced when its last entry is done. A timer
  looks as well, for notifications that glibc lost.
- What glibc refuses for want of threads, or never starts because all its helpers are blocked, the
  loop does itself.
"""

from __future__ import annotations

import asyncio
import errno
import time
import weakref
from collections import deque
from typing import Any

from aio_posix import flight
from aio_posix._ffi import ffi, lib
from aio_posix.asyncio.batch import BATCH, DSYNC, NOBODY, READ, SYNC, WRITE, Batch, Entry, let_go
from aio_posix.asyncio.channel import WINDOW, Channel, Lane
from aio_posix.asyncio.native import batch_collect, batch_submit
from aio_posix.asyncio.turn import Turn
from aio_posix.queue import CompletionQueue

# requests of a loop in glibc, whose cost for each grows with the number of busy descriptors
ROOM = 1024
SOONEST, LATEST = (
    0.001,
    0.1,
)  # seconds between two looks for lost notifications; the shorter after one was found
STALLED = 1.0  # seconds without any progress until the loop takes over what glibc has not begun
OWN_TURN = 0.002  # seconds that the loop works for itself before it gives others a turn


class Ring:
    """The requests of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.turn = Turn()
        self.channels: dict[int, Channel] = {}  # of bare descriptors, while they have requests
        self.loop = weakref.ref(loop)
        self._queue = CompletionQueue()
        self._sigevent = self._queue.sigevent()
        self._plan = self._sigevent._address
        self._line: deque[Entry] = deque()
        self._batches: list[Batch] = []
        self._spare: list[Batch] = []
        self._in_glibc = 0
        self._flushing = False
        self._due = 0.0  # of the next look; 0: none
        self._own: deque[Entry] = deque()
        self._pause = LATEST
        self._progress = time.monotonic()
        loop.add_reader(self._queue.fileno(), self._ready)

    def bare(self, fd: int, name: Any) -> Channel:
        """The channel of a descriptor that nobody lent us for longer than a request."""
        channel = self.channels.get(fd)
        if channel is None:
            channel = self.channels[fd] = Channel(Lane(fd), name)
        return channel

    def idle(self, fd: int, channel: Channel, *, at_once: bool = False) -> None:
        """Forgets it when it has no requests (or at once), for the number may come to mean another
        file.
        """
        if (at_once or not channel.in_flight) and self.channels.get(fd) is channel:
            del self.channels[fd]

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
    ) -> asyncio.Future[int]:
        """Starts a request when its turn comes; the future's result is a count or minus an
        errno.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        if channel.in_flight >= WINDOW:
            channel.waiting.append((future, op, buffer, nbytes, offset, spread, kept))
        else:
            self._enter(loop, channel, future, op, buffer, nbytes, offset, spread, kept)
        return future

    def _enter(
        self, loop: asyncio.AbstractEventLoop, channel: Channel, future: asyncio.Future[int], op: int, buffer: Any,
        nbytes: int, offset: int, spread: bool, kept: Any,
    ) -> None:  # fmt: skip
        lane = channel.reader() if spread else channel.lanes[0]
        lane.busy += 1
        channel.in_flight += 1
        self._line.append(
            (future, op, lane.fd, buffer, nbytes, offset, channel, lane, spread, kept)
        )
        if not self._flushing:
            self._flushing = True
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        line = self._line
        while line and self._in_glibc < ROOM:
            entries: list[Entry] = []
            while line and len(entries) < BATCH:
                entry = line[0]
                if entry[0].done():  # cancelled before it began
                    self._leave(line.popleft())
                    continue
                alone = entry[1] == SYNC or entry[1] == DSYNC
                if entries and (alone or entry[8] is not entries[0][8]):
                    break
                entries.append(line.popleft())
                if alone:
                    break
            if entries:
                self._start(entries)

    def _start(self, entries: list[Entry]) -> None:
        if self._own:  # behind what the loop does itself, or they would overtake it
            self._own.extend(entries)
            return
        batch = self._spare.pop() if self._spare else Batch()
        batch.entries = entries
        batch.noticed = batch.refused = False
        notice = flight.promise(
            self._sigevent, batch, batch.serials, self._sigevent
        )  # whose plan glibc reads from
        error = batch_submit(batch.address, entries, flight.serials, self._plan, notice)
        if error < 0:
            flight.break_promise(notice)
            self._spare.append(batch)
            for entry in entries:
                self._do_it_here(entry)
            return
        for i, entry in enumerate(entries):
            if entry[1] != READ:
                key = next(flight.serials)
                name = f"{'write' if entry[1] == WRITE else 'fsync'} of descriptor {entry[2]}"
                flight.in_flight[key] = (lib.batch_request(batch.c, i), name, batch)
                batch.serials.append(key)
        self._batches.append(batch)
        self._in_glibc += len(entries)
        if not self._due:
            self._progress = time.monotonic()
            self._look_again(LATEST)
        if error:
            batch.refused = True
            self._harvest()

    # --- out

    def _ready(self) -> None:
        for batch in self._queue.get(0):
            batch.noticed = True
            if not batch.c.left:
                self._recycle(batch)
        self._harvest()

    def _harvest(self) -> bool:
        """Hands out what is complete; True if that was something.

        Futures of what is handed out are forgotten: until the notice is taken they would keep the
        loop and this ring.
        """
        found = False
        batches, self._batches = self._batches, []
        for batch in batches:
            results = batch_collect(batch.address)
            if results:
                found = True
                self._in_glibc -= len(results)
                for i, n in results:
                    self._deliver(batch, i, n)
            if batch.c.left:
                for i, _ in results:
                    batch.entries[i] = (NOBODY, *batch.entries[i][1:])
                self._batches.append(batch)
                continue
            batch.entries = []
            if batch.noticed:
                self._recycle(batch)
        if found:
            self._progress = time.monotonic()
            if self._line and not self._flushing:
                self._flush()
        return found

    def _recycle(self, batch: Batch) -> None:
        batch.serials = []
        self._spare.append(batch)

    def _deliver(self, batch: Batch, i: int, n: int) -> None:
        entry = batch.entries[i]
        future = entry[0]
        if future.done():
            self._leave(entry)
        elif n < 0 and (n == -errno.ECANCELED or (n == -errno.EAGAIN and batch.refused)):
            self._do_it_here(entry)
        else:
            self._leave(entry)
            future.set_result(n)

    def _leave(self, entry: Entry) -> None:
        """Frees the entry's place for the next one of its channel."""
        channel: Channel = entry[6]
        if entry[9] is not None:
            let_go(entry[9])
        channel.in_flight -= 1
        entry[7].busy -= 1
        waiting = channel.waiting
        while waiting and channel.in_flight < WINDOW:
            next_in_line = waiting.popleft()
            if not next_in_line[0].done():
                self._enter(asyncio.get_running_loop(), channel, *next_in_line)

    def detach(self, future: asyncio.Future[int]) -> bool:
        """The awaiting task is gone: cancels what has not begun; whether glibc may still use the
        buffer.

        A future that is still in a line will be passed over there.
        """
        for batch in self._batches:
            for i, entry in enumerate(batch.entries):
                if entry[0] is future:
                    batch.entries[i] = (NOBODY, *entry[1:])  # as _harvest does
                    lib.batch_cancel(batch.c, i)
                    self._look_again(SOONEST)
                    return bool(batch.c.left)
        return False

    # --- what can go wrong

    def _look_again(self, pause: float) -> None:
        due = time.monotonic() + pause
        if not self._due or due < self._due:
            self._due = due  # and no handle of the timer: it would keep its loop, and so this ring
            self._pause = pause
            asyncio.get_running_loop().call_later(pause, self._look, due)

    def _look(self, due: float) -> None:
        """For notifications that do not come, and for requests that glibc does not begin."""
        if due != self._due:
            return
        self._due = 0.0
        found = self._harvest()
        if not self._batches:
            return
        if time.monotonic() - self._progress > STALLED:
            self._take_over()
        self._look_again(SOONEST if found else min(2 * self._pause, LATEST))

    def _take_over(self) -> None:
        """Takes back what is behind no running request: all helpers are blocked in something
        else.
        """
        running = set()
        for batch in list(self._batches):
            for i, entry in enumerate(batch.entries):
                if entry[2] not in running and lib.batch_cancel(batch.c, i) == lib.AIO_NOTCANCELED:
                    running.add(entry[2])
        self._harvest()

    def _do_it_here(self, entry: Entry) -> None:
        self._own.append(entry)
        if len(self._own) == 1:
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Does a little of what glibc would not do."""
        ends = time.monotonic() + OWN_TURN
        while self._own and time.monotonic() < ends:
            entry = self._own[0]
            future, op, fd, buffer, nbytes, offset = entry[:6]
            if not future.done():
                address = (
                    ffi.from_buffer(buffer)
                    if isinstance(buffer, bytes)
                    else ffi.cast("void *", buffer or 0)
                )
                future.set_result(lib.perform(op, fd, address, nbytes, offset))
            self._own.popleft()
            self._leave(entry)
        if self._own:
            asyncio.get_running_loop().call_soon(self._work)

    def close(self) -> None:
        """Whatever is in flight is let go of when glibc is done with it."""
        self._queue.close()

    def __del__(self) -> None:
        if hasattr(self, "_queue"):
            self.close()
