"""open() opens at once where the kernel need not wait, and otherwise in a thread.

- A path is opened by us, with the audit event of the built-in. What the built-in would refuse or
  warn of, a descriptor and an opener go through the built-in open(), in a thread.
- The thread is a daemon. An open that blocks (a FIFO, a terminal, a network) holds up neither other
  opens nor the end of the program, and can be cancelled. Whatever it opens later is closed.
- No text is decoded before the file is open, but the encoding is looked up before, so a wrong one
  creates no file.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import stat
import sys
from collections.abc import Callable
from concurrent.futures import Executor
from typing import (
    TYPE_CHECKING,
    Any,
    TypeAlias,
    TypeVar,
    overload,
)

from aio_posix._calls import Ended, OpenCall, is_local, may_now, open_now
from aio_posix.asyncio import loop
from aio_posix.asyncio.files.binary import BinaryFile, RawFile
from aio_posix.asyncio.files.buffer import Buffer
from aio_posix.asyncio.files.characters import Characters, How, how
from aio_posix.asyncio.files.modes import Mode, parse
from aio_posix.asyncio.files.opened import Opened, jobs
from aio_posix.asyncio.files.promised import Asked, Opening
from aio_posix.asyncio.files.sharing import Shared
from aio_posix.asyncio.files.text import TextFile
from aio_posix.asyncio.native import NOW_MOST
from aio_posix.asyncio.offload import offload

if TYPE_CHECKING:
    from aio_posix.asyncio.files.modes import BinaryMode, TextMode

    Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
    FileDescriptorOrPath: TypeAlias = int | Path
    Opener: TypeAlias = Callable[[str, int], int]

F = TypeVar("F", bound=BinaryFile | TextFile)
T = TypeVar("T")
# Bytes that a sequential reader reads ahead in the end. Beyond that it gets no faster.
AHEAD = 256 << 10
# Bytes that may wait to be written. Python has it so since 3.14. A thread makes each write of a
# regular file, and to start it costs as much as copying these.
WAITING = 128 << 10
INT_MOST = 2**31 - 1  # what C's int holds, and the built-in's buffering


@overload
def open(
    file: FileDescriptorOrPath, mode: TextMode = "r", buffering: int = -1,
    encoding: str | None = None, errors: str | None = None, newline: str | None = None,
    closefd: bool = True, opener: Opener | None = None,
    *, loop: object = None, executor: Executor | None = None,
) -> Opening[TextFile]: ...  # fmt: skip
@overload
def open(
    file: FileDescriptorOrPath, mode: BinaryMode, buffering: int = -1,
    encoding: None = None, errors: None = None, newline: None = None,
    closefd: bool = True, opener: Opener | None = None,
    *, loop: object = None, executor: Executor | None = None,
) -> Opening[BinaryFile]: ...  # fmt: skip
@overload
def open(
    file: FileDescriptorOrPath, mode: str, buffering: int = -1,
    encoding: str | None = None, errors: str | None = None, newline: str | None = None,
    closefd: bool = True, opener: Opener | None = None,
    *, loop: object = None, executor: Executor | None = None,
) -> Opening[Any]: ...  # fmt: skip
def open(
    file: FileDescriptorOrPath,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Opener | None = None,
    *,
    loop: object = None,
    executor: Executor | None = None,
) -> Opening[Any]:
    """Opens a file as the built-in ``open()`` does, to be awaited or entered by ``async with``.

    >>> async with open("settings.json") as file:
    ...     text = await file.read()

    What comes out is a TextFile or, for binary modes, a BinaryFile. Their help lists the methods,
    which are those of the built-in's files and pread(), pwrite(), fsync() and their like.

    The arguments up to ``opener`` are those of the built-in. ``executor`` is for what POSIX AIO has
    no call for (open, truncate, close). Without it aio_posix uses threads of its own. ``loop`` is
    there because aiofiles has it, and only the running loop is used. Raises what the built-in
    raises.
    """
    if isinstance(mode, str) and "b" not in mode:
        encoding = io.text_encoding(encoding)
    asked = Asked(file, mode, buffering, encoding, errors, newline, closefd, opener)
    return Opening(_open, asked, executor)


async def _open(asked: Asked, executor: Executor | None) -> BinaryFile | TextFile:
    mode = parse(asked.mode) if isinstance(asked.mode, str) else None
    path = asked.file
    if type(path) is not str and isinstance(path, os.PathLike):
        path = os.fspath(path)
    if mode is None or not isinstance(path, (str, bytes)) or not _plain(asked, mode):
        return await _open_as_builtin(asked, executor)
    text = None
    if mode.text:
        text = how(asked.encoding, asked.errors, asked.newline, lines=asked.buffering == 1)
    sys.audit("open", path, mode.raw, mode.flags)
    at_once = open_now(path, mode.flags)
    if at_once is not None:
        fd, size = at_once
        opened = Opened(fd, path, mode, executor, local=True, length=size)
        file = _wrap(opened, asked, text)
        if not may_now(fd, NOW_MOST):
            try:
                await opened.courtesy()
            except BaseException:
                opened.close_here()
                raise
        return file
    fd, kind, size, local = await _open_wait(executor, path, mode.flags)
    length = size if stat.S_ISREG(kind) else None
    opened = Opened(fd, path, mode, executor, local=local, length=length)
    if text is not None and length is None and asked.buffering < 0 and os.isatty(fd):
        text = text._replace(line_buffering=True)
    return _wrap(opened, asked, text)


def _plain(asked: Asked, mode: Mode) -> bool:
    """Whether the built-in would open the path itself, and have nothing to say about the rest."""
    if asked.opener is not None or not asked.closefd or type(asked.buffering) is not int:
        return False
    if asked.buffering > INT_MOST:
        return False
    if mode.text:
        return asked.buffering == -1 or asked.buffering > 0
    has_text = (asked.encoding, asked.errors, asked.newline) != (None, None, None)
    return asked.buffering >= -1 and asked.buffering != 1 and not has_text


async def _open_as_builtin(asked: Asked, executor: Executor | None) -> BinaryFile | TextFile:
    """For a descriptor, an opener, and whatever the built-in refuses or warns of."""
    raw, lines, local = await _in_thread(executor, _builtin, _close_builtin, asked)
    mode = parse(asked.mode)
    assert mode is not None  # the built-in has accepted it
    text = None
    if mode.text:
        text = how(asked.encoding, asked.errors, asked.newline, lines=lines)
    opened = Opened(raw.fileno(), raw.name, mode, executor, local=local, raw=raw)
    return _wrap(opened, asked, text)


def _builtin(asked: Asked) -> tuple[io.FileIO, bool, bool]:
    file: Any = builtins.open(*asked)  # noqa: SIM115  # its unbuffered part is the result
    lines = getattr(file, "line_buffering", False)
    while not isinstance(file, io.FileIO):
        file = file.detach()
    return file, lines, is_local(file.fileno())


def _close_builtin(opened: tuple[io.FileIO, bool, bool]) -> None:
    opened[0].close()


class Call(OpenCall):
    """An open by a thread that needs no GIL for it."""

    def __init__(self, ended: Ended, path: str | bytes, flags: int) -> None:
        self.future: loop.Future[None] = loop.new_future()

    def over(self) -> None:
        loop.settle(self.future, None, None)

    def orphaned(self) -> None: ...


async def _open_wait(
    executor: Executor | None, path: str | bytes, flags: int
) -> tuple[int, int, int, bool]:
    here = jobs()
    call = Call(here.ended, path, flags)
    try:
        if executor is None:
            here.begin(call)
            await call.future
        else:
            await offload(executor, call)
        return call.take()
    except BaseException:
        call.abandon()
        raise


async def _in_thread(
    executor: Executor | None, call: Callable[..., T], drop: Callable[[T], None], *args: Any
) -> T:
    """The result of a call that opens something; ``drop`` closes it if nobody awaits it."""
    opened: list[T] = []
    abandoned = False

    def give_up() -> None:
        with contextlib.suppress(IndexError):
            drop(opened.pop())

    def job() -> None:
        opened.append(call(*args))
        if abandoned:
            give_up()

    try:
        await offload(executor, job)
        return opened.pop()
    except BaseException:
        abandoned = True
        give_up()
        raise


def _wrap(opened: Opened, asked: Asked, text: How | None) -> BinaryFile | TextFile:
    asked_size = asked.buffering if asked.buffering > 1 else 0
    first = asked_size or io.DEFAULT_BUFFER_SIZE
    if asked.buffering == 0:
        return RawFile(Shared(Buffer(opened, 0, first, first)))
    if opened.mode.reads and opened.mode.writes and not opened.seekable:
        opened.close_here()
        raise io.UnsupportedOperation("File or stream is not seekable.")
    shared = Shared(Buffer(opened, asked_size or WAITING, first, max(first, AHEAD)))
    if text is None:
        return BinaryFile(shared)
    characters = Characters(shared.buffer, text)
    shared.window = characters.window
    return TextFile(shared, characters, text, asked.mode)
