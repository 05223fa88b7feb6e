"""Requests on a descriptor that belongs to somebody else.

- The first lane is the descriptor itself; reads that wait for a device at the same time make
  duplicates, which are gone when the last of them is done. A cancelled request may still run: what
  comes later gets a channel of its own.
- An object with fileno() is kept until its requests are done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aio_posix.asyncio import calls
from aio_posix.asyncio.channel import Channel
from aio_posix.asyncio.loops import current
from aio_posix.asyncio.native import read_now

T = TypeVar("T")


def _number(fd: Any) -> tuple[int, Any]:
    """The descriptor and, where one is known, the name of its file."""
    if isinstance(fd, int):
        if fd < 0:
            raise ValueError(f"fd {fd} is negative")
        return fd, None
    fileno = getattr(fd, "fileno", None)
    if fileno is None:
        raise TypeError(f"fd must be an int or have fileno(), not {type(fd).__name__}")
    name = getattr(fd, "name", None)
    return fileno(), name if isinstance(name, (str, bytes, os.PathLike)) else None


async def _through(fd: Any, call: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
    number, name = _number(fd)
    ring = current()
    channel: Channel = ring.bare(number, name)
    try:
        result = await call(channel, *args)
    except BaseException as error:
        ring.idle(number, channel, at_once=not isinstance(error, Exception))
        raise
    ring.idle(number, channel)
    return result


async def read(fd: Any, nbytes: int, offset: int) -> bytes:
    """nbytes at offset; less only at the end of the file (of a pipe or socket: what there is).

    C: ``int aio_read(struct aiocb *aiocbp)``, after ``preadv2(..., RWF_NOWAIT)`` for what is in the
    page cache.

    fd: an int, or an object with fileno(). Raises the OSError of the read; ValueError, TypeError.
    """
    data = read_now(fd, nbytes, offset)
    if data is not None:
        return data
    number, _ = _number(fd)
    if number is not fd and (data := read_now(number, nbytes, offset)) is not None:
        return data
    data, why = await calls.read_resident(number, nbytes, offset)
    if data is not None:
        return data
    return await _through(fd, calls.pread, nbytes, offset, why)


async def readinto(fd: Any, buffer: Any, offset: int) -> int:
    """Into the buffer, which can be neither resized nor freed meanwhile; the count, which may be
    short.

    C: ``int aio_read(struct aiocb *aiocbp)``

    buffer: any writable C-contiguous buffer. Raises as read does; for O_DIRECT it must be aligned
    by the caller.
    """
    return await _through(fd, calls.preadinto, buffer, offset)


async def write(fd: Any, data: Any, offset: int) -> int:
    """All of data at offset (with O_APPEND at the end), after all writes called before on this fd;
    the count.

    C: ``int aio_write(struct aiocb *aiocbp)``

    data: any C-contiguous buffer. Raises as read does; glibc moves at most 0x7ffff000 bytes at
    once, this all.
    """
    return await _through(fd, calls.pwrite, data, offset)


async def fsync(fd: Any) -> None:
    """Put on the disk what was written before through this fd, and what the file system knows of
    the file.

    C: ``int aio_fsync(int op, struct aiocb *aiocbp)`` with O_SYNC
    """
    await _through(fd, calls.sync, os.O_SYNC)


async def fdatasync(fd: Any) -> None:
    """Put on the disk what was written before through this fd.

    C: ``int aio_fsync(int op, struct aiocb *aiocbp)`` with O_DSYNC
    """
    await _through(fd, calls.sync, os.O_DSYNC)
