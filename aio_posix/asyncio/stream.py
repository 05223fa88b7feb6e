"""A file's bytes at the position that the operating system keeps for it.

- Reads and writes go through a Descriptor, so through duplicates of the file's own: close() is safe
  at any moment. The position is moved by lseek, so whoever shares the open file sees what he would
  see with the built-in.
- A write that has begun goes on when its task is cancelled. settle() waits for it and raises what
  it raised; whatever depends on the position settles first.
- A pipe or socket has no position; a read of it can be interrupted.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

from aio_posix._ffi import ffi
from aio_posix.asyncio.calls import ALIGNMENT, aligned
from aio_posix.asyncio.descriptor import Descriptor
from aio_posix.asyncio.native import NOW_MOST, REST, declined, may_now
from aio_posix.asyncio.offload import offload
from aio_posix.asyncio.request import rest

T = TypeVar("T")
CLOSED = "I/O operation on closed file."


class Stream:
    """Reads and writes of ``raw``, one at a time; pread, preadinto and pwrite at any time."""

    def __init__(self, raw: io.FileIO, executor: Executor | None = None) -> None:
        self.raw = raw
        self.seekable = raw.seekable()
        flags = fcntl.fcntl(raw.fileno(), fcntl.F_GETFL)
        self.append = bool(flags & os.O_APPEND)
        self._direct = bool(flags & os.O_DIRECT)
        name = raw.name
        self._descriptor = Descriptor(
            raw.fileno(), name if isinstance(name, (str, bytes, os.PathLike)) else None
        )
        self._fd = self._descriptor.fileno()
        self._executor = executor
        self._pushed = b""  # what was read from a pipe and given back
        self._writing: asyncio.Task[int] | None = None
        self._waiting: asyncio.Task[Any] | None = None  # for a pipe or socket
        self.interrupted = False
        self._pwrites: set[asyncio.Future[int]] = set()
        self.pread = self._descriptor.pread
        self.preadinto = self._descriptor.preadinto

    async def courtesy(self) -> None:
        """Gives the loop its turn when the slice (turn.py) of this task is over."""
        # so much that the clock is asked each time: lines cost more than reads
        while not may_now(self._fd, NOW_MOST) and declined() == REST:
            await rest()

    # --- at the position

    async def settle(self) -> None:
        """Waits for a write whose task was cancelled, and raises what it raised."""
        if self._writing is not None:
            await asyncio.wait((self._writing,))
            done, self._writing = self._writing, None
            done.result()

    async def read(self, nbytes: int) -> bytes:
        """``nbytes``, fewer only at the end of the file; from a pipe or socket what there is."""
        if nbytes < 0:
            raise ValueError(f"negative size: {nbytes}")
        if not self.seekable:
            if not self._pushed:
                return await self._wait(self._descriptor.pread(nbytes, 0))
            data, self._pushed = self._pushed[:nbytes], self._pushed[nbytes:]
            return data
        await self.settle()
        at = self.raw.tell()
        data = await self._descriptor.pread(nbytes, at)
        self.raw.seek(at + len(data))
        return data

    async def readinto(self, view: memoryview) -> int:
        """One read into memory of the user's."""
        if not self.seekable:
            if not self._pushed:
                return await self._wait(self._descriptor.preadinto(view, 0))
            data = await self.read(len(view))
            view[: len(data)] = data
            return len(data)
        await self.settle()
        at = self.raw.tell()
        if self._direct and (at % ALIGNMENT or len(view) % ALIGNMENT or address(view) % ALIGNMENT):
            data = await self._descriptor.pread(len(view), at)
            view[: len(data)] = data
            got = len(data)
        else:
            got = await self._descriptor.preadinto(view, at)
        self.raw.seek(at + got)
        return got

    async def readall(self, chunk: int) -> bytes:
        """All up to the end, in reads of at least ``chunk`` where the size is not known."""
        parts = []
        if self.seekable:
            await self.settle()
            if (rest := os.fstat(self.raw.fileno()).st_size - self.raw.tell()) > 0:
                parts.append(await self.read(rest))
        while data := await self.read(chunk):
            parts.append(data)
            chunk = min(2 * chunk, 1 << 20)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def write(self, data: bytes | memoryview) -> int:
        """All of ``data``."""
        await self.settle()
        if self._direct and address(data) % ALIGNMENT:
            data = aligned(data)
        self._writing = asyncio.get_running_loop().create_task(self._put(data))
        await asyncio.wait((self._writing,))
        done, self._writing = self._writing, None
        return done.result()

    async def _put(self, data: bytes | memoryview) -> int:
        if not self.seekable:
            return await self._descriptor.pwrite(data, 0)
        at = self.raw.tell()
        self.raw.seek(at + len(data))
        try:
            put = await self._descriptor.pwrite(data, at)
        except OSError:
            self.raw.seek(at)
            raise
        if self.append:
            self.raw.seek(0, os.SEEK_END)
        return put

    def seek(self, offset: int, whence: int) -> int:
        return self.raw.seek(offset, whence)

    def back(self, data: bytes) -> None:
        """Gives back what was just read."""
        if self.seekable:
            self.raw.seek(-len(data), os.SEEK_CUR)
        else:
            self._pushed = data + self._pushed

    async def truncate(self, size: int) -> int:
        await self.settle()
        return await offload(self._executor, self.raw.truncate, size)

    async def sync(self, *, data_only: bool) -> None:
        """All that was written is on the disk."""
        await self.settle()
        await (self._descriptor.fdatasync() if data_only else self._descriptor.fsync())

    # --- at an offset

    async def pwrite(self, data: Any, offset: int) -> int:
        """All of ``data``; close() waits for it."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pwrites.add(done)
        try:
            return await self._descriptor.pwrite(data, offset)
        finally:
            self._pwrites.discard(done)
            if not done.done():
                done.set_result(0)

    # --- the end

    async def _wait(self, read: Coroutine[Any, Any, T]) -> T:
        if self.interrupted:
            read.close()
            raise ValueError(CLOSED)
        task = asyncio.get_running_loop().create_task(read)
        self._waiting = task
        try:
            return await task
        except asyncio.CancelledError:
            if self.interrupted:
                raise ValueError(CLOSED) from None
            raise
        finally:
            self._waiting = None

    def interrupt(self) -> None:
        """Reads that wait for a pipe or socket raise ValueError."""
        self.interrupted = True
        if self._waiting is not None:
            self._waiting.cancel()

    @property
    def busy(self) -> bool:
        return self._writing is not None and not self._writing.done()

    async def close(self, close: Callable[[], None]) -> None:
        """Closes the file when what was asked to be written is written; reads in flight go on."""
        try:
            await self.settle()
            while self._pwrites:
                await asyncio.wait(self._pwrites)
        finally:
            self._descriptor.close()
            await offload(self._executor, close)

    def let_go(self) -> None:
        self._descriptor.close()


def address(data: bytes | memoryview) -> int:
    return int(ffi.cast("uintptr_t", ffi.from_buffer(data)))
