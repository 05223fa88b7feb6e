"""What flies together: one lio_listio, its entries, its notice.

- An entry is (future, op, fd, buffer, nbytes, offset, channel, lane, spread, kept); csrc/batch.c
  reads the first six.
- Memory of C goes back to the pool, or is freed, only after the notice: flight.owed holds the batch
  until then.
"""

from __future__ import annotations

import os
from typing import Any

from aio_posix._ffi import ffi, lib
from aio_posix.aiocb import LIO_READ, LIO_WRITE
from aio_posix.sigevent import address

BATCH: int = lib.BATCH
READ, WRITE, SYNC, DSYNC = int(LIO_READ), int(LIO_WRITE), os.O_SYNC, os.O_DSYNC
Entry = tuple[Any, ...]


class Nobody:
    """In place of a future that nobody awaits any more."""

    def done(self) -> bool:
        return True


NOBODY = Nobody()


class Batch:
    """A C batch and the entries that fly in it."""

    __slots__ = ("address", "c", "entries", "noticed", "refused", "serials")

    def __init__(self) -> None:
        self.c = ffi.gc(lib.batch_new(BATCH), lib.batch_free)
        if not self.c:
            raise MemoryError("no room for a batch of requests")
        self.address = address(self.c)
        self.entries: list[Entry] = []
        self.noticed = self.refused = False
        self.serials: list[int] = []


def let_go(kept: Any) -> None:
    """Gives an exported buffer back at once: in a cycle of garbage, as tracebacks make them, it
    crashes Python 3.11.
    """
    if isinstance(kept, ffi.CData):
        ffi.release(kept)
