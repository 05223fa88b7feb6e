"""Requests on a descriptor that belongs to somebody else.

- A request reaches the file that the descriptor means when the call begins, whatever is closed or
  reused later. All that has to wait goes through a duplicate, which is given back with the last
  request that needs it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aio_posix._calls import read_now, readinto_now
from aio_posix.asyncio.descriptors.descriptor import Descriptor

if TYPE_CHECKING:
    from aio_posix._types import FileDescriptor, ReadableBuffer, WritableBuffer

INT_MOST = 2**31 - 1


_ints: dict[int, Descriptor] = {}  # they know nothing but the number, so any file may use them
INTS_MOST = 1024


def _borrowed(fd: FileDescriptor) -> Descriptor:
    """With the name of its file, where one is known."""
    if isinstance(fd, int):
        known = _ints.get(fd)
        if known is not None and fd.__class__ is int:
            return known
        found = Descriptor.borrowing(_number(fd), shared=True)
        if len(_ints) < INTS_MOST:
            _ints[fd] = found
        return found
    fileno = getattr(fd, "fileno", None)
    if fileno is None:
        raise TypeError(f"fd must be an int or have fileno(), not {type(fd).__name__}")
    name = getattr(fd, "name", None)
    name = name if isinstance(name, (str, bytes, os.PathLike)) else None
    return Descriptor.borrowing(_number(fileno()), name, shared=True)


def _number(fd: Any) -> int:
    """Checks a descriptor. Raises TypeError, ValueError or OverflowError."""
    if isinstance(fd, bool) or not isinstance(fd, int):
        raise TypeError(f"fd must be an int or have fileno(), not {type(fd).__name__}")
    if fd > INT_MOST:
        raise OverflowError(f"fd {fd} does not fit into a C int")
    if fd < 0:
        raise ValueError(f"fd {fd} is negative")
    return fd


async def read(fd: FileDescriptor, nbytes: int, offset: int) -> bytes:
    """Read ``nbytes`` bytes at ``offset``.

    C: ``int aio_read(struct aiocb *aiocbp)``, after ``preadv2(..., RWF_NOWAIT)`` for what is in the
    page cache.

    Fewer bytes come at the end of the file only. A pipe or a socket gives what there is, and
    ignores the offset. ``fd`` is an int or an object with fileno(). Raises the OSError of the read,
    and TypeError, ValueError or OverflowError for arguments that can never be right.
    """
    data = read_now(fd, nbytes, offset)
    if data is not None:
        return data
    descriptor = (_ints.get(fd) if fd.__class__ is int else None) or _borrowed(fd)
    if (
        fd.__class__ is not int
        and (data := read_now(descriptor.fileno(), nbytes, offset)) is not None
    ):
        return data
    return await descriptor.pread_missed(nbytes, offset)


async def readinto(fd: FileDescriptor, buffer: WritableBuffer, offset: int) -> int:
    """Read into a buffer, from ``offset`` on, and return how many bytes came.

    C: ``int aio_read(struct aiocb *aiocbp)``

    ``buffer`` is any writable C-contiguous buffer. Until the read has ended it can be neither
    resized nor freed. The count is short at the end of the file only. A pipe or a socket gives what
    there is. With O_DIRECT the caller has to align the buffer. Raises what read() raises.
    """
    count = readinto_now(fd, buffer, offset)
    if count is not None:
        return count
    if fd.__class__ is int:
        return await _borrowed(fd).preadinto_missed(buffer, offset)
    return await _borrowed(fd).preadinto(buffer, offset)


async def write(fd: FileDescriptor, data: ReadableBuffer, offset: int) -> int:
    """Write all of ``data`` at ``offset``, and return how many bytes that were.

    C: ``int aio_write(struct aiocb *aiocbp)``

    ``data`` is any C-contiguous buffer. With O_APPEND it goes to the end of the file. Writes to one
    descriptor happen in the order of the calls. One request of glibc's moves at most 0x7ffff000
    bytes, so this call makes as many as it needs. A write to a pipe or socket that is cancelled
    stops, and its CancelledError says how much has gone, in a note and as ``characters_written``.
    Raises what read() raises.
    """
    return await _borrowed(fd).pwrite(data, offset)


async def fsync(fd: FileDescriptor) -> None:
    """Put on the disk what was written through this descriptor before, and the file's metadata.

    C: ``int aio_fsync(int op, struct aiocb *aiocbp)`` with O_SYNC

    Raises what read() raises, and OSError (EINVAL) for a pipe or a socket.
    """
    await _borrowed(fd).fsync()


async def fdatasync(fd: FileDescriptor) -> None:
    """Put on the disk what was written through this descriptor before.

    C: ``int aio_fsync(int op, struct aiocb *aiocbp)`` with O_DSYNC

    Metadata that reading the data back does not need may come later. Raises what fsync() raises.
    """
    await _borrowed(fd).fdatasync()


async def pread_many(fd: FileDescriptor, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
    """Read ``nbytes`` bytes at ``offset`` for each (nbytes, offset), with one await.

    C: ``int lio_listio(int mode, struct aiocb *const aiocb_list[], int nitems, struct sigevent
    *sevp)``

    Returns the pieces in their order. This is much faster than gathering as many calls of read().
    All reads end before the first error in that order is raised, and a note names its place. Raises
    what read() raises, and OSError (ESPIPE) for a pipe, socket or terminal.
    """
    return await _borrowed(fd).pread_many(ranges)


async def readinto_many(
    fd: FileDescriptor, buffers: Iterable[tuple[WritableBuffer, int]]
) -> list[int]:
    """Read into many buffers with one await, from ``offset`` on for each (buffer, offset).

    C: ``int lio_listio(int mode, struct aiocb *const aiocb_list[], int nitems, struct sigevent
    *sevp)``

    Returns the counts in their order. A buffer is any writable C-contiguous one, and may be a slice
    of an array. Raises what pread_many() raises.
    """
    return await _borrowed(fd).preadinto_many(buffers)


async def pwrite_many(
    fd: FileDescriptor, pieces: Iterable[tuple[ReadableBuffer, int]]
) -> list[int]:
    """Write many pieces with one await, at ``offset`` for each (data, offset).

    C: ``int lio_listio(int mode, struct aiocb *const aiocb_list[], int nitems, struct sigevent
    *sevp)``

    Returns the counts in their order. Pieces that overlap land in their order, and after all writes
    that were called before. Raises what pread_many() raises.
    """
    return await _borrowed(fd).pwrite_many(pieces)
