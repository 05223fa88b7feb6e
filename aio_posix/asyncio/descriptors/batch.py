"""The records of requests, and what C needs for them.

- csrc/python/batch.c reads an entry's fields by their place. It exports the buffer while the
  request is in glibc, and makes the memory of a read that has no buffer.
- ``Entry(...)`` takes 0.25 us, ``new_entry(Entry, (...))`` 0.1, and a read that misses the page
  cache 4.
- `seam.watcher` is called for every request while somebody records (study/trace/awaited.py).
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any, NamedTuple, Protocol

from aio_posix._calls import fresh
from aio_posix._ffi import ffi, lib
from aio_posix.aiocb import LIO_READ, LIO_WRITE
from aio_posix.asyncio.memory import uncleared
from aio_posix.sigevent import address

BATCH: int = lib.BATCH
MOST = 0x7FFFF000  # bytes that Linux moves in one request
READ, WRITE, SYNC, DSYNC = int(LIO_READ), int(LIO_WRITE), os.O_SYNC, os.O_DSYNC


class Lane:
    """A descriptor, how many requests of a channel are on it, and those that are ours to do."""

    __slots__ = ("busy", "current", "fd", "file", "own")

    def __init__(self, file: Any) -> None:
        self.file = file  # an OpenFile, whose number is fd while this is held
        self.fd: int = file.fd
        self.busy = 0
        self.own: deque[Any] | None = None  # if there are any, later requests wait behind them
        self.current: Any = None  # what a thread does now


class Entry(NamedTuple):
    """A request. It waits in its channel without a lane, and then on its lane."""

    future: Any  # gets what was read if there is no buffer, else a count, or minus an errno
    op: int
    fd: int
    buffer: Any
    at: int  # where in the buffer; the alignment if there is none, or 0
    nbytes: int
    offset: int
    channel: Any
    lane: Any
    spread: bool  # over lanes

    def perform(self) -> bytes | int:
        """Does it in the calling thread, and returns what its future gets."""
        made = self.op == READ and self.buffer is None
        memory, at = b"" if self.buffer is None else self.buffer, self.at
        if made:
            memory, at = uncleared(self.nbytes) if at else fresh(self.nbytes), 0
        with ffi.from_buffer("char[]", memory) as start:
            n = int(lib.perform(self.op, self.fd, start + at, self.nbytes, self.offset))
        return bytes(memory[:n]) if made and n >= 0 else n

    def __str__(self) -> str:
        name = self.channel.name
        file = f"descriptor {self.fd}" if name is None else repr(name)
        if self.op == READ or self.op == WRITE:
            word = "read" if self.op == READ else "write"
            return f"{word} of {self.nbytes} bytes at {self.offset} of {file}"
        return f"sync of {file}"


new_entry = tuple.__new__


class Watcher(Protocol):
    """Who records requests, each known by its future."""

    def asked(self, entry: Entry) -> None: ...
    def submitting(self) -> None: ...
    def submitted(self, entries: list[Entry], addresses: list[int], flies: bool) -> None: ...
    def errand(self, entry: Entry) -> None: ...
    def given(self, entry: Entry, result: Any) -> None: ...
    def detached(self, future: Any) -> None: ...


class _Seam:
    """Where a watcher is put in."""

    __slots__ = ("watcher",)

    def __init__(self) -> None:
        self.watcher: Watcher | None = None


seam = _Seam()


class Batch:
    """A C batch and the entries that fly in it, with None for those that are handed out."""

    __slots__ = ("address", "c", "entries", "posted")

    def __init__(self) -> None:
        batch = lib.batch_new()
        if not batch:
            raise MemoryError("no room for a batch of requests")
        self.c = ffi.gc(batch, lib.batch_free)
        self.address = address(self.c)
        self.entries: list[Entry | None] = []
        self.posted = False  # a waiter has it, and will ring the bell

    def all(self) -> list[Entry]:
        """Those that are not handed out."""
        return [entry for entry in self.entries if entry is not None]

    def addresses(self) -> list[int]:
        """Of the memory that the entries read into or write from."""
        return [address(lib.batch_memory(self.c, i)) for i in range(len(self.entries))]
