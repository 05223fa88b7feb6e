"""An open file without its bytes: descriptor, names, position, and who closes it.

- A file that open() has opened by its name belongs to us alone: its position is a number here. The
  system hears of it (publish()) only when somebody else may look, that is after fileno(), ``raw``
  or detach(), and before a fork. Any other file's position is the system's.
- A call that runs in a thread holds ``_lock`` and looks whether the file is still open, so it never
  meets another file that has got the number; closing takes the lock, too.
- The object of the built-in is made when somebody asks for it, and closes the descriptor from then
  on. Until then close() does. There is no finalizer here: in a cycle of garbage it might run before
  that of the Buffer, which still has something to write.
"""

from __future__ import annotations

import errno
import io
import os
import select
import threading
import time
from collections.abc import Iterable
from typing import Any

from aio_posix.asyncio.files.modes import Mode
from aio_posix.asyncio.memory import ALIGNMENT, aligned, pin
from aio_posix.asyncio.native import close_now

PUBLIC = -1  # the position is the system's
CLOSED = "I/O operation on closed file."


class Handle:
    """An open descriptor; ``at`` is its position, or PUBLIC."""

    __slots__ = (
        "__weakref__",
        "_lock",
        "_raw",
        "at",
        "closefd",
        "fd",
        "mode",
        "name",
        "seekable",
    )

    def __init__(
        self,
        fd: int,
        name: Any,
        mode: Mode,
        raw: io.FileIO | None = None,
        length: int | None = None,
    ) -> None:
        """``length`` of a regular file that open() has just opened by its name; else None."""
        self.fd = fd
        self.name = name
        self.mode = mode
        self._raw = raw
        self.closefd = True if raw is None else raw.closefd
        self._lock = threading.Lock()
        if length is not None:
            self.at = length if mode.appends else 0
            self.seekable = True
        else:
            self.at = PUBLIC
            self.seekable = _has_positions(fd)

    @property
    def raw(self) -> io.FileIO:
        """The built-in's object, which owns the descriptor if anybody does."""
        self.publish()
        if self._raw is None:
            self._raw = io.FileIO(self.fd, self.mode.raw, self.closefd)
            self._raw.name = self.name  # as when it opens a file itself
        return self._raw

    @property
    def closed(self) -> bool:
        """Also when the user has closed ``raw``."""
        return self.fd < 0 or (self._raw is not None and self._raw.closed)

    def isatty(self) -> bool:
        return os.isatty(self.fd)

    def __repr__(self) -> str:
        kind = "TextFile" if self.mode.text else "BinaryFile"
        return f"<aio_posix.asyncio.{kind} name={self.name!r} mode={self.mode.shown!r}>"

    # --- the position

    def publish(self) -> None:
        """The system hears of the position, and has it from now on."""
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

    def near(self, offset: int, whence: int) -> int | None:
        """Where SEEK_SET or SEEK_CUR leads; None for the others."""
        if whence not in (os.SEEK_SET, os.SEEK_CUR):
            return None
        if self.at == PUBLIC:
            return os.lseek(self.fd, offset, whence)
        at = self.at + offset if whence == os.SEEK_CUR else offset
        if not 0 <= at < 1 << 63:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return at

    # --- here and now: these block

    def truncate(self, size: int) -> None:
        with self._lock:
            if self.closed:
                raise ValueError(CLOSED)
            os.ftruncate(self.fd, size)

    def far(self, offset: int, whence: int) -> int:
        """lseek() to where the file system has to be asked, as for the end of the file."""
        with self._lock:
            if self.closed:
                raise ValueError(CLOSED)
            return os.lseek(self.fd, offset, whence)

    def write_at(self, data: bytes | memoryview, at: int) -> int:
        """All of it; an OSError after a part says how much as ``characters_written``."""
        put = 0
        with self._lock:
            if self.closed:
                raise ValueError(CLOSED)
            try:
                while put < len(data):
                    rest = memoryview(data)[put:] if put else data
                    if self.mode.appends:
                        put += os.write(self.fd, rest)
                    else:
                        put += os.pwrite(self.fd, rest, at + put)
            except OSError as error:
                # as BlockingIOError has it
                error.characters_written = put  # type: ignore[attr-defined]
                raise
        return put

    def write(self, pieces: Iterable[bytes | memoryview], *, direct: bool) -> None:
        """Writes all of them at the position."""
        for piece in pieces:
            view = memoryview(aligned(piece) if direct and pin(piece)[1] % ALIGNMENT else piece)
            while len(view):
                if self.at != PUBLIC and not self.mode.appends:
                    put = os.pwrite(self.fd, view, self.at)
                    self.at += put
                else:
                    put = os.write(self.fd, view)
                view = view[put:]

    def push(self, pieces: list[bytes | memoryview], seconds: float) -> int:
        """Writes to a pipe, socket or terminal what it takes in time; how much is left.

        A pipe that is ready takes select.PIPE_BUF bytes without waiting.
        """
        deadline = time.monotonic() + seconds
        view = memoryview(b"".join(pieces))
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        while len(view):
            left = max(0.0, deadline - time.monotonic())
            if not poll.poll(left * 1000):
                break
            view = view[os.write(self.fd, view[: select.PIPE_BUF]) :]
        return len(view)

    # --- the end

    def close(self) -> None:
        """Closes it, unless the descriptor stays with the user."""
        with self._lock:
            fd, self.fd = self.fd, -1
            if self._raw is not None:
                self._raw.close()
            elif fd >= 0 and self.closefd:
                os.close(fd)

    def close_at_once(self) -> bool:
        """Closes a regular file that was only read, where that cannot take long."""
        if self._raw is not None or not self._lock.acquire(blocking=False):
            return False
        try:
            if self.fd < 0 or not close_now(self.fd):
                return False
            self.fd = -1
            return True
        finally:
            self._lock.release()

    def desert(self) -> None:
        """Closes the number of a forked child, whatever a thread of the parent holds."""
        fd, self.fd = self.fd, -1
        if self._raw is not None:
            self._raw.close()
        elif fd >= 0 and self.closefd:
            os.close(fd)

    def let_go(self) -> None:
        """Somebody else closes it."""
        self.fd = -1


def _has_positions(fd: int) -> bool:
    try:
        os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return False
    return True
