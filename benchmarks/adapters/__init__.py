"""One small module for each library that opens files to be awaited.

- DISTRIBUTIONS is what pip calls the library; its version stands in every table.
- open(path, mode, **how) returns an open file. Its methods keep the library's own form, so what
  may be a value here and an awaitable there goes through settled().
- WRITES_THROUGH: a write is visible to others when it returns, so that no flush() is needed.
- A library with requests on a bare descriptor has pread(fd, nbytes, offset) and
  pwrite(fd, data, offset). One whose files are not opened at all has no open().
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from machine import versions

T = TypeVar("T")

NAMES = [
    "ours", "ours+uvloop", "aiofiles", "anyio", "aiofile", "caio", "turbofile", "ayafileio",
    "asyncfiles", "urio",
]  # fmt: skip


class Absent(Exception):
    """The library does not offer what was asked for, and says so."""


@dataclass(frozen=True)
class Library:
    name: str
    versions: dict[str, str]
    open: Callable[..., Awaitable[Any]]
    pread: Callable[[int, int, int], Awaitable[bytes]]
    pwrite: Callable[[int, bytes, int], Awaitable[int]]

    writes_through: bool
    new_event_loop: Callable[[], asyncio.AbstractEventLoop]

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """As asyncio.run, but threads that a request still holds are not waited for."""
        loop = self.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(main)
        finally:
            loop.close()

    async def open_descriptor(self, fd: int, mode: str) -> Any:
        """An open file on a descriptor that stays the caller's."""
        try:
            return await self.open(fd, mode, closefd=False)
        except (TypeError, NotImplementedError, ValueError) as error:
            raise Absent(f"opens no descriptor ({error})") from None


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def flushed(file: Any) -> None:
    """A file without flush() keeps nothing back."""
    if hasattr(file, "flush"):
        await settled(file.flush())


def task(value: Any) -> asyncio.Task[Any]:
    return asyncio.ensure_future(settled(value))


def absent(what: str) -> Callable[..., Any]:
    async def refuses(*args: Any, **how: Any) -> Any:
        raise Absent(f"no {what}")

    return refuses


def library(name: str) -> Library:
    """The library of this name; "NAME+uvloop" runs on uvloop. ImportError if it is not there."""
    plain, _, loop = name.partition("+")
    module = importlib.import_module(f"adapters.{plain}")
    loops = importlib.import_module(loop or "asyncio")
    return Library(
        name,
        versions([*module.DISTRIBUTIONS, *([loop] if loop else [])]),
        getattr(module, "open", absent("files")),
        getattr(module, "pread", absent("requests on a bare descriptor")),
        getattr(module, "pwrite", absent("requests on a bare descriptor")),
        getattr(module, "WRITES_THROUGH", False),
        loops.new_event_loop,
    )
