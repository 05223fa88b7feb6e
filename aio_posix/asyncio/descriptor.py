"""One open file to read and write: decides between the page cache, requests, and waiting for a
stream.

- A borrowed number belongs to the user, who may close it at any moment: there is a duplicate while
  something goes on. An owned number is the file's own. It is closed only when no request needs it.
- One object may be used in one loop after another, and in a forked child, where it begins anew.
- A wrong argument raises in the call that made it, before anything is queued.
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from operator import index
from typing import TYPE_CHECKING, Any

from aio_posix.asyncio import ending, loop, many, pipes, transfer
from aio_posix.asyncio.arguments import readable, writable
from aio_posix.asyncio.batch import DSYNC, READ, SYNC, Later
from aio_posix.asyncio.channel import Channel
from aio_posix.asyncio.memory import read_resident
from aio_posix.asyncio.native import (
    ABSENT,
    NOW_MOST,
    REST,
    declined,
    fresh,
    may_now,
    read_now,
    same_file,
)
from aio_posix.asyncio.openfile import Kind, OpenFile, duplicate, kind
from aio_posix.asyncio.ring import Ring, current

if TYPE_CHECKING:
    from aio_posix._types import ReadableBuffer, WritableBuffer

OFF_MOST = 2**63 - 1
CLOSED = "I/O operation on closed file."


def _no_ring() -> Ring | None:
    return None


class Descriptor:
    """One open file; name goes into its errors. This form owns a duplicate."""

    __slots__ = (
        "__weakref__",
        "_born",
        "_channel",
        "_fd",
        "_file",
        "_kind",
        "_ring",
        "_shared",
        "name",
    )

    def __init__(self, fd: int, name: Any = None) -> None:
        file = duplicate(fd)
        self._set(file.fd, file, name)

    def _set(self, fd: int, file: OpenFile | None, name: Any) -> None:
        self._fd = fd
        self._file = file  # None: borrowed
        self._born = loop.generation()
        self._ring: Callable[[], Ring | None] = _no_ring
        self._channel: Channel | None = None
        self._kind: Kind | None = None
        self._shared = False  # a borrowed number whose calls keep their order with those of others
        self.name = name

    @classmethod
    def owning(cls, fd: int, keeper: Any, name: Any = None) -> Descriptor:
        """Of a number that belongs to ``keeper``, which would close it if it were dropped."""
        self = cls.__new__(cls)
        self._set(fd, OpenFile(fd, keeper), name)
        return self

    @classmethod
    def borrowing(cls, fd: int, name: Any = None, *, shared: bool = False) -> Descriptor:
        """Of a number that somebody else may close at any moment; shared: with all that is asked
        of this number in this loop.
        """
        self = cls.__new__(cls)
        self._set(fd, None, name)
        self._shared = shared
        return self

    @property
    def closed(self) -> bool:
        return self._fd < 0

    @property
    def stream(self) -> bool:
        """A pipe, socket or terminal: a read may wait for ever, and there are no positions."""
        return self._what(self._known(current())).stream

    @property
    def direct(self) -> bool:
        """Opened with O_DIRECT."""
        return self._what(self._known(current())).direct

    def fileno(self) -> int:
        if self._fd < 0:
            raise ValueError(CLOSED)
        return self._fd

    def _known(self, ring: Ring) -> Channel | None:
        """The channel of this file in this loop, if there is one."""
        if self._shared:
            return ring.channels.of(self._fd)
        channel = self._channel
        if channel is None or self._ring() is not ring:
            return None
        if self._file is None and not (
            channel.lanes and same_file(self._fd, channel.lanes[0].fd) == 1
        ):
            return None
        return channel

    def _new(self, ring: Ring) -> Channel:
        ending.arrange()
        fd = self.fileno()
        if self._file is None:
            channel = ring.channels.borrow(fd, self.name, shared=self._shared)
        else:
            if self._born != ring.born:  # requests of the parent may hold it for ever
                self._born = ring.born
                self._file = self._file.renewed()
            channel = Channel(self._file, self.name)
        if not self._shared:
            self._ring, self._channel = weakref.ref(ring), channel
        return channel

    def _what(self, channel: Channel | None) -> Kind:
        if channel is not None:
            return channel.kind
        if self._file is None:  # the number may mean another file the next time
            return kind(self.fileno())
        if self._kind is None:
            self._kind = kind(self.fileno())
        return self._kind

    @contextlib.contextmanager
    def _use(self) -> Iterator[tuple[Ring, Channel]]:
        """The channel in this loop, while a call goes on."""
        ring = current()
        channel = self._known(ring) or self._new(ring)
        channel.users += 1
        try:
            yield ring, channel
        finally:
            ring.channels.left(channel)

    # --- files with positions

    async def pread(self, nbytes: int, offset: int) -> bytes:
        """nbytes at offset; less only at the end of the file (of a pipe or socket: what there
        is).
        """
        data = read_now(self._fd, nbytes, offset)
        if data is not None:
            return data
        return await self.pread_missed(nbytes, offset)

    async def pread_missed(self, nbytes: int, offset: int) -> bytes:
        """After read_now has declined."""
        why = declined()
        ring = current()
        if why == REST and (opened := ring.turn.open()):
            data = read_now(self._fd, nbytes, offset)
            if data is not None:
                return data
            why = declined()
        nbytes, offset = index(nbytes), index(offset)
        if nbytes < 0:
            raise ValueError(f"nbytes {nbytes} is negative")
        channel = self._known(ring)
        if why != ABSENT and (self._what(channel) if channel is None else channel.kind).stream:
            return await self.receive(nbytes)
        if offset < 0:
            raise before_the_beginning(offset)
        if channel is None:  # before others run, for they may close the number
            channel = self._new(ring)
        channel.users += 1
        try:
            if why == REST:
                await (ring.turn.take() if opened else ring.turn.rest())
                data, why = await transfer.read_rested(ring, channel, nbytes, offset)
                if data is not None:
                    return data
            if why != ABSENT and channel.kind.direct:
                return await transfer.read_direct(ring, channel, nbytes, offset)
            if nbytes > NOW_MOST:
                return await transfer.read_on(ring, channel, fresh(nbytes), 0, offset)
            memory = fresh(nbytes) if channel.free else Later(nbytes)
            future = ring.submit(channel, READ, memory, nbytes, offset, why == ABSENT)
            try:
                n = await future
            except BaseException:
                ring.detach(future)
                raise
            whole = memory.data if isinstance(memory, Later) else memory
            if n == nbytes:
                return whole
            if n < 0:
                raise channel.failure(READ, -n)
            if n == 0:
                return b""
            return await transfer.read_on(ring, channel, whole, n, offset)
        finally:
            channel.users -= 1
            if channel.given_up and not channel.users:
                ring.channels.let_go(channel)

    async def preadinto(self, buffer: WritableBuffer, offset: int) -> int:
        """Into the buffer, which can be neither resized nor freed meanwhile; the count, short only
        at the end of the file.
        """
        offset = place(offset)
        with writable(buffer, "readinto") as view:  # held, or it could be resized between requests
            nbytes = len(view)
            ring = current()
            what = self._what(self._known(ring))
            if what.stream:
                return await self.receive_into(buffer)
            if offset < 0:
                raise before_the_beginning(offset)
            got, over = 0, not nbytes
            fast = nbytes <= NOW_MOST and not what.direct
            if fast and not over and may_now(self._fd, nbytes):
                got, over = read_resident(self._fd, view, offset)
            if over:
                self.fileno()
                return got
            with self._use() as (ring, channel):
                if fast and not got and declined() == REST:
                    await ring.turn.take()
                    fd = channel.lanes[0].fd
                    if may_now(fd, nbytes):
                        got, over = read_resident(fd, view, offset)
                        if over:
                            return got
                spread = what.direct or got > 0 or declined() == ABSENT
                return await transfer.read_into(ring, channel, buffer, got, nbytes, offset, spread)

    async def pwrite(self, data: ReadableBuffer, offset: int) -> int:
        """All of data at offset (with O_APPEND at the end), after all writes called before; the
        count.
        """
        offset = place(offset)
        with readable(data) as view:  # held, or it could be resized between requests
            if self._what(self._known(current())).stream:
                return await self._send_all(view)
            if offset < 0:
                raise before_the_beginning(offset)
            with self._use() as (ring, channel):
                return await transfer.write(ring, channel, data, len(view), offset)

    def put(self, data: ReadableBuffer, offset: int) -> transfer.Write:
        """pwrite() of a file with positions that begins at once, and goes on whoever is
        cancelled.
        """
        offset = place(offset)
        if offset < 0:
            raise before_the_beginning(offset)
        view = readable(data)
        ring = current()
        channel = self._known(ring) or self._new(ring)
        channel.users += 1
        return transfer.Write(ring, channel, data, view, offset)

    async def fsync(self) -> None:
        """Puts on the disk what was written before, and what the file system knows of the file."""
        with self._use() as (ring, channel):
            await transfer.request(ring, channel, SYNC, None, 0, 0)

    async def fdatasync(self) -> None:
        """Puts on the disk what was written before."""
        with self._use() as (ring, channel):
            await transfer.request(ring, channel, DSYNC, None, 0, 0)

    # --- many at once

    async def pread_many(self, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
        """pread() of each (nbytes, offset), in one await; the results in their order."""
        with self._use() as (ring, channel):
            return await many.read(ring, channel, ranges)

    async def preadinto_many(self, buffers: Iterable[tuple[WritableBuffer, int]]) -> list[int]:
        """preadinto() of each (buffer, offset), in one await; the counts in their order."""
        with self._use() as (ring, channel):
            return await many.read_into(ring, channel, buffers)

    async def pwrite_many(self, pieces: Iterable[tuple[ReadableBuffer, int]]) -> list[int]:
        """pwrite() of each (data, offset), in one await; those that overlap land in their
        order.
        """
        with self._use() as (ring, channel):
            return await many.write(ring, channel, pieces)

    # --- streams

    async def receive(self, nbytes: int) -> bytes:
        """What there is, up to nbytes; waits until there is something."""
        data = bytearray(nbytes)
        return bytes(memoryview(data)[: await self.receive_into(data)])

    async def receive_into(self, buffer: WritableBuffer) -> int:
        """What there is, into the buffer. Nothing is taken by a call that is cancelled."""
        with writable(buffer, "readinto") as view, pipes.naming(self.name):
            channel = self._known(current())
            if channel is None or not (channel.late or channel.reading):
                n = pipes.read_at_once(self.fileno(), view)
                if n is not None and n is not NotImplemented:
                    return int(n)
            with self._use() as (ring, channel):
                return await pipes.receive(ring, channel, view)

    async def send(self, data: ReadableBuffer) -> int:
        """Some of data, at least one byte. Nothing has gone if the call is cancelled."""
        with readable(data) as view, pipes.naming(self.name):
            if not view:
                return 0
            n = pipes.write_at_once(self.fileno(), view)
            if n is not None and n is not NotImplemented:
                return int(n)
            with self._use() as (ring, channel):
                return await pipes.send(ring, channel, view)

    async def _send_all(self, view: memoryview) -> int:
        with pipes.naming(self.name), self._use() as (ring, channel):
            return await pipes.send_all(ring, channel, view)

    def interrupt(self, error: BaseException) -> None:
        """Whoever waits for this stream gets the error."""
        ring, channel = self._ring(), self._channel
        if ring is not None and channel is not None and channel.users:
            ring.poller.interrupt(channel.lanes[0].fd, error)

    # --- the end

    async def idle(self) -> None:
        """Waits until no request is in flight here, also none that nobody awaits any more."""
        channel = self._channel
        while channel is not None and channel.in_flight and self._ring() is current():
            await channel.quiet()

    def close(self, then: Callable[[], object] | None = None) -> None:
        """Whatever is asked for later raises ValueError. ``then`` is called when no request needs
        the number any more.
        """
        file, self._file = self._file, None
        channel = self._channel
        self._channel, self._fd = None, -1
        stale = self._born != loop.generation()  # requests of the parent may hold it for ever
        if channel is not None and not stale:
            channel.given_up = True
            if channel.idle:
                channel.lanes.clear()
        if then is not None:
            if file is None or stale:
                then()
            else:
                file.finally_call(then)


def place(offset: int) -> int:
    """An offset; TypeError or OverflowError."""
    n = index(offset)
    if not -OFF_MOST <= n <= OFF_MOST:
        raise OverflowError(f"offset {n} is larger than a file can be")
    return n


def before_the_beginning(offset: int) -> OSError:
    """As pread(2) has it."""
    return OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: offset {offset} is negative")
