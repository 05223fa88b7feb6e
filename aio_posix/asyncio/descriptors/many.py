"""Many requests of one file with one await, which is lio_listio made awaitable.

- What the page cache has is read first, in slices (turn.py). The rest goes to the channel, which
  submits it in bounded lists. Reads spread over lanes, and writes keep their order.
- There is one future for all. Each request has a Part in place of a future, which goes on until it
  has everything or the file ends.
- When all parts have ended, the first error in their order is raised with its place in a note.
- A cancelled call begins nothing more. What helpers have begun goes on, and keeps its buffer.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aio_posix._calls import (
    declined,
    fresh,
    plain_buffers,
    plain_ranges,
    read_many_now,
    readinto_many_now,
)
from aio_posix.asyncio import loop
from aio_posix.asyncio.arguments import count, place, positive, readable, writable
from aio_posix.asyncio.descriptors.batch import MOST, READ, WRITE
from aio_posix.asyncio.descriptors.channel import Channel
from aio_posix.asyncio.memory import ALIGNMENT, uncleared
from aio_posix.asyncio.native import ABSENT, NOW_MOST, REST

if TYPE_CHECKING:
    from aio_posix._types import ReadableBuffer, WritableBuffer

STRETCH = 512  # parts that may begin in one turn of the loop, some 2 ms


class Many:
    """Requests that are awaited together; used with ``async with``, which waits for them."""

    __slots__ = ("channel", "future", "left", "op", "parts")

    def __init__(self, channel: Channel, op: int) -> None:
        self.channel = channel
        self.op = op
        self.future: loop.Future[None] = loop.new_future()
        self.parts: list[Part] = []
        self.left = 1  # parts, and the call itself until all have begun

    def add(self, place: int, buffer: Any, nbytes: int, offset: int, spread: bool) -> None:
        part = Part(self, place, buffer, nbytes, offset, spread)
        self.parts.append(part)
        self.left += 1
        part.more()

    async def pause(self) -> None:
        """Gives others a turn after each STRETCH of parts."""
        self.channel.home.hurry()
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
        """Waits until all have ended, and raises the first error."""
        try:
            if error is None:
                self.ended()
                await self.future
        finally:
            if not self.future.done() or self.future.cancelled():
                self.future.cancel()
                self.channel.home.detach_done(self.channel)
            for part in self.parts:
                part.buffer = None  # no cycle of garbage may keep a buffer
        for part in self.parts if error is None else ():
            if part.error:
                raised = self.channel.failure(self.op, part.error)
                raised.add_note(f"request {part.place} of this call, at offset {part.offset}")
                raised.characters_written = part.got  # type: ignore[attr-defined]  # as in pwrite
                raise raised


class Part:
    """One request of many. To its channel it is a future. Of bytes that are read, ``data``."""

    __slots__ = (
        "asked",
        "buffer",
        "data",
        "error",
        "got",
        "many",
        "nbytes",
        "offset",
        "over",
        "place",
        "spread",
    )

    def __init__(
        self, many: Many, place: int, buffer: Any, nbytes: int, offset: int, spread: bool
    ) -> None:
        self.many = many
        self.place = place
        self.buffer = buffer
        self.nbytes = nbytes
        self.offset = offset
        self.spread = spread
        self.got = self.error = 0
        self.data = b""
        self.asked = self.over = False

    def more(self) -> None:
        """Asks for what is left."""
        got, many = self.got, self.many
        at = 0 if self.buffer is None else got
        most = min(self.nbytes - got, MOST)
        many.channel.ask(self, many.op, self.buffer, at, most, self.offset + got, self.spread)
        self.asked = True

    def done(self) -> bool:
        return self.many.future.done()

    def set_result(self, result: Any) -> None:
        """Called again if a signal handler has raised meanwhile, so what counts is no call."""
        many = self.many
        data = result if result.__class__ is bytes else b""
        n = result if result.__class__ is int else len(data)
        odd = n % ALIGNMENT and many.channel.kind.direct  # the end of the file
        if self.asked:
            self.asked = False
            if n < 0:
                self.error = -n
            else:
                self.got += n
                self.data = self.data + data if self.data else data
            if n <= 0 or odd or self.got == self.nbytes:
                self.over = True
                many.left -= 1
        if not self.over:
            self.more()
        elif not many.left:
            loop.settle(many.future, None, None)


async def read(channel: Channel, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
    """The bytes of each (nbytes, offset)."""
    wanted = list(ranges)
    if not plain_ranges(wanted):
        wanted = [(count(nbytes), positive(place(offset))) for nbytes, offset in wanted]
    _positions(channel)
    if channel.kind.direct:
        return await _read_direct(channel, wanted)
    fd = channel.fd
    results: list[bytes] = []
    async with Many(channel, READ) as many:
        while True:
            read_many_now(fd, wanted, results)
            at = len(results)
            if at == len(wanted):
                break
            why = declined()
            if why == REST:
                await channel.home.turn.take()
                continue
            nbytes, offset = wanted[at]
            buffer = None if nbytes <= NOW_MOST else fresh(nbytes)
            many.add(at, buffer, nbytes, offset, why == ABSENT)
            results.append(buffer or b"")
            await many.pause()
    for part in many.parts:
        whole = results[part.place]
        results[part.place] = part.data if not whole else whole[: part.got]
    return results


async def _read_direct(channel: Channel, wanted: list[tuple[int, int]]) -> list[bytes]:
    memories = []
    async with Many(channel, READ) as many:
        for at, (nbytes, offset) in enumerate(wanted):
            before = offset % ALIGNMENT
            memory = uncleared(before + nbytes + -(before + nbytes) % ALIGNMENT)
            memories.append(memory)
            many.add(at, memory, len(memory), offset - before, True)
            await many.pause()
    results = []
    for part, memory, (nbytes, offset) in zip(many.parts, memories, wanted, strict=True):
        before = offset % ALIGNMENT
        results.append(bytes(memory[before : min(part.got, before + nbytes)]))
    return results


async def read_into(channel: Channel, buffers: Iterable[tuple[WritableBuffer, int]]) -> list[int]:
    """Fills each (buffer, offset), and returns the counts."""
    wanted: list[tuple[Any, int]] = list(buffers)
    if not plain_buffers(wanted):
        for buffer, _ in wanted:
            writable(buffer, "readinto")
        wanted = [(buffer, positive(place(offset))) for buffer, offset in wanted]
    _positions(channel)
    fd, direct = channel.fd, channel.kind.direct
    results: list[int] = []
    if not direct:
        readinto_many_now(fd, wanted, results)
    if len(results) == len(wanted):
        return results
    with ExitStack() as views:  # buffers that cannot be resized meanwhile
        lengths = [len(views.enter_context(writable(buffer, "readinto"))) for buffer, _ in wanted]
        async with Many(channel, READ) as many:
            while (at := len(results)) < len(wanted):
                why = ABSENT if direct else declined()
                if why == REST:
                    await channel.home.turn.take()
                else:
                    buffer, offset = wanted[at]
                    if lengths[at]:
                        many.add(at, buffer, lengths[at], offset, why == ABSENT)
                    results.append(0)
                    await many.pause()
                if not direct:
                    readinto_many_now(fd, wanted, results)
        for part in many.parts:
            results[part.place] = part.got
    return results


async def write(channel: Channel, pieces: Iterable[tuple[ReadableBuffer, int]]) -> list[int]:
    """Writes each (data, offset), and returns the counts."""
    with ExitStack() as views:  # buffers that cannot be resized meanwhile
        wanted = [
            (data, len(views.enter_context(readable(data))), positive(place(offset)))
            for data, offset in pieces
        ]
        _positions(channel)
        async with Many(channel, WRITE) as many:
            for at, (data, nbytes, offset) in enumerate(wanted):
                many.add(at, data, nbytes, offset, False)
                await many.pause()
        return [part.got for part in many.parts]


def _positions(channel: Channel) -> None:
    if channel.kind.stream:
        text = f"{os.strerror(errno.ESPIPE)}: a pipe, socket or terminal has no positions"
        raise OSError(errno.ESPIPE, text)
