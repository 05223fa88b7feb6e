"""replacing() gives a new file that takes the place of an old one when it is complete, and not
before.

- The new file is written beside the old one, under a name that nobody else uses. When the block
  ends well it goes to the disk, gets owner and permission bits of the old file, takes its name by
  rename(2), and the directory goes to the disk. Whoever opens the name finds the old file or the
  new one, whole, also after the power has failed.
- When the block ends by an exception or a cancellation the new file goes away and the old one has
  not been touched. A cancellation while the name is being changed comes too late. Then the new file
  is there, whole.
- What is done to names happens in a thread, and an exit of the program waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from aio_posix.asyncio import exits
from aio_posix.asyncio.files.binary import BinaryFile
from aio_posix.asyncio.files.modes import parse
from aio_posix.asyncio.files.opening import open
from aio_posix.asyncio.files.promised import Opening
from aio_posix.asyncio.files.text import TextFile
from aio_posix.asyncio.offload import offload

if TYPE_CHECKING:
    from aio_posix.asyncio.files.modes import BinaryMode, TextMode
    from aio_posix.asyncio.files.opening import Path

F = TypeVar("F", bound=BinaryFile | TextFile)
PERMISSIONS = 0o777  # without the bits that let a program run as its owner
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)  # of link(2), where there are none


class Replacement:
    """The names of an old file and of the new one, and the way from one to the other."""

    def __init__(self, path: str, *, exclusive: bool) -> None:
        self._path = path
        self._exclusive = exclusive
        self._target = path
        self._old: os.stat_result | None = None
        self._lock = threading.Lock()
        self._beside = ""  # the new file's name, while it has one of its own
        self._fd = -1  # and a descriptor of it, whatever the user does with the other
        self._over = False
        self._process = os.getpid()

    def create(self, path: str, flags: int) -> int:
        """The descriptor of the new file, as an opener returns it."""
        if self._exclusive and os.path.lexists(self._path):
            raise self._error(errno.EEXIST)
        self._target = os.path.realpath(self._path)
        with contextlib.suppress(FileNotFoundError):
            old = os.stat(self._target)
            if stat.S_ISDIR(old.st_mode):
                raise self._error(errno.EISDIR)
            if not stat.S_ISREG(old.st_mode):
                raise OSError(errno.EINVAL, "only a regular file can be replaced", self._path)
            self._old = old
        folder, name = os.path.split(self._target)
        flags = flags & ~os.O_TRUNC | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        # nobody but the owner may read it before it is complete
        bits = 0o666 if self._old is None else 0o600
        # at most 80 bytes of the name, whatever its letters, as a name has 255
        beside = os.path.join(folder, f".{name[:20]}.{secrets.token_hex(8)}")
        try:
            fd = os.open(beside, flags, bits)
        except OSError as error:
            raise self._error(error.errno or 0) from None
        with self._lock:
            if not self._over:
                self._beside, self._fd = beside, os.dup(fd)
                return fd
        os.close(fd)  # given up meanwhile
        os.unlink(beside)
        raise self._error(errno.ECANCELED)

    def commit(self) -> None:
        """The new file takes the place of the old one. FileExistsError if there must be none."""
        with self._lock:
            if self._over:
                return
            if self._old is not None:
                self._become(self._old)
            os.fsync(self._fd)
            if self._exclusive:
                self._link()
            else:
                os.rename(self._beside, self._target)
            self._beside = ""
        folder = os.open(os.path.dirname(self._target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _become(self, old: os.stat_result) -> None:
        """Owner, if this process may give files away, and permission bits of the old file."""
        new = os.fstat(self._fd)
        bits = stat.S_IMODE(old.st_mode)
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
            try:
                os.fchown(self._fd, old.st_uid, old.st_gid)
            except OSError:
                bits &= PERMISSIONS  # to run as another owner is no right of the new one
        os.fchmod(self._fd, bits)

    def _link(self) -> None:
        try:
            os.link(self._beside, self._target)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise self._error(error.errno or 0) from None
            if os.path.lexists(self._target):
                raise self._error(errno.EEXIST) from None
            os.rename(self._beside, self._target)
        else:
            os.unlink(self._beside)

    def over(self) -> None:
        """The new file goes away, if it has not taken the old one's place."""
        if self._process != os.getpid():  # it is the parent's
            return
        with self._lock:
            self._over = True
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            if self._beside:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._beside)
                self._beside = ""

    def _error(self, number: int) -> OSError:
        return OSError(number, os.strerror(number), self._path)


class Replacing(AbstractAsyncContextManager[F], Generic[F]):
    """What replacing() returns: to be entered by ``async with``, once."""

    def __init__(
        self, opening: Opening[F], replacement: Replacement, executor: Executor | None
    ) -> None:
        self._opening = opening
        self._replacement = replacement
        self._executor = executor
        self._file: F | None = None
        weakref.finalize(self, replacement.over)  # also at exit, when a loop was only stopped

    async def __aenter__(self) -> F:
        try:
            self._file = await self._opening
        except BaseException:
            await self._over()
            raise
        return self._file

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._file is not None
        if kind is GeneratorExit:  # nothing can be awaited
            self._replacement.over()
            return
        try:
            if kind is None:
                await self._file.close()
                await self._job(self._replacement.commit)
        finally:
            await self._over()

    async def _over(self) -> None:
        try:
            await self._job(self._replacement.over)
        finally:
            if self._file is not None and not self._file.closed:
                with contextlib.suppress(OSError):  # what it could not write is not wanted
                    await self._file.close()

    async def _job(self, job: Callable[[], None]) -> None:
        await offload(self._executor, exits.Job(job, f"replacing {self._replacement._path!r}"))


@overload
def replacing(
    path: Path, mode: TextMode = "w", buffering: int = -1,
    encoding: str | None = None, errors: str | None = None, newline: str | None = None,
    *, executor: Executor | None = None,
) -> Replacing[TextFile]: ...  # fmt: skip
@overload
def replacing(
    path: Path, mode: BinaryMode, buffering: int = -1,
    encoding: None = None, errors: None = None, newline: None = None,
    *, executor: Executor | None = None,
) -> Replacing[BinaryFile]: ...  # fmt: skip
@overload
def replacing(
    path: Path, mode: str, buffering: int = -1,
    encoding: str | None = None, errors: str | None = None, newline: str | None = None,
    *, executor: Executor | None = None,
) -> Replacing[Any]: ...  # fmt: skip
def replacing(
    path: Path,
    mode: str = "w",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    *,
    executor: Executor | None = None,
) -> Replacing[Any]:
    """A new file that takes the place of ``path`` when the ``async with`` block ends well.

    If the block ends by an exception or a cancellation, the old file stays as it was, and nothing
    else is left. ``mode`` is "w" and its like. With "x" a file of that name is a FileExistsError,
    at the beginning or by the end. The permission bits of the old file are kept. Of a symbolic link
    the target is replaced. The other arguments are those of open().

    Raises ValueError for a mode that reads or appends only, IsADirectoryError for a directory,
    OSError (EINVAL) for what is no regular file, and what open(), fsync(2) and rename(2) raise.
    """
    parsed = parse(mode)
    if parsed is None or parsed.raw[0] not in "wx":
        raise ValueError(f"mode {mode!r} does not write a new file: it must begin with 'w' or 'x'")
    if isinstance(path, int):
        raise TypeError("a file is replaced by its name, not by a descriptor")
    replacement = Replacement(os.fsdecode(path), exclusive=parsed.raw[0] == "x")
    opening = open(
        path, mode, buffering, encoding, errors, newline, True, replacement.create,
        executor=executor,
    )  # fmt: skip
    return Replacing(opening, replacement, executor)
