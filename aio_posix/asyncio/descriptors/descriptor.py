"""One open file to read and write: decides between the page cache, requests, and waiting for a
stream.

A wrong argument raises in the call that made it, before anything is queued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from aio_posix.asyncio.arguments import count, place, positive, readable, writable
from aio_posix.asyncio.descriptors import many, pipes, transfer
from aio_posix.asyncio.descriptors.access import Access, Use
from aio_posix.asyncio.descriptors.batch import DSYNC, READ, SYNC, Later
from aio_posix.asyncio.descriptors.openfile import FILE, OpenFile, duplicate
from aio_posix.asyncio.descriptors.ring import current
from aio_posix.asyncio.memory import read_resident
from aio_posix.asyncio.native import (
    ABSENT,
    NOW_MOST,
    REST,
    declined,
    fresh,
    may_now,
    read_now,
)

if TYPE_CHECKING:
    from aio_posix._types import ReadableBuffer, WritableBuffer


class Descriptor:
    """One open file; name goes into its errors. This form owns a duplicate."""

    __slots__ = ("__weakref__", "_access", "_fd", "name")

    def __init__(self, fd: int, name: Any = None) -> None:
        file = duplicate(fd)
        self._set(Access(file.fd, file, name))

    def _set(self, access: Access) -> None:
        self._access = access
        self._fd = access.fd  # for the fast path
        self.name = access.name

    @classmethod
    def owning(cls, fd: int, keeper: Any, name: Any = None) -> Descriptor:
        """Of a number that belongs to ``keeper``, which would close it if it were dropped."""
        self = cls.__new__(cls)
        self._set(Access(fd, OpenFile(fd, keeper), name))
        return self

    @classmethod
    def borrowing(cls, fd: int, name: Any = None, *, shared: bool = False) -> Descriptor:
        """Of a number that somebody else may close at any moment; shared: with all that is asked
        of this number in this loop.
        """
        self = cls.__new__(cls)
        self._set(Access(fd, None, name, shared=shared))
        return self

    @property
    def closed(self) -> bool:
        return self._fd < 0

    @property
    def stream(self) -> bool:
        """A pipe, socket or terminal: a read may wait for ever, and there are no positions."""
        return self._access.kind(self._access.known(current())).stream

    @property
    def direct(self) -> bool:
        """Opened with O_DIRECT."""
        return self._access.kind(self._access.known(current())).direct

    def fileno(self) -> int:
        return self._access.fileno()

    def interrupt(self, error: BaseException) -> None:
        """Whoever waits for this stream gets the error."""
        self._access.interrupt(error)

    async def idle(self) -> None:
        """Waits until no request is in flight here, also none that nobody awaits any more."""
        await self._access.idle()

    def close(self, then: Callable[[], object] | None = None) -> None:
        """Whatever is asked for later raises ValueError. ``then`` is called when no request needs
        the number any more.
        """
        self._fd = -1
        self._access.close(then)

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
        if not (nbytes.__class__ is int and offset.__class__ is int and nbytes >= 0 <= offset):
            nbytes, offset = count(nbytes), place(offset)
        channel = self._access.known(ring)
        what = FILE if why == ABSENT else self._access.kind(channel)
        if what.stream:
            return await self.receive(nbytes)
        if offset < 0:
            positive(offset)
        if channel is None:  # before others run, for they may close the number
            channel = self._access.new(ring)
        channel.users += 1
        try:
            if why == REST:
                await (ring.turn.take() if opened else ring.turn.rest())
                data, why = await transfer.read_rested(ring, channel, nbytes, offset)
                if data is not None:
                    return data
            if what.direct:
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
            what = self._access.kind(self._access.known(ring))
            if what.stream:
                return await self.receive_into(buffer)
            positive(offset)
            got, over = 0, not nbytes
            fast = nbytes <= NOW_MOST and not what.direct
            if fast and not over and may_now(self._fd, nbytes):
                got, over = read_resident(self._fd, view, offset)
            if over:
                self.fileno()
                return got
            with Use(self._access) as (ring, channel):
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
            if self._access.kind(self._access.known(current())).stream:
                return await self._send_all(view)
            positive(offset)
            with Use(self._access) as (ring, channel):
                return await transfer.write(ring, channel, data, len(view), offset)

    def put(self, data: ReadableBuffer, offset: int) -> transfer.Write:
        """pwrite() of a file with positions that begins at once, and goes on whoever is
        cancelled.
        """
        offset = place(offset)
        positive(offset)
        view = readable(data)
        ring = current()
        channel = self._access.known(ring) or self._access.new(ring)
        channel.users += 1
        return transfer.Write(ring, channel, data, view, offset)

    async def fsync(self) -> None:
        """Puts on the disk what was written before, and what the file system knows of the file."""
        with Use(self._access) as (ring, channel):
            await transfer.request(ring, channel, SYNC, None, 0, 0)

    async def fdatasync(self) -> None:
        """Puts on the disk what was written before."""
        with Use(self._access) as (ring, channel):
            await transfer.request(ring, channel, DSYNC, None, 0, 0)

    # --- many at once

    async def pread_many(self, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
        """pread() of each (nbytes, offset), in one await; the results in their order."""
        with Use(self._access) as (ring, channel):
            return await many.read(ring, channel, ranges)

    async def preadinto_many(self, buffers: Iterable[tuple[WritableBuffer, int]]) -> list[int]:
        """preadinto() of each (buffer, offset), in one await; the counts in their order."""
        with Use(self._access) as (ring, channel):
            return await many.read_into(ring, channel, buffers)

    async def pwrite_many(self, pieces: Iterable[tuple[ReadableBuffer, int]]) -> list[int]:
        """pwrite() of each (data, offset), in one await; those that overlap land in their
        order.
        """
        with Use(self._access) as (ring, channel):
            return await many.write(ring, channel, pieces)

    # --- streams

    async def receive(self, nbytes: int) -> bytes:
        """What there is, up to nbytes; waits until there is something."""
        data = bytearray(nbytes)
        return bytes(memoryview(data)[: await self.receive_into(data)])

    async def receive_into(self, buffer: WritableBuffer) -> int:
        """What there is, into the buffer. Nothing is taken by a call that is cancelled."""
        with writable(buffer, "readinto") as view, pipes.naming(self.name):
            channel = self._access.known(current())
            if channel is None or not (channel.late or channel.reading):
                n = pipes.read_at_once(self.fileno(), view)
                if n is not None and n is not NotImplemented:
                    return int(n)
            with Use(self._access) as (ring, channel):
                return await pipes.receive(ring, channel, view)

    async def send(self, data: ReadableBuffer) -> int:
        """Some of data, at least one byte. Nothing has gone if the call is cancelled."""
        with readable(data) as view, pipes.naming(self.name):
            if not view:
                return 0
            n = pipes.write_at_once(self.fileno(), view)
            if n is not None and n is not NotImplemented:
                return int(n)
            with Use(self._access) as (ring, channel):
                return await pipes.send(ring, channel, view)

    async def _send_all(self, view: memoryview) -> int:
        with pipes.naming(self.name), Use(self._access) as (ring, channel):
            return await pipes.send_all(ring, channel, view)
