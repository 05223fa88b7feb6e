"""Many requests of one file, one await: lio_listio made awaitable.

- What the page cache has is read first, in slices (turn.py). The rest goes to the channel, which
  submits it in bounded lists; reads spread over lanes, writes keep their order.
- There is one future for all. Each request has a Part in place of a future, which goes on until it
  has everything or the file ends.
- When all parts have ended, the first error in their order is raised with its place in a note.
- A cancelled call begins nothing more. What helpers have begun goes on, and keeps its buffer.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aio_posix.asyncio import loop
from aio_posix.asyncio.arguments import count, place, positive, readable, writable
from aio_posix.asyncio.descriptors.batch import MOST, READ, WRITE
from aio_posix.asyncio.descriptors.channel import Channel
from aio_posix.asyncio.descriptors.ring import Ring
from aio_posix.asyncio.memory import ALIGNMENT, Aligned, pin, read_resident
from aio_posix.asyncio.native import (
    ABSENT,
    NOW_MOST,
    REST,
    declined,
    fresh,
    may_now,
    plain_ranges,
    read_many_now,
)

if TYPE_CHECKING:
    from aio_posix._types import ReadableBuffer, WritableBuffer

STRETCH = 512  # parts that may begin in one turn of the loop: some 2 ms


class Many:
    """Requests that are awaited together; used with ``async with``, which waits for them."""

    def __init__(self, ring: Ring, channel: Channel, op: int) -> None:
        self.ring = ring
        self.channel = channel
        self.op = op
        self.future: loop.Future[None] = loop.new_future()
        self.parts: list[Part] = []
        self.left = 1  # parts, and the call itself until all have begun

    def add(
        self, place: int, where: Any, nbytes: int, offset: int, spread: bool, kept: Any = None
    ) -> None:
        part = Part(self, place, where, nbytes, offset, spread, kept)
        self.parts.append(part)
        self.left += 1
        part.more()

    async def pause(self) -> None:
        """Gives others a turn after each STRETCH of parts."""
        if not len(self.parts) % STRETCH:
            await loop.step()

    def ended(self) -> None:
        self.left -= 1
        if not self.left:
            loop.settle(self.future, None, None)

    async def __aenter__(self) -> Many:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Waits until all have ended; raises the first error."""
        try:
            if error is None:
                self.ended()
                await self.future
        finally:
            if not self.future.done() or self.future.cancelled():
                self.future.cancel()
                self.ring.detach_done(self.channel)
            for part in self.parts:
                part.where = part.kept = None  # no cycle of garbage may keep a buffer
        for part in self.parts if error is None else ():
            if part.error:
                raised = self.channel.failure(self.op, part.error)
                raised.add_note(f"request {part.place} of this call, at offset {part.offset}")
                raised.characters_written = part.got  # type: ignore[attr-defined]  # as in pwrite
                raise raised


class Part:
    """One request of many; to the ring it is a future. ``where`` is a buffer of the user, or an
    address in ``kept``.
    """

    __slots__ = ("error", "got", "kept", "many", "nbytes", "offset", "place", "spread", "where")

    def __init__(
        self, many: Many, place: int, where: Any, nbytes: int, offset: int, spread: bool, kept: Any
    ) -> None:
        self.many = many
        self.place = place
        self.where = where
        self.nbytes = nbytes
        self.offset = offset
        self.spread = spread
        self.kept = kept
        self.got = self.error = 0

    def more(self) -> None:
        """Asks for what is left."""
        many, address, kept = self.many, self.where, self.kept
        if kept is None:  # each request holds an export of its own, which the ring releases
            kept, address = pin(self.where, writable=many.op == READ)
            address += len(kept) - self.nbytes  # the page cache had the beginning
        most, at = min(self.nbytes - self.got, MOST), self.offset + self.got
        many.ring.ask(many.channel, self, many.op, address + self.got, most, at, self.spread, kept)

    def done(self) -> bool:
        return self.many.future.done()

    def set_result(self, n: int) -> None:
        if n < 0:
            self.error = -n
        else:
            self.got += n
            short = self.got < self.nbytes
            if short and n and not (self.many.channel.kind.direct and n % ALIGNMENT):
                self.more()
                return
        self.many.ended()


async def read(ring: Ring, channel: Channel, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
    """The bytes of each (nbytes, offset)."""
    wanted = list(ranges)
    if not plain_ranges(wanted):
        wanted = [(count(nbytes), positive(place(offset))) for nbytes, offset in wanted]
    _positions(channel)
    if channel.kind.direct:
        return await _read_direct(ring, channel, wanted)
    fd = channel.lanes[0].fd
    results: list[bytes] = []
    async with Many(ring, channel, READ) as many:
        while True:
            read_many_now(fd, wanted, results)
            at = len(results)
            if at == len(wanted):
                break
            why = declined()
            if why == REST:
                await ring.turn.take()
                continue
            nbytes, offset = wanted[at]
            data = fresh(nbytes)
            many.add(at, pin(data)[1], nbytes, offset, why == ABSENT, data)
            results.append(data)
            await many.pause()
    for part in many.parts:
        if part.got < part.nbytes:
            results[part.place] = results[part.place][: part.got]
    return results


async def _read_direct(ring: Ring, channel: Channel, wanted: list[tuple[int, int]]) -> list[bytes]:
    memories = []
    async with Many(ring, channel, READ) as many:
        for at, (nbytes, offset) in enumerate(wanted):
            before = offset % ALIGNMENT
            memory = Aligned(before + nbytes + -(before + nbytes) % ALIGNMENT)
            memories.append(memory)
            many.add(at, memory.address, len(memory.view), offset - before, True, memory)
            await many.pause()
    results = []
    for part, memory, (nbytes, offset) in zip(many.parts, memories, wanted, strict=True):
        before = offset % ALIGNMENT
        results.append(memory.view[before : min(part.got, before + nbytes)])
    return results


async def read_into(
    ring: Ring, channel: Channel, buffers: Iterable[tuple[WritableBuffer, int]]
) -> list[int]:
    """Fills each (buffer, offset); the counts."""
    results = []
    with Views() as views:
        wanted = [
            (buffer, views.add(writable(buffer, "readinto")), positive(place(offset)))
            for buffer, offset in buffers
        ]
        _positions(channel)
        fd, direct = channel.lanes[0].fd, channel.kind.direct
        async with Many(ring, channel, READ) as many:
            for at, (buffer, view, offset) in enumerate(wanted):
                got, over, nbytes = 0, not view, len(view)
                if nbytes <= NOW_MOST and not direct and not over:
                    while not (now := may_now(fd, nbytes)) and declined() == REST:
                        await ring.turn.take()
                    if now:
                        got, over = read_resident(fd, view, offset)
                if not over:
                    spread = direct or got > 0 or declined() == ABSENT
                    many.add(at, buffer, nbytes - got, offset + got, spread)
                    await many.pause()
                results.append(got)
        for part in many.parts:
            results[part.place] += part.got
        return results


async def write(
    ring: Ring, channel: Channel, pieces: Iterable[tuple[ReadableBuffer, int]]
) -> list[int]:
    """Writes each (data, offset); the counts."""
    with Views() as views:
        wanted = [
            (data, views.add(readable(data)), positive(place(offset))) for data, offset in pieces
        ]
        _positions(channel)
        async with Many(ring, channel, WRITE) as many:
            for at, (data, view, offset) in enumerate(wanted):
                many.add(at, data, len(view), offset, False)
                await many.pause()
        return [part.got for part in many.parts]


class Views:
    """Buffers that cannot be resized during a call; a traceback may outlive it, and holds none."""

    __slots__ = ("_views",)

    def __init__(self) -> None:
        self._views: list[memoryview] = []

    def add(self, view: memoryview) -> memoryview:
        self._views.append(view)
        return view

    def __enter__(self) -> Views:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        for view in self._views:
            view.release()


def _positions(channel: Channel) -> None:
    if channel.kind.stream:
        text = f"{os.strerror(errno.ESPIPE)}: a pipe, socket or terminal has no positions"
        raise OSError(errno.ESPIPE, text)
