"""open(): the built-in opens the file, off the loop, and tells what it is; our own objects read and
write it.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeVar, cast, overload

from aio_posix.asyncio.binary import BinaryFile, RawFile
from aio_posix.asyncio.buffer import Buffer
from aio_posix.asyncio.offload import offload
from aio_posix.asyncio.stream import Stream
from aio_posix.asyncio.text import TextFile

if TYPE_CHECKING:
    from aio_posix.asyncio.modes import BinaryMode, TextMode

    FileDescriptorOrPath: TypeAlias = int | str | bytes | os.PathLike[str] | os.PathLike[bytes]
    Opener: TypeAlias = Callable[[str, int], int]

F = TypeVar("F", bound=BinaryFile | TextFile)
MOST = (
    256 << 10
)  # bytes that a sequential reader reads ahead in the end; beyond that it gets no faster


class Opening(AbstractAsyncContextManager[F], Generic[F]):
    """What open() returns: to be awaited, or entered by ``async with``."""

    __slots__ = ("_awaited", "_busy", "_file", "_how")

    def __init__(self, how: tuple[Any, ...]) -> None:
        self._how = how
        self._awaited = self._busy = False
        self._file: F | None = None

    def __await__(self) -> Generator[Any, None, F]:
        if self._file is None:
            if self._busy:
                raise RuntimeError("this open() is being awaited already")
            self._awaited = self._busy = True
            try:
                self._file = cast(F, (yield from _open(*self._how).__await__()))
            finally:
                self._busy = False
        return self._file

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{name!r}: this is what open() returns and no file yet; "
            f"await it ('file = await open(...)') or enter it ('async with open(...) as file')",
            name=name,
            obj=self,
        )

    def __enter__(self) -> NoReturn:
        raise TypeError("a file of aio_posix.asyncio is entered by 'async with', not by 'with'")

    def __exit__(self, *_: object) -> None: ...

    def __del__(self) -> None:
        if not self._awaited:
            file, mode = self._how[2][:2]
            text = f"open({file!r}, {mode!r}) was never awaited"
            warnings.warn(text, RuntimeWarning, stacklevel=2, source=self)

    async def __aenter__(self) -> F:
        return await self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._file is not None
        await self._file.close()


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
    """As the built-in open(); ``async with`` or ``await`` what it returns, and the methods of what
    that gives.

    executor: for what POSIX AIO has no call for (open, truncate, close); by default one of ours.
    loop: as aiofiles has it; only the running loop is used. Raises what the built-in raises.
    """
    if "b" not in mode:
        encoding = io.text_encoding(encoding)
    return Opening(
        (executor, newline, (file, mode, buffering, encoding, errors, newline, closefd, opener))
    )


async def _open(
    executor: Executor | None, newline: str | None, how: tuple[Any, ...]
) -> BinaryFile | TextFile:
    opened: list[Any] = []
    abandoned = False

    def drop() -> None:
        with contextlib.suppress(IndexError):
            opened.pop().close()

    def call() -> None:
        opened.append(builtins.open(*how))  # noqa: SIM115  # closed by the file
        if abandoned:
            drop()

    try:
        await offload(executor, call)
        file = _wrap(opened.pop(), executor, newline, how[1], how[2])
    except BaseException:
        abandoned = True
        drop()
        raise
    return file


def _wrap(
    builtin: Any, executor: Executor | None, newline: str | None, mode: str, buffering: int
) -> BinaryFile | TextFile:
    if isinstance(builtin, io.FileIO):
        return RawFile(
            builtin,
            Buffer(Stream(builtin, executor), 0, io.DEFAULT_BUFFER_SIZE, io.DEFAULT_BUFFER_SIZE),
        )
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    below = getattr(builtin, "buffer", builtin)
    buffer = Buffer(Stream(below.raw, executor), size, size, max(size, MOST))
    return (
        BinaryFile(builtin, buffer)
        if below is builtin
        else TextFile(builtin, buffer, newline, mode)
    )
