"""From a call on a file to its result: requests, until there is all.

- A read goes on to the end of the file or until it has everything, a write until all is written.
- What the page cache has not is spread over lanes; so is what O_DIRECT reads. Everything else keeps
  to one lane.
- Memory that is allocated here for O_DIRECT is aligned, and so are the reads made into it.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from aio_posix.asyncio import loop
from aio_posix.asyncio.batch import READ, WRITE
from aio_posix.asyncio.channel import Channel
from aio_posix.asyncio.memory import ALIGNMENT, Aligned, pin, release
from aio_posix.asyncio.native import ABSENT, NOW_MOST, REST, declined, fill_now, may_now
from aio_posix.asyncio.ring import Ring

MOST = 0x7FFFF000  # bytes that Linux moves in one request
AHEAD = 4 << 20  # bytes of one request of a large read whose pages are not there yet
KEPT = 64 << 10  # bytes of aligned memory that are worth keeping for the next read of the same size


async def request(
    ring: Ring, channel: Channel, op: int, buffer: Any, nbytes: int, offset: int,
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
        raise failure(channel, op, -n)
    return n


def failure(channel: Channel, op: int, number: int) -> OSError:
    """The OSError of a request, with the name of its file."""
    text = os.strerror(number)
    if number == errno.EINVAL and op in (READ, WRITE) and channel.lanes and channel.kind.direct:
        text += ": O_DIRECT needs offset, length and memory aligned to the block size of the device"
    return OSError(number, text) if channel.name is None else OSError(number, text, channel.name)


async def read_on(ring: Ring, channel: Channel, data: bytes, got: int, offset: int) -> bytes:
    """Fills bytes that nobody else has seen yet, from ``got`` on."""
    nbytes = len(data)
    while got < nbytes:
        n = await _fill(ring, channel, data, got, offset + got)
        if n == 0:
            return data[:got]
        got += n
    return data


async def _fill(ring: Ring, channel: Channel, data: bytes, got: int, offset: int) -> int:
    fd, nbytes = channel.lanes[0].fd, len(data) - got
    while (n := fill_now(fd, data, got, min(nbytes, NOW_MOST), offset)) is None:
        why = declined()
        if why == REST:
            await ring.turn.take()
            continue
        pinned, address = pin(data)
        most, spread = (AHEAD, True) if why == ABSENT else (MOST, False)
        most = min(nbytes, most)
        return await request(ring, channel, READ, address + got, most, offset, spread, pinned)
    return n


async def read_direct(ring: Ring, channel: Channel, nbytes: int, offset: int) -> bytes:
    """From an O_DIRECT descriptor, at any offset."""
    before = offset % ALIGNMENT
    whole, got = before + nbytes + -(before + nbytes) % ALIGNMENT, 0
    spare = channel.aligned.setdefault(whole, []) if whole <= KEPT else []
    memory = spare.pop() if spare else Aligned(whole)
    while got < before + nbytes:
        address, most = memory.address + got, min(whole - got, MOST)
        n = await request(ring, channel, READ, address, most, offset - before + got, True, memory)
        got += n
        if n % ALIGNMENT or n == 0:  # the end of the file
            break
    data: bytes = memory.view[before : min(got, before + nbytes)]
    # not after a failure or a cancellation: a request may still be reading into it
    spare.append(memory)
    return data


async def read_resident(ring: Ring, fd: int, view: memoryview, offset: int) -> tuple[int, bool]:
    """How much the page cache has for a buffer of the user, and whether that is all there is."""
    got, nbytes = 0, len(view)
    while not may_now(fd, nbytes):
        if declined() != REST:
            return 0, False
        await ring.turn.take()
    try:
        while got < nbytes:
            n = os.preadv(fd, [view[got:]], offset + got, os.RWF_NOWAIT)
            if n == 0:
                return got, True
            got += n
    except OSError:  # a request finds out why
        return got, False
    return got, True


async def read_into(
    ring: Ring, channel: Channel, buffer: Any, got: int, nbytes: int, offset: int, spread: bool
) -> int:
    """Into the rest of a buffer of the user: what is there altogether."""
    while True:
        pinned, address = pin(buffer, writable=True)
        most = min(nbytes - got, MOST)
        n = await request(ring, channel, READ, address + got, most, offset + got, spread, pinned)
        got += n
        if n == 0 or got == nbytes:
            return got


async def write(ring: Ring, channel: Channel, data: Any, nbytes: int, offset: int) -> int:
    """All of it. An OSError after a part says how much as ``characters_written``."""
    put = 0
    try:
        if isinstance(data, bytes) and nbytes <= MOST:
            put = await request(ring, channel, WRITE, data, nbytes, offset)
        while put < nbytes:
            pinned, address = pin(data)
            most = min(nbytes - put, MOST)
            put += await request(
                ring, channel, WRITE, address + put, most, offset + put, False, pinned
            )
    except OSError as error:
        error.characters_written = put  # type: ignore[attr-defined]  # as BlockingIOError has it
        raise
    return put


def begin_write(
    ring: Ring, channel: Channel, data: Any, view: memoryview, offset: int
) -> loop.Future[int]:
    """write() that begins at once, and goes on whoever is cancelled; releases the view."""
    done: loop.Future[int] = loop.new_future()
    nbytes, put = len(view), 0

    def more() -> None:
        if isinstance(data, bytes) and not put and nbytes <= MOST:
            future = ring.submit(channel, WRITE, data, nbytes, offset)
        else:
            pinned, address = pin(data)
            most = min(nbytes - put, MOST)
            future = ring.submit(channel, WRITE, address + put, most, offset + put, False, pinned)
        future.add_done_callback(landed)

    def landed(future: loop.Future[int]) -> None:
        nonlocal put
        n = future.result()
        if n >= 0:
            put += n
            if put < nbytes:
                more()
                return
        error = None
        if n < 0:
            error = failure(channel, WRITE, -n)
            error.characters_written = put  # type: ignore[attr-defined]  # as BlockingIOError has it
        view.release()
        ring.channels.left(channel)
        loop.settle(done, put, error)

    more()
    return done
