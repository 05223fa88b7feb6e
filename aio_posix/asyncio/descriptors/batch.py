"""The records of requests, and what C needs for them.

- A Wish is what a call asks of a channel; an Entry is a wish that has got its lane.
  csrc/python/batch.c reads an entry's first seven fields by their place.
- Records of requests are tuples with names: to make one takes 0.25 us, a plain tuple 0.05, and a
  request that misses the page cache 7.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any, NamedTuple

from aio_posix._ffi import ffi, lib
from aio_posix.aiocb import LIO_READ, LIO_WRITE
from aio_posix.sigevent import address

BATCH: int = lib.BATCH
MOST = 0x7FFFF000  # bytes that Linux moves in one request
READ, WRITE, SYNC, DSYNC = int(LIO_READ), int(LIO_WRITE), os.O_SYNC, os.O_DSYNC


class Later:
    """Memory of a read that waits in a line: it is made when the turn comes."""

    __slots__ = ("data", "nbytes")

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.data = b""


class Wish(NamedTuple):
    """A request that waits in its channel."""

    future: Any  # gets a count, or minus an errno
    op: int
    buffer: Any  # bytes, an address, None or Later
    nbytes: int
    offset: int
    spread: bool  # over lanes
    kept: Any  # keeps the buffer


class Lane:
    """A descriptor, how many requests of a channel are on it, and those that are ours to do."""

    __slots__ = ("busy", "current", "fd", "file", "flying", "own", "working")

    def __init__(self, file: Any) -> None:
        self.file = file  # an OpenFile: fd is its number while this is held
        self.fd: int = file.fd
        self.busy = 0
        self.flying = 0  # of these, in glibc
        self.own: deque[Entry] = deque()
        self.current: Entry | None = None  # what a thread does now
        self.working = False  # what is asked for now has to wait behind ``own``


class Entry(NamedTuple):
    """A request on its lane."""

    future: Any
    op: int
    fd: int
    buffer: Any
    nbytes: int
    offset: int
    channel: Any
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

    def __str__(self) -> str:
        name = self.channel.name
        file = f"descriptor {self.fd}" if name is None else repr(name)
        if self.op == READ or self.op == WRITE:
            word = "read" if self.op == READ else "write"
            return f"{word} of {self.nbytes} bytes at {self.offset} of {file}"
        return f"sync of {file}"


class Batch:
    """A C batch and the entries that fly in it; None for those that are handed out."""

    __slots__ = ("address", "c", "entries", "results")

    def __init__(self) -> None:
        self.c = ffi.gc(lib.batch_new(), lib.batch_free)
        if not self.c:
            raise MemoryError("no room for a batch of requests")
        self.address = address(self.c)
        self.entries: list[Entry | None] = []
        # what C has handed out and nobody has looked at yet: index, count or minus an errno
        self.results: list[tuple[int, int]] = []


class Bell:
    """What wakes a loop from any thread; closed with its last user."""

    __slots__ = ("address", "c", "fd")

    def __init__(self) -> None:
        self.c = ffi.gc(lib.bell_new(), lib.bell_drop)
        if not self.c:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        self.address = address(self.c)
        self.fd = int(self.c.fd)

    def ring(self) -> None:
        lib.bell_ring(self.c)

    def hush(self) -> None:
        lib.bell_hush(self.c)
