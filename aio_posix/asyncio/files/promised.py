"""What open() returns, to be awaited or entered by ``async with``."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, NamedTuple, NoReturn, Protocol, TypeVar, cast


class Closable(Protocol):
    """A file, as this module sees it."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


F = TypeVar("F", bound=Closable)


class Asked(NamedTuple):
    """What open() was asked for, which are the built-in's arguments in its order."""

    file: Any
    mode: str
    buffering: int
    encoding: str | None
    errors: str | None
    newline: str | None
    closefd: bool
    opener: Any


class Opening(AbstractAsyncContextManager[F], Generic[F]):
    """What open() returns, to be awaited or entered by ``async with``."""

    __slots__ = ("_asked", "_awaited", "_busy", "_executor", "_file", "_open")

    def __init__(
        self,
        open: Callable[[Asked, Executor | None], Awaitable[Any]],
        asked: Asked,
        executor: Executor | None,
    ) -> None:
        self._open = open
        self._asked = asked
        self._executor = executor
        self._awaited = self._busy = False
        self._file: F | None = None

    def __await__(self) -> Generator[Any, None, F]:
        if self._file is None:
            if self._busy:
                raise RuntimeError("this open() is being awaited already")
            self._awaited = self._busy = True
            try:
                self._file = cast(
                    F, (yield from self._open(self._asked, self._executor).__await__())
                )
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

    def __repr__(self) -> str:
        opened = f"open({self._asked.file!r}, {self._asked.mode!r})"
        if self._file is not None:
            return f"<{opened}: {self._file!r}>"
        return f"<{opened} {'being awaited' if self._busy else 'not awaited'}>"

    def __enter__(self) -> NoReturn:
        raise TypeError("a file of aio_posix.asyncio is entered by 'async with', not by 'with'")

    def __exit__(self, *_: object) -> None: ...

    def __del__(self) -> None:
        if not self._awaited:
            text = f"open({self._asked.file!r}, {self._asked.mode!r}) was never awaited"
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
        await self._file.__aexit__(kind, error, traceback)
