"""One open file to read and write. Decides between the page cache, requests, and waiting for a
stream.

- A borrowed number belongs to the user, who may close it at any moment. So there is a duplicate
  while something goes on. An owned number is the file's own. It is closed only when no request
  needs it.
- One object may be used in one loop after another, and in a forked child, where it begins anew.
- A wrong argument raises in the call that made it, before anything is queued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aio_posix._calls import declined, fresh, read_now, readinto_now, same_file
from aio_posix.asyncio import loop
from aio_posix.asyncio.arguments import count, place, positive, readable, writable
from aio_posix.asyncio.descriptors import many, pipes, transfer
from aio_posix.asyncio.descriptors.batch import DSYNC, READ, SYNC
from aio_posix.asyncio.descriptors.channel import Channel
from aio_posix.asyncio.descriptors.openfile import FILE, Kind, OpenFile, duplicate, kind
from aio_posix.asyncio.descriptors.ring import Ring, current
from aio_posix.asyncio.memory import ALIGNMENT
from aio_posix.asyncio.native import ABSENT, NOW_MOST, REST

if TYPE_CHECKING:
    from aio_posix._types import ReadableBuffer, WritableBuffer

CLOSED = "I/O operation on closed file."


class Descriptor:
    """One open file, which errors call by its name. This form owns a duplicate."""

    __slots__ = ("__weakref__", "_born", "_channel", "_fd", "_file", "_kind", "_shared", "name")

    def __init__(self, fd: int, name: Any = None) -> None:
        file = duplicate(fd)
        self._set(file.fd, file, name)

    def _set(self, fd: int, file: OpenFile | None, name: Any, *, shared: bool = False) -> None:
        self._fd = fd
        self._file = file  # None for a borrowed number
        self.name = name
        self._shared = shared  # in order with all else that is asked of this number in a loop
        self._born = loop.generation()
        self._channel: Channel | None = None
        self._kind: Kind | None = None

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
        self._set(fd, None, name, shared=shared)
        return self

    @property
    def closed(self) -> bool:
        return self._fd < 0

    @property
    def stream(self) -> bool:
        """Whether it is a pipe, socket or terminal. A read may wait for ever, and there are no
        positions.
        """
        return self._what(self._known(current())).stream

    @property
    def direct(self) -> bool:
        """Opened with O_DIRECT."""
        return self._what(self._known(current())).direct

    def fileno(self) -> int:
        if self._fd < 0:
            raise ValueError(CLOSED)
        return self._fd

    # --- its channel in the running loop

    def _known(self, ring: Ring) -> Channel | None:
        """If there is one, and the number still means its file."""
        if self._shared:
            channel = ring.channels.shared.get(self._fd)
        else:
            channel = self._channel
            if channel is not None and channel.home is not ring:
                return None
        if channel is None or self._file is not None:
            return channel
        lanes = channel.lanes
        return channel if lanes and same_file(self._fd, lanes[0].fd) == 1 else None

    def _new(self, ring: Ring) -> Channel:
        """Of what the number means now."""
        fd = self.fileno()
        if self._file is None:
            channel = ring.channels.borrow(ring, fd, self.name, shared=self._shared)
        else:
            if self._born != ring.born:  # requests of the parent may hold it for ever
                self._born = ring.born
                self._file = self._file.renewed()
            channel = Channel(ring, self._file, self.name)
        if not self._shared:
            self._channel = channel
        return channel

    def _what(self, channel: Channel | None) -> Kind:
        if channel is not None:
            return channel.kind
        if self._file is None:  # the number may mean another file the next time
            return kind(self.fileno())
        if self._kind is None:
            self._kind = kind(self.fileno())
        return self._kind

    def interrupt(self, error: BaseException) -> None:
        """Whoever waits for this stream gets the error."""
        channel = self._channel
        if channel is not None and channel.users:
            channel.home.poller.interrupt(channel.fd, error)

    async def idle(self) -> None:
        """Waits until no request is in flight here, also none that nobody awaits any more."""
        channel = self._channel
        while channel is not None and channel.in_flight and channel.home is current():
            await channel.quiet()

    def close(self, then: Callable[[], object] | None = None) -> None:
        """Whatever is asked for later raises ValueError. ``then`` is called when no request needs
        the number any more.
        """
        file, self._file = self._file, None
        channel, self._channel = self._channel, None
        self._fd = -1
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

    # --- files with positions

    async def pread(self, nbytes: int, offset: int) -> bytes:
        """nbytes at offset. Less comes only at the end of the file, and a pipe or socket gives what
        there is.
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
        channel = self._known(ring)
        what = FILE
        if why != ABSENT:
            what = (channel is not None and channel.known_kind) or self._what(channel)
        if what.stream:
            return await self.receive(nbytes)
        if offset < 0:
            positive(offset)
        if channel is None:  # before others run, for they may close the number
            channel = self._new(ring)
        channel.users += 1
        try:
            if why == REST:
                await (ring.turn.take() if opened else ring.turn.rest())
                data, why = await transfer.read_rested(channel, nbytes, offset)
                if data is not None:
                    return data
            at, spread = 0, why == ABSENT
            if what.direct:
                if not 0 < nbytes <= NOW_MOST or (nbytes | offset) % ALIGNMENT:
                    return await transfer.read_direct(channel, nbytes, offset)
                at, spread = ALIGNMENT, True
            elif nbytes > NOW_MOST:
                return await transfer.read_on(channel, fresh(nbytes), offset)
            future = loop.new_future()
            channel.ask(future, READ, None, at, nbytes, offset, spread)
            try:
                result: Any = await future
            except BaseException:
                ring.detach(future)
                raise
            if result.__class__ is int:
                raise channel.failure(READ, -result)
            whole: bytes = result
            got = len(whole)
            if got == nbytes or not got or (at and got % ALIGNMENT):
                return whole
            if at:
                return whole + await transfer.read_direct(channel, nbytes - got, offset + got)
            return whole + await transfer.read_on(channel, fresh(nbytes - got), offset + got)
        finally:
            channel.users -= 1
            if channel.given_up and not channel.users:
                ring.channels.let_go(channel)

    async def preadinto(self, buffer: WritableBuffer, offset: int) -> int:
        """Reads into the buffer, which can be neither resized nor freed meanwhile. The count is
        short only at the end of the file.
        """
        got = readinto_now(self._fd, buffer, offset)
        if got is not None:
            return got
        return await self.preadinto_missed(buffer, offset)

    async def preadinto_missed(self, buffer: WritableBuffer, offset: int) -> int:
        """After readinto_now has declined."""
        why, turn, opened = declined(), current().turn, True
        if why == REST and (opened := turn.open()):
            got = readinto_now(self._fd, buffer, offset)
            if got is not None:
                return got
            why = declined()
        offset = place(offset)
        with writable(buffer, "readinto") as view:  # held, or it could be resized between requests
            what = self._what(self._known(current()))
            if what.stream:
                return await self.receive_into(buffer)
            positive(offset)
            with Use(self) as channel:
                while why == REST:
                    await (turn.take() if opened else turn.rest())
                    opened = True
                    got = readinto_now(channel.fd, view, offset)
                    if got is not None:
                        return got
                    why = declined()
                spread = what.direct or why == ABSENT
                return await transfer.read_into(channel, buffer, len(view), offset, spread)

    async def pwrite(self, data: ReadableBuffer, offset: int) -> int:
        """Writes all of data at offset (with O_APPEND at the end), after all writes called before.
        Returns the count.
        """
        offset = place(offset)
        with readable(data) as view:  # held, or it could be resized between requests
            if self._what(self._known(current())).stream:
                with pipes.naming(self.name), Use(self) as channel:
                    return await pipes.send_all(channel, view)
            positive(offset)
            with Use(self) as channel:
                return await transfer.write(channel, data, len(view), offset)

    def put(self, data: ReadableBuffer, offset: int) -> transfer.Write:
        """pwrite() of a file with positions that begins at once, and goes on whoever is
        cancelled.
        """
        offset = positive(place(offset))
        view = readable(data)
        ring = current()
        channel = self._known(ring) or self._new(ring)
        channel.users += 1
        return transfer.Write(channel, data, view, offset)

    async def fsync(self) -> None:
        """Puts on the disk what was written before, and what the file system knows of the file."""
        with Use(self) as channel:
            await transfer.request(channel, SYNC)

    async def fdatasync(self) -> None:
        """Puts on the disk what was written before."""
        with Use(self) as channel:
            await transfer.request(channel, DSYNC)

    # --- many at once

    async def pread_many(self, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
        """pread() of each (nbytes, offset), in one await. The results come in their order."""
        with Use(self) as channel:
            return await many.read(channel, ranges)

    async def preadinto_many(self, buffers: Iterable[tuple[WritableBuffer, int]]) -> list[int]:
        """preadinto() of each (buffer, offset), in one await. The counts come in their order."""
        with Use(self) as channel:
            return await many.read_into(channel, buffers)

    async def pwrite_many(self, pieces: Iterable[tuple[ReadableBuffer, int]]) -> list[int]:
        """pwrite() of each (data, offset), in one await. Those that overlap land in their order."""
        with Use(self) as channel:
            return await many.write(channel, pieces)

    # --- streams

    async def receive(self, nbytes: int) -> bytes:
        """Waits until there is something, and returns up to nbytes of it."""
        data = bytearray(nbytes)
        return bytes(memoryview(data)[: await self.receive_into(data)])

    async def receive_into(self, buffer: WritableBuffer) -> int:
        """What there is, into the buffer. Nothing is taken by a call that is cancelled."""
        with writable(buffer, "readinto") as view, pipes.naming(self.name):
            known = self._known(current())
            if known is None or not (known.late or known.reading):
                n = pipes.read_at_once(self.fileno(), view)
                if n is not None and n is not NotImplemented:
                    return int(n)
            with Use(self) as channel:
                return await pipes.receive(channel, view)

    async def send(self, data: ReadableBuffer) -> int:
        """Some of data, at least one byte. Nothing has gone if the call is cancelled."""
        with readable(data) as view, pipes.naming(self.name):
            if not view:
                return 0
            n = pipes.write_at_once(self.fileno(), view)
            if n is not None and n is not NotImplemented:
                return int(n)
            with Use(self) as channel:
                return await pipes.send(channel, view)


class Use:
    """The channel in the running loop, while a call goes on."""

    __slots__ = ("_channel",)

    def __init__(self, descriptor: Descriptor) -> None:
        ring = current()
        self._channel = descriptor._known(ring) or descriptor._new(ring)
        self._channel.users += 1

    def __enter__(self) -> Channel:
        return self._channel

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.home.channels.left(self._channel)
