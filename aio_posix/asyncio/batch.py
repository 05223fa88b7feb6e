"""What flies together: one lio_listio and its entries.

- A Wish is what a call asks of a channel; an Entry is a wish that has got its lane. csrc/batch.c
  reads an entry's first six fields by their place.
- A batch is used again, and its memory freed, only when all results are handed out and no waiter
  holds it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from aio_posix._ffi import ffi, lib
from aio_posix.aiocb import LIO_READ, LIO_WRITE
from aio_posix.sigevent import address

if TYPE_CHECKING:
    from aio_posix.asyncio.lane import Channel, Lane
    from aio_posix.asyncio.loop import Future

BATCH: int = lib.BATCH
READ, WRITE, SYNC, DSYNC = int(LIO_READ), int(LIO_WRITE), os.O_SYNC, os.O_DSYNC


class Wish(NamedTuple):
    """A request that waits in its channel."""

    future: Future[int]  # gets a count, or minus an errno
    op: int
    buffer: Any  # bytes, an address or None
    nbytes: int
    offset: int
    spread: bool  # over lanes
    kept: Any  # keeps the buffer


class Entry(NamedTuple):
    """A request on its lane."""

    future: Future[int]
    op: int
    fd: int
    buffer: Any
    nbytes: int
    offset: int
    channel: Channel
    lane: Lane
    spread: bool
    kept: Any

    def perform(self) -> int:
        """Does it in the calling thread: the count, or minus an errno."""
        where = (
            ffi.from_buffer(self.buffer)
            if isinstance(self.buffer, bytes)
            else ffi.cast("void *", self.buffer or 0)
        )
        return int(lib.perform(self.op, self.fd, where, self.nbytes, self.offset))


class Batch:
    """A C batch and the entries that fly in it; None for those that are handed out."""

    __slots__ = ("address", "c", "detached", "entries", "refused", "serials")

    def __init__(self) -> None:
        self.c = ffi.gc(lib.batch_new(BATCH), lib.batch_free)
        if not self.c:
            raise MemoryError("no room for a batch of requests")
        self.address = address(self.c)
        self.entries: list[Entry | None] = []
        self.detached: set[int] = set()  # entries whose futures nobody awaits
        self.refused = False
        self.serials: list[int] = []  # in flight.in_flight
