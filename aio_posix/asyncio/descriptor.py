"""A duplicate of a descriptor, owned: no request on it can ever reach another file.

- The duplicate, and those that reads spread over, are closed when the Descriptor is closed or
  dropped and no request in flight needs them any more: close() is safe at any moment.
- It may be used in one loop after another; what it knows of a loop is a channel.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any

from aio_posix.asyncio import calls
from aio_posix.asyncio.channel import Channel, Lane
from aio_posix.asyncio.loops import current
from aio_posix.asyncio.native import REST, declined, read_now
from aio_posix.asyncio.ring import Ring


def _no_ring() -> Ring | None:
    return None


class Descriptor:
    """Reads and writes of one open file, at an offset; name goes into its errors."""

    __slots__ = ("__weakref__", "_channel", "_fd", "_lane", "_ring", "name")

    def __init__(self, fd: int, name: Any = None) -> None:
        self._lane: Lane | None = Lane(fd, duplicate=True)
        self._fd = self._lane.fd
        self._ring: Callable[[], Ring | None] = _no_ring
        self._channel: Channel | None = None
        self.name = name

    @property
    def closed(self) -> bool:
        return self._lane is None

    def fileno(self) -> int:
        self._open()
        return self._fd

    def _open(self) -> Lane:
        if self._lane is None:
            raise ValueError("I/O operation on closed file")
        return self._lane

    def _here(self) -> Channel:
        lane, ring = self._open(), current()
        if self._channel is None or self._ring() is not ring:
            self._ring, self._channel = (
                weakref.ref(ring),
                Channel(Lane(lane.fd, whose=lane), self.name),
            )
        return self._channel

    async def pread(self, nbytes: int, offset: int) -> bytes:
        """nbytes at offset; less only at the end of the file (of a pipe or socket: what there
        is).
        """
        data = read_now(self._fd, nbytes, offset)
        if data is not None:
            return data
        if (why := declined()) == REST:
            data, why = await calls.read_resident(self._fd, nbytes, offset)
            if data is not None:
                return data
        return await calls.pread(self._here(), nbytes, offset, why)

    async def preadinto(self, buffer: Any, offset: int) -> int:
        """Into the buffer, which can be neither resized nor freed meanwhile; the count, which may
        be short.
        """
        return await calls.preadinto(self._here(), buffer, offset)

    async def pwrite(self, data: Any, offset: int) -> int:
        """All of data at offset (with O_APPEND at the end), after all writes called before; the
        count.
        """
        return await calls.pwrite(self._here(), data, offset)

    async def fsync(self) -> None:
        """Puts on the disk what was written before, and what the file system knows of the file."""
        await calls.sync(self._here(), os.O_SYNC)

    async def fdatasync(self) -> None:
        """Puts on the disk what was written before."""
        await calls.sync(self._here(), os.O_DSYNC)

    def close(self) -> None:
        """Requests in flight go on; whatever is asked for later raises ValueError."""
        self._lane = self._channel = None
        self._fd = -1
