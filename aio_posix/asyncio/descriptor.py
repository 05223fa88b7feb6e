"""Reads and writes of one open file: decides between the page cache, a list of requests, and
waiting for a stream.

- A read goes on to the end of the file or until it has everything, a write until all is written.
- What the page cache has not is spread over lanes; so is what O_DIRECT reads. Everything else keeps
  to one. Memory that is allocated here for O_DIRECT is aligned, and so are the reads made into it.
- A borrowed number belongs to the user, who may close it at any moment: there is a duplicate while
  something goes on. An owned number is the file's own. It is closed only when no request needs it.
- One object may be used in one loop after another, and in a forked child, where it begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import operator
import os
import weakref
from collections.abc import Callable
from typing import Any

from aio_posix.asyncio import loop, pipes
from aio_posix.asyncio.batch import DSYNC, READ, SYNC, WRITE
from aio_posix.asyncio.lane import Channel
from aio_posix.asyncio.memory import ALIGNMENT, Aligned, pin, release
from aio_posix.asyncio.native import (
    ABSENT,
    NOW_MOST,
    REST,
    declined,
    fill_now,
    fresh,
    may_now,
    read_now,
    same_file,
)
from aio_posix.asyncio.openfile import Kind, OpenFile, duplicate, kind
from aio_posix.asyncio.ring import Ring, current, rest

MOST = 0x7FFFF000  # bytes that Linux moves in one request
AHEAD = 4 << 20  # bytes of one request of a large read whose pages are not there yet
KEPT = 64 << 10  # bytes of aligned memory that are worth keeping for the next read of the same size
INT_MOST, OFF_MOST = 2**31 - 1, 2**63 - 1
CLOSED = "I/O operation on closed file."


def _no_ring() -> Ring | None:
    return None


class Descriptor:
    """One open file; name goes into its errors. This form owns a duplicate."""

    __slots__ = ("__weakref__", "_channel", "_fd", "_file", "_kind", "_ring", "_shared", "name")

    def __init__(self, fd: int, name: Any = None) -> None:
        file = duplicate(fd)
        self._set(fd, file, name)
        self._fd = file.fd

    def _set(self, fd: int, file: OpenFile | None, name: Any) -> None:
        self._fd = fd
        self._file = file  # None: borrowed
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
        return self._what().stream

    @property
    def direct(self) -> bool:
        """Opened with O_DIRECT."""
        return self._what().direct

    def fileno(self) -> int:
        self._check()
        return self._fd

    def _check(self) -> None:
        if self._fd < 0:
            raise ValueError(CLOSED)

    def _what(self) -> Kind:
        if self._kind is None:
            self._check()
            found = kind(self._fd)
            if self._file is None:
                return found  # the number may mean another file the next time
            self._kind = found
        return self._kind

    def _enter(self) -> tuple[Ring, Channel]:
        """The channel in this loop, for a call that has to end with ring.left()."""
        ring = current()
        channel = self._known(ring)
        if channel is None:
            self._check()
            before = self._ring()
            if self._file is None:
                channel = ring.borrow(self._fd, self.name, shared=self._shared)
            else:
                if before is not None and before.born != ring.born:
                    self._file = self._file.renewed()
                channel = Channel(self._file, self.name)
            if not self._shared:
                self._ring, self._channel = weakref.ref(ring), channel
        channel.users += 1
        return ring, channel

    def _known(self, ring: Ring) -> Channel | None:
        """The channel of this file in this loop, if there is one."""
        if self._shared:
            return ring.borrowed(self._fd)
        channel = self._channel
        if channel is None or self._ring() is not ring:
            return None
        if self._file is None and not (
            channel.lanes and same_file(self._fd, channel.lanes[0].fd) == 1
        ):
            return None
        return channel

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
        nbytes = size(nbytes)
        offset = place(offset)
        while why == REST:
            await rest()
            data = read_now(self._fd, nbytes, offset)
            if data is not None:
                return data
            why = declined()
        if why != ABSENT:
            what = self._what()
            if what.stream:
                return await self.receive(nbytes)
            if what.direct:
                return await self._pread_direct(nbytes, offset)
        at(offset)
        data, got = fresh(nbytes), 0
        ring, channel = self._enter()
        try:
            while got < nbytes:
                if got or nbytes > NOW_MOST:
                    n = await self._fill(ring, channel, data, got, nbytes - got, offset + got)
                else:
                    future = ring.submit(channel, READ, data, nbytes, offset, why == ABSENT)
                    try:
                        n = await future
                    except BaseException:
                        ring.detach(future)
                        raise
                    if n < 0:
                        raise self._failure(-n, READ)
                if n == 0:
                    return data[:got]
                got += n
            return data
        finally:
            ring.left(channel)

    async def _fill(
        self, ring: Ring, channel: Channel, data: bytes, got: int, nbytes: int, offset: int
    ) -> int:
        fd = channel.lanes[0].fd
        while (n := fill_now(fd, data, got, min(nbytes, NOW_MOST), offset)) is None:
            why = declined()
            if why == REST:
                await rest()
                continue
            pinned, address = pin(data)
            most = AHEAD if why == ABSENT else MOST
            nbytes = min(nbytes, most)
            return await self._request(
                ring, channel, READ, address + got, nbytes, offset, why == ABSENT, pinned
            )
        return n

    async def _request(
        self, ring: Ring, channel: Channel, op: int, buffer: Any, nbytes: int, offset: int,
        spread: bool = False, kept: Any = None,
    ) -> int:  # fmt: skip
        """One request: its count, or its OSError."""
        future = ring.submit(channel, op, buffer, nbytes, offset, spread, kept)
        try:
            n = await future
        except BaseException:
            if not ring.detach(future):
                release(kept)
            raise
        if n < 0:
            raise self._failure(-n, op)
        return n

    async def _pread_direct(self, nbytes: int, offset: int) -> bytes:
        at(offset)
        before = offset % ALIGNMENT
        whole, got = before + nbytes + -(before + nbytes) % ALIGNMENT, 0
        ring, channel = self._enter()
        try:
            spare = channel.aligned.setdefault(whole, []) if whole <= KEPT else []
            memory = spare.pop() if spare else Aligned(whole)
            while got < before + nbytes:
                address, most = memory.address + got, min(whole - got, MOST)
                n = await self._request(
                    ring, channel, READ, address, most, offset - before + got, True, memory
                )
                got += n
                if n % ALIGNMENT or n == 0:  # the end of the file
                    break
            data: bytes = memory.view[before : min(got, before + nbytes)]
            # not after a failure or a cancellation: a request may still be reading into it
            spare.append(memory)
            return data
        finally:
            ring.left(channel)

    async def preadinto(self, buffer: Any, offset: int) -> int:
        """Into the buffer, which can be neither resized nor freed meanwhile; the count, short only
        at the end of the file.
        """
        offset = place(offset)
        with memoryview(buffer) as view:
            if view.readonly:
                raise TypeError(f"cannot read into a read-only {type(buffer).__name__}")
            nbytes = view.nbytes
        what = self._what()
        if what.stream:
            return await self.receive_into(buffer)
        at(offset)
        got, absent = 0, False
        if nbytes and nbytes <= NOW_MOST and not what.direct:
            while not (absent := may_now(self._fd, nbytes)) and declined() == REST:
                await rest()
            if absent:  # perhaps not
                with memoryview(buffer) as whole, whole.cast("B") as view:
                    try:
                        while got < nbytes:
                            n = os.preadv(self._fd, [view[got:]], offset + got, os.RWF_NOWAIT)
                            if n == 0:
                                return got
                            got += n
                        return got
                    except OSError:  # the request finds out why
                        pass
        spread = absent or what.direct
        ring, channel = self._enter()
        try:
            while True:
                pinned, address = pin(buffer, writable=True)
                most = min(nbytes - got, MOST)
                n = await self._request(
                    ring, channel, READ, address + got, most, offset + got, spread, pinned
                )
                got += n
                if n == 0 or got == nbytes:
                    return got
        finally:
            ring.left(channel)

    async def pwrite(self, data: Any, offset: int) -> int:
        """All of data at offset (with O_APPEND at the end), after all writes called before; the
        count.
        """
        offset = place(offset)
        with memoryview(data) as view:
            nbytes = view.nbytes
        if self._what().stream:
            return await self._send_all(data, nbytes)
        at(offset)
        put = 0
        ring, channel = self._enter()
        try:
            if isinstance(data, bytes) and nbytes <= MOST:
                put = await self._request(ring, channel, WRITE, data, nbytes, offset)
            while put < nbytes:
                pinned, address = pin(data)
                most = min(nbytes - put, MOST)
                put += await self._request(
                    ring, channel, WRITE, address + put, most, offset + put, False, pinned
                )
            return put
        finally:
            ring.left(channel)

    async def fsync(self) -> None:
        """Puts on the disk what was written before, and what the file system knows of the file."""
        await self._sync(SYNC)

    async def fdatasync(self) -> None:
        """Puts on the disk what was written before."""
        await self._sync(DSYNC)

    async def _sync(self, op: int) -> None:
        ring, channel = self._enter()
        try:
            await self._request(ring, channel, op, None, 0, 0)
        finally:
            ring.left(channel)

    # --- streams

    async def receive(self, nbytes: int) -> bytes:
        """What there is, up to nbytes; waits until there is something."""
        data = bytearray(size(nbytes))
        return bytes(memoryview(data)[: await self.receive_into(data)])

    async def receive_into(self, buffer: Any) -> int:
        """What there is, into the buffer. Nothing is taken by a call that is cancelled."""
        with memoryview(buffer) as whole, whole.cast("B") as view, self._named():
            channel = self._known(current())
            if channel is None or not (channel.late or channel.reading):
                with contextlib.suppress(NotImplementedError):
                    self._check()
                    n = pipes.read_at_once(self._fd, view)
                    if n is not None:
                        return n
            ring, channel = self._enter()
            try:
                return await pipes.receive(channel, view)
            finally:
                ring.left(channel)

    async def send(self, data: Any) -> int:
        """Some of data, at least one byte. Nothing has gone if the call is cancelled."""
        with memoryview(data) as whole, whole.cast("B") as view, self._named():
            if not view:
                return 0
            with contextlib.suppress(NotImplementedError):
                self._check()
                n = pipes.write_at_once(self._fd, view)
                if n is not None:
                    return n
            ring, channel = self._enter()
            try:
                return await pipes.send(channel, view)
            finally:
                ring.left(channel)

    async def _send_all(self, data: Any, nbytes: int) -> int:
        put = 0
        ring, channel = self._enter()
        try:
            async with channel.writers:
                with memoryview(data) as whole, whole.cast("B") as view, self._named():
                    while put < nbytes:
                        put += await pipes.send(channel, view[put:])
            return put
        except BaseException as error:
            if put:
                error.add_note(f"{put} of {nbytes} bytes had gone")
                error.characters_written = put  # type: ignore[attr-defined]  # as BlockingIOError has it
            raise
        finally:
            ring.left(channel)

    def interrupt(self, error: BaseException) -> None:
        """Whoever waits for this stream gets the error."""
        ring, channel = self._ring(), self._channel
        if ring is not None and channel is not None and channel.users:
            ring.poller.interrupt(channel.lanes[0].fd, error)

    # --- the end

    async def idle(self) -> None:
        """Waits until no request is in flight here, also none that nobody awaits any more."""
        if self._channel is not None and self._ring() is current():
            await self._channel.quiet()

    def close(self, then: Callable[[], object] | None = None) -> None:
        """Whatever is asked for later raises ValueError. ``then`` is called when no request needs
        the number any more.
        """
        file, self._file = self._file, None
        ring, channel = self._ring(), self._channel
        self._channel, self._fd = None, -1
        stale = ring is not None and ring.born != loop.generation()  # the parent's
        if channel is not None and not stale:
            channel.given_up = True
            if channel.idle:
                channel.lanes.clear()
        if then is not None:
            if file is None or stale:
                then()
            else:
                file.finally_call(then)

    def _named(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.name is None else _naming(self.name)

    def _failure(self, number: int, op: int) -> OSError:
        text = os.strerror(number)
        if number == errno.EINVAL and op in (READ, WRITE) and self._fd >= 0 and self.direct:
            text += (
                ": O_DIRECT needs offset, length and memory aligned to the block size of the device"
            )
        return OSError(number, text) if self.name is None else OSError(number, text, self.name)


class _naming:
    """Puts the file's name into an OSError that has none."""

    __slots__ = ("_name",)

    def __init__(self, name: Any) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = self._name


def size(nbytes: Any) -> int:
    """A number of bytes; TypeError, ValueError or OverflowError."""
    n = operator.index(nbytes)
    if n < 0:
        raise ValueError(f"nbytes {n} is negative")
    if n > OFF_MOST:
        raise OverflowError(f"nbytes {n} is larger than a file can be")
    return n


def place(offset: Any) -> int:
    """An offset; TypeError or OverflowError."""
    n = operator.index(offset)
    if not -OFF_MOST <= n <= OFF_MOST:
        raise OverflowError(f"offset {n} is larger than a file can be")
    return n


def at(offset: int) -> None:
    """Where there are positions: OSError before the beginning, as pread has it."""
    if offset < 0:
        raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: offset {offset} is negative")


def number(fd: Any) -> int:
    """A descriptor; TypeError, ValueError or OverflowError."""
    if isinstance(fd, bool) or not isinstance(fd, int):
        raise TypeError(f"fd must be an int or have fileno(), not {type(fd).__name__}")
    if fd > INT_MOST:
        raise OverflowError(f"fd {fd} does not fit into a C int")
    if fd < 0:
        raise ValueError(f"fd {fd} is negative")
    return fd
