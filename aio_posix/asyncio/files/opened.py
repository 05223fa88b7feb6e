"""An open file in use: its handle, the requests on it, and how it is closed.

- The object that makes requests is made for the first of them: many a file that is read once needs
  none.
- What may wait for a server, a disk or a lock of the kernel runs in a thread. Only a file that is
  known to be of this machine (``local``) is asked for its end, or closed, on the loop.
- A file is closed when no request uses its number any more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor

from aio_posix.asyncio import exits, threads
from aio_posix.asyncio.files.below import Below, Requests
from aio_posix.asyncio.files.handle import PUBLIC, Handle
from aio_posix.asyncio.memory import ALIGNMENT, pin
from aio_posix.asyncio.native import NOW_MOST, REST, declined, may_now, read_now
from aio_posix.asyncio.offload import offload


class Opened:
    """``length`` is what a regular file of ours had when it was opened, else None."""

    __slots__ = (
        "_below",
        "_executor",
        "_length",
        "_requests",
        "direct",
        "fd",
        "handle",
        "local",
        "stream",
        "wrote",
    )

    def __init__(
        self,
        handle: Handle,
        below: Below,
        executor: Executor | None,
        length: int | None,
        local: bool,
    ) -> None:
        self.handle = handle
        self._below = below
        self._executor = executor
        self._length = length or 0
        self.local = local
        self.wrote = False
        # to be read at once, if it is one of ours; else -1
        self.fd = handle.fd if handle.mode.reads and length is not None else -1
        self._requests: Requests | None = None
        self.stream = self.direct = False
        if length is None:
            self.stream, self.direct = self.requests.stream, self.requests.direct

    @property
    def requests(self) -> Requests:
        if self._requests is None:
            handle = self.handle
            self._requests = self._below.descriptor(handle.fd, handle, handle.name, handle.closefd)
        return self._requests

    async def courtesy(self) -> None:
        """Gives the loop its turn when the slice (turn.py) of this task is over."""
        # so much that the clock is asked each time: lines cost more than reads
        while not may_now(self.fd, NOW_MOST) and declined() == REST:
            await self._below.rest()

    # --- at the position

    async def pull(self, nbytes: int) -> bytes:
        """One read: ``nbytes``, of a pipe or socket what there is."""
        if self.stream:
            return await self.requests.receive(nbytes)
        handle = self.handle
        at = handle.tell()
        data = read_now(self.fd, nbytes, at)
        if data is None:
            data = await self.requests.pread(nbytes, at)
        handle.move(at + len(data))
        return data

    async def pull_into(self, view: memoryview) -> int:
        """One read into memory of the user's."""
        if self.stream:
            return await self.requests.receive_into(view)
        at = self.handle.tell()
        if self.direct and (at | len(view) | pin(view)[1]) % ALIGNMENT:
            data = await self.requests.pread(len(view), at)
            got = len(data)
            view[:got] = data
        else:
            got = await self.requests.preadinto(view, at)
        self.handle.move(at + got)
        return got

    def length(self) -> int:
        """How long the file is; of a server's, how long it was when it was opened."""
        return os.fstat(self.handle.fd).st_size if self.local else self._length

    async def go(self, offset: int, whence: int) -> int:
        """Moves the position."""
        handle = self.handle
        at = handle.near(offset, whence)
        if at is None:
            at = (
                handle.far(offset, whence)
                if self.local or self.stream
                else await offload(self._executor, handle.far, offset, whence)
            )
        if handle.at != PUBLIC:
            handle.at = at
        return at

    async def truncate(self, size: int) -> None:
        self.wrote = True
        await offload(self._executor, self.handle.truncate, size)

    # --- the end

    async def close(self, finish: Callable[[], None] | None) -> None:
        """Closes it, when ``finish`` has written what is left, once no request is in flight."""
        if self._requests is not None:
            self._requests.close()
        may_wait = finish is not None or self.wrote or self.stream or not self.local
        if may_wait or not self.handle.close_at_once():
            await offload(self._executor, self._job(finish))

    def close_now(self) -> bool:
        """Whether it is closed now: a regular file that was only read, if that cannot take long."""
        if self._requests is not None or self.wrote or self.stream or not self.local:
            return False
        return self.handle.close_at_once()

    def close_later(self, finish: Callable[[], None] | None) -> None:
        """The same without waiting: by whoever uses the number last, or a thread."""
        job = self._job(finish)

        def then() -> None:
            if not threads.start(job):
                job()

        self._when_idle(then)

    def close_here(self) -> None:
        """The same on the spot, unless reads are in flight."""
        self._when_idle(self.handle.close)

    def let_go(self) -> None:
        """Somebody else closes it."""
        if self._requests is not None:
            self._requests.close()
        self.handle.let_go()

    async def idle(self) -> None:
        if self._requests is not None:
            await self._requests.idle()

    def interrupt(self, error: BaseException) -> None:
        """Whoever waits for a pipe or socket gets the error."""
        if self.stream and self._requests is not None:
            self._requests.interrupt(error)

    def _when_idle(self, then: Callable[[], None]) -> None:
        if self._requests is None:
            then()
        else:
            self._requests.close(then)

    def _job(self, finish: Callable[[], None] | None) -> exits.Job:
        handle = self.handle

        def close() -> None:
            try:
                if finish is not None:
                    finish()
            finally:
                handle.close()

        return exits.Job(close, f"close of {handle.name!r}")
