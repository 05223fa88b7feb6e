"""open(): the built-in opens the file, off the loop, and tells what it is; our own objects read and
write it.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, cast, overload

from aio_posix.asyncio.binary import BinaryFile, RawFile
from aio_posix.asyncio.buffer import Buffer
from aio_posix.asyncio.offload import offload
from aio_posix.asyncio.stream import Stream
from aio_posix.asyncio.text import TextFile

F = TypeVar("F", bound=BinaryFile | TextFile)
Path = int | str | bytes | os.PathLike[str] | os.PathLike[bytes]
Opener = Callable[[str, int], int]
MOST = (
    256 << 10
)  # bytes that a sequential reader reads ahead in the end; beyond that it gets no faster


class Opening(AbstractAsyncContextManager[F], Generic[F]):
    """What open() returns: to be awaited, or entered by ``async with``."""

    __slots__ = ("_file", "_how")

    def __init__(self, how: tuple[Any, ...]) -> None:
        self._how = how
        self._file: F | None = None

    def __await__(self) -> Generator[Any, None, F]:
        if self._file is None:
            self._file = cast(F, (yield from _open(*self._how).__await__()))
        return self._file

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
    file: Path,
    mode: Literal[
        "r",
        "w",
        "a",
        "x",
        "r+",
        "w+",
        "a+",
        "x+",
        "rt",
        "wt",
        "at",
        "xt",
        "r+t",
        "w+t",
        "a+t",
        "x+t",
    ] = ...,
    buffering: int = ...,
    encoding: str | None = ...,
    errors: str | None = ...,
    newline: str | None = ...,
    closefd: bool = ...,
    opener: Opener | None = ...,
    *,
    loop: object = ...,
    executor: Executor | None = ...,
) -> Opening[TextFile]: ...
@overload
def open(
    file: Path,
    mode: Literal["rb", "wb", "ab", "xb", "r+b", "w+b", "a+b", "x+b", "rb+", "wb+", "ab+", "xb+"],
    buffering: int = ...,
    encoding: None = ...,
    errors: None = ...,
    newline: None = ...,
    closefd: bool = ...,
    opener: Opener | None = ...,
    *,
    loop: object = ...,
    executor: Executor | None = ...,
) -> Opening[BinaryFile]: ...
@overload
def open(
    file: Path,
    mode: str,
    buffering: int = ...,
    encoding: str | None = ...,
    errors: str | None = ...,
    newline: str | None = ...,
    closefd: bool = ...,
    opener: Opener | None = ...,
    *,
    loop: object = ...,
    executor: Executor | None = ...,
) -> Opening[Any]: ...
def open(
    file: Path,
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
        encoding = io.text_encoding(encoding)  # type: ignore[attr-defined]  # typeshed has it for 3.11 only
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
