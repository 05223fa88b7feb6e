"""An open file with its descriptor, names, position, the requests on it, and how it is closed.

- A file that open() has opened by its name belongs to us alone. Its position is a number here
  (csrc/python/position.c). The system gets it (publish()) only when somebody else may look, that is
  after fileno(), ``raw`` or detach(), and before a fork. Any other file's position is the system's.
- What makes requests is made for the first of them, because many a file that is read once needs
  none.
- What may wait for a server, a disk or a lock of the kernel runs in a thread. Only a file that is
  known to be of this machine (``local``) is asked for its end, or closed, on the loop.
- A call in a thread holds ``_lock`` and looks whether the file is still open, so it never meets
  another file that has got the number. Closing takes the lock, too, and waits for requests. A job
  of C gets the number only while nobody else may close it, or for good.
- The object of the built-in is made when somebody asks for it, and closes the descriptor from then
  on. Until then close() does. There is no finalizer here. In a cycle of garbage it might run before
  that of Shared, which still has something to write.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from aio_posix._calls import Position, close_now, declined, may_now
from aio_posix.asyncio import exits, threads
from aio_posix.asyncio.descriptors import ring
from aio_posix.asyncio.descriptors.descriptor import Descriptor
from aio_posix.asyncio.files.closing import Closing, Rest
from aio_posix.asyncio.files.modes import Mode
from aio_posix.asyncio.jobs import Jobs
from aio_posix.asyncio.memory import ALIGNMENT, pin
from aio_posix.asyncio.native import NOW_MOST, REST
from aio_posix.asyncio.offload import offload

T = TypeVar("T")
PUBLIC = -1  # the position is the system's
SURE = (1 << 31) - 1  # where any file may end; lseek may refuse what is beyond
LAST = (1 << 63) - 1
NEVER = sys.maxsize  # bytes: no read is made at once
CLOSED = "I/O operation on closed file."


class Opened(Position):
    """``at`` is the position, or PUBLIC. Requests in flight keep nothing of this but ``raw``."""

    __slots__ = ("__weakref__", "_executor", "_lock", "_raw", "_requests", "closefd", "direct",
                 "local", "mode", "name", "own", "seekable", "stream", "wrote")  # fmt: skip

    def __init__(
        self,
        fd: int,
        name: Any,
        mode: Mode,
        executor: Executor | None,
        *,
        local: bool,
        length: int | None = None,
        raw: io.FileIO | None = None,
    ) -> None:
        """``length`` of a regular file that open() has just opened by its name; else None."""
        self.fd = fd
        self.name = name
        self.mode = mode
        self._raw = raw
        self.closefd = True if raw is None else raw.closefd
        self._lock = threading.Lock()
        self._executor = executor
        self._requests: Descriptor | None = None
        self.local = local
        self.wrote = False
        self.own = length is not None
        if length is not None:
            self.length = length
            self.seekable = True
            self.stream = self.direct = False
            if mode.appends:
                self.at = length
            if not mode.reads:
                self.least = NEVER
        else:
            self.at, self.least = PUBLIC, NEVER
            self.seekable = _has_positions(fd)
            self.stream, self.direct = self.requests.stream, self.requests.direct

    @property
    def raw(self) -> io.FileIO:
        """The built-in's object, which owns the descriptor if anybody does."""
        if self._raw is None:
            if self.seekable:
                self.at = self.tell()  # as FileIO goes to the end of a file opened to append
            self._raw = io.FileIO(self.fd, self.mode.raw, self.closefd)
            self._raw.name = self.name  # as when it opens a file itself
        self.publish()
        return self._raw

    @property
    def requests(self) -> Descriptor:
        if self._requests is None:
            name = self.name if isinstance(self.name, (str, bytes)) else None
            self._requests = (
                Descriptor.owning(self.fd, self._raw, name)
                if self.closefd
                else Descriptor.borrowing(self.fd, name)
            )
        return self._requests

    @property
    def closed(self) -> bool:
        """Also when the user has closed ``raw``."""
        return self.fd < 0 or (self._raw is not None and self._raw.closed)

    def __repr__(self) -> str:
        kind = "TextFile" if self.mode.text else "BinaryFile"
        return f"<aio_posix.asyncio.{kind} name={self.name!r} mode={self.mode.shown!r}>"

    async def courtesy(self) -> None:
        """Gives the loop its turn when the slice (turn.py) of this task is over."""
        # so much that the clock is read on every call, as lines take longer to split than to read
        while not may_now(self.fd, NOW_MOST) and declined() == REST:
            await ring.rest()

    # --- the position

    def publish(self) -> None:
        """Gives the position to the system, which has it from now on."""
        if self.at != PUBLIC:
            os.lseek(self.fd, self.at, os.SEEK_SET)
            self.at = PUBLIC

    def tell(self) -> int:
        return os.lseek(self.fd, 0, os.SEEK_CUR) if self.at == PUBLIC else self.at

    def move(self, at: int) -> None:
        if self.at == PUBLIC:
            os.lseek(self.fd, at, os.SEEK_SET)
        else:
            self.at = at

    async def go(self, offset: int, whence: int) -> int:
        """Moves the position. Where the file system has to be asked, as for the end of a file, this
        may take a thread.
        """
        if whence in (os.SEEK_SET, os.SEEK_CUR):
            if self.at == PUBLIC:
                return os.lseek(self.fd, offset, whence)
            at = self.at + offset if whence == os.SEEK_CUR else offset
            if not 0 <= at <= LAST:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            if at > SURE and at > self.length:
                os.lseek(self.fd, at, os.SEEK_SET)
        elif self.local or self.stream:
            at = self.held(os.lseek, offset, whence)
        else:
            at = await offload(self._executor, self.held, os.lseek, offset, whence)
        if self.at != PUBLIC:
            self.at = at
        return at

    # --- at the position

    async def pull_into(self, view: memoryview) -> int:
        """One read into memory of the user's."""
        if self.stream:
            return await self.requests.receive_into(view)
        at = self.tell()
        if self.direct and (at | len(view) | pin(view)[1]) % ALIGNMENT:
            data = await self.requests.pread(len(view), at)
            got = len(data)
            view[:got] = data
        else:
            got = await self.requests.preadinto(view, at)
        self.move(at + got)
        return got

    async def truncate(self, size: int) -> None:
        self.wrote = True
        await offload(self._executor, self.held, os.ftruncate, size)

    @property
    def undisturbed(self) -> bool:
        """Whether it is of this machine, and neither a call in a thread nor the built-in's object
        may close or change it now.
        """
        return self.local and self._raw is None and not self._lock.locked()

    def held(self, call: Callable[..., T], *args: Any) -> T:
        """``call(fd, *args)`` while nobody can close it."""
        with self._lock:
            if self.closed:
                raise ValueError(CLOSED)
            return call(self.fd, *args)

    # --- the end

    async def close(self, rest: Rest | None) -> None:
        """Closes it, when what is left is written, once no request is in flight."""
        if self._requests is not None:
            self._requests.close()
        if rest is None and self._close_at_once():
            return
        try:
            closing = self._closing(rest)
        except BaseException:  # no loop, no memory, or a signal handler
            if self.fd >= 0:
                self.close_later(rest)
            raise
        if closing is None:
            await offload(self._executor, self._job(rest))
        else:
            jobs().begin(closing)
            await closing.future

    def _closing(self, rest: Rest | None) -> Closing | None:
        """A job of C that writes what is left and closes the descriptor, which is its from here on.
        None, where more is to be done.
        """
        write = None if rest is None else rest.plain()
        if (
            (rest is not None and write is None)
            or self._executor is not None
            or self._raw is not None
        ):
            return None
        if not self._lock.acquire(blocking=False):
            return None
        try:
            closing = Closing(jobs().ended, self.fd, self.name, write)
            self.fd = -1
            return closing
        finally:
            self._lock.release()

    def close_now(self) -> bool:
        """Whether it is closed now: a regular file that was only read, if that cannot take long."""
        return self._requests is None and self._close_at_once()

    def _close_at_once(self) -> bool:
        if self.wrote or self.stream or not self.local or self._raw is not None:
            return False
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self.fd < 0 or not close_now(self.fd):
                return False
            self.fd = -1
            return True
        finally:
            self._lock.release()

    def close_later(self, rest: Rest | None) -> None:
        """close() without waiting: by whoever uses the number last, or a thread."""
        job = self._job(rest)

        def then() -> None:
            if not threads.start(job):
                job()

        self._when_idle(then)

    def close_here(self) -> None:
        """The same on the spot, unless reads are in flight."""
        self._when_idle(self._close)

    def desert(self) -> None:
        """Closes the number of a forked child, whatever a thread of the parent holds."""
        fd, self.fd = self.fd, -1
        if self._raw is not None:
            self._raw.close()
        elif fd >= 0 and self.closefd:
            os.close(fd)

    def let_go(self) -> None:
        """Somebody else closes it, but not before requests that are in flight are over."""
        raw = self._raw
        self._when_idle(lambda: raw)
        self.fd = -1

    async def idle(self) -> None:
        if self._requests is not None:
            await self._requests.idle()

    def interrupt(self, error: BaseException) -> None:
        """Whoever waits for a pipe or socket gets the error."""
        if self.stream and self._requests is not None:
            self._requests.interrupt(error)

    def _close(self) -> None:
        with self._lock:
            self.desert()

    def _when_idle(self, then: Callable[[], object]) -> None:
        if self._requests is None:
            then()
        else:
            self._requests.close(then)

    def _job(self, rest: Rest | None) -> exits.Job:
        def close() -> None:
            try:
                if rest is not None:
                    rest()
            finally:
                self._close()

        return exits.Job(close, f"close of {self.name!r}")


def jobs() -> Jobs:
    """Those of the running loop."""
    return ring.current().jobs


def _has_positions(fd: int) -> bool:
    try:
        os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return False
    return True
