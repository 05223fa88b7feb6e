"""From a call to its result: the page cache first, then requests, until there is all.

- A read goes on to the end of the file or until it has everything, a write until all is written.
- What the page cache has not is spread over lanes; so is what O_DIRECT reads. Everything else keeps
  to one.
- Memory that we allocate for an O_DIRECT descriptor is aligned, and so are the reads made into it.
"""

from __future__ import annotations

import os
from typing import Any

from aio_posix._ffi import ffi
from aio_posix.asyncio import pollable
from aio_posix.asyncio.batch import READ, WRITE
from aio_posix.asyncio.channel import Channel
from aio_posix.asyncio.native import (
    ABSENT,
    NOW_MOST,
    REST,
    declined,
    fill_now,
    fresh,
    may_now,
    read_now,
)
from aio_posix.asyncio.request import request, rest

MOST = 0x7FFFF000  # bytes that Linux moves in one request
AHEAD = 4 << 20  # bytes of one request of a large read whose pages are not there yet
ALIGNMENT = (
    4096  # bytes; enough of offset, length and memory for O_DIRECT on any device that Linux has
)
KEPT = 64 << 10  # bytes of aligned memory that are worth keeping for the next read of the same size

_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


async def read_resident(fd: int, nbytes: int, offset: int) -> tuple[bytes | None, int]:
    """As read_now, in slices, after it declined; and why there is no result."""
    while (why := declined()) == REST:
        await rest()
        data = read_now(fd, nbytes, offset)
        if data is not None:
            return data, 0
    return None, why


async def pread(channel: Channel, nbytes: int, offset: int, why: int) -> bytes:
    """What read_now declined."""
    if nbytes < 0:
        raise ValueError(f"nbytes {nbytes} is negative")
    if channel.stream:
        return await pollable.read(channel, nbytes)
    if channel.direct:
        return await _pread_direct(channel, nbytes, offset)
    data, got = fresh(nbytes), 0
    while got < nbytes:
        if got or nbytes > NOW_MOST:
            n = await _fill(channel, data, got, nbytes - got, offset + got)
        else:
            n = await request(channel, READ, data, min(nbytes, MOST), offset, why == ABSENT)
        if n == 0:
            return data[:got]
        got += n
    return data


async def _fill(channel: Channel, data: bytes, at: int, nbytes: int, offset: int) -> int:
    fd = channel.lanes[0].fd
    while (n := fill_now(fd, data, at, min(nbytes, NOW_MOST), offset)) is None:
        why = declined()
        if why == REST:
            await rest()
            continue
        address = int(ffi.cast("uintptr_t", ffi.from_buffer(data))) + at
        most = AHEAD if why == ABSENT else MOST
        return await request(channel, READ, address, min(nbytes, most), offset, why == ABSENT, data)
    return n


async def _pread_direct(channel: Channel, nbytes: int, offset: int) -> bytes:
    before = offset % ALIGNMENT
    size, got = before + nbytes + -(before + nbytes) % ALIGNMENT, 0
    spare = channel.aligned.setdefault(size, []) if size <= KEPT else []
    memory = spare.pop() if spare else _Aligned(size)
    while got < before + nbytes:
        at, most = memory.address + got, min(size - got, MOST)
        n = await request(channel, READ, at, most, offset - before + got, True, memory)
        got += n
        if n % ALIGNMENT or n == 0:  # the end of the file
            break
    data: bytes = memory.view[before : min(got, before + nbytes)]
    spare.append(
        memory
    )  # not after a failure or a cancellation: a request may still be reading into it
    return data


class _Aligned:
    """Memory for O_DIRECT."""

    __slots__ = ("_memory", "address", "view")

    def __init__(self, size: int) -> None:
        self._memory = _uncleared("char[]", size + ALIGNMENT)
        start = int(ffi.cast("uintptr_t", self._memory))
        self.address = start + -start % ALIGNMENT
        self.view = ffi.buffer(self._memory + -start % ALIGNMENT, size)


def aligned(data: Any) -> Any:
    """A copy of data in memory that O_DIRECT can write."""
    with memoryview(data) as whole, whole.cast("B") as view:
        memory = _Aligned(len(view))
        memory.view[:] = view
    return memory.view


async def preadinto(channel: Channel, buffer: Any, offset: int) -> int:
    """One request; short only at the end of a regular file, as far as Linux can move so much at
    once.
    """
    with memoryview(buffer) as view:
        nbytes = view.nbytes
        if view.readonly:
            raise TypeError(f"cannot read into a read-only {type(buffer).__name__}")
    if channel.stream:
        return await pollable.readinto(channel, buffer)
    fd, got, absent = channel.lanes[0].fd, 0, False
    if nbytes <= NOW_MOST and offset >= 0 and not channel.direct:
        while not (absent := may_now(fd, nbytes)) and declined() == REST:
            await rest()
        if absent:  # perhaps not
            with memoryview(buffer) as whole, whole.cast("B") as view:
                try:
                    while got < nbytes:
                        n = os.preadv(fd, [view[got:]], offset + got, os.RWF_NOWAIT)
                        if n == 0:
                            return got
                        got += n
                    return got
                except OSError:  # the request finds out why
                    pass
    pinned = ffi.from_buffer("char[]", buffer, True)
    address = int(ffi.cast("uintptr_t", pinned)) + got
    spread = absent or channel.direct
    return got + await request(
        channel, READ, address, min(nbytes - got, MOST), offset + got, spread, pinned
    )


async def pwrite(channel: Channel, data: Any, offset: int) -> int:
    """All of it; in the order of the calls."""
    if channel.stream:
        return await pollable.write(channel, data)
    if isinstance(data, bytes) and len(data) <= MOST:
        put = await request(channel, WRITE, data, len(data), offset)
        if put == len(data):
            return put
    else:
        put = 0
    with memoryview(data) as view:
        nbytes = view.nbytes
    while put < nbytes:
        pinned = ffi.from_buffer("char[]", data)
        address = int(ffi.cast("uintptr_t", pinned)) + put
        put += await request(
            channel, WRITE, address, min(nbytes - put, MOST), offset + put, False, pinned
        )
    return put


async def sync(channel: Channel, op: int) -> None:
    """After all writes of the channel that were asked for before."""
    await request(channel, op, None, 0, 0)
