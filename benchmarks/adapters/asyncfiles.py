"""py-asyncfiles has files in Cython on io_uring or libuv. Only `async with` opens and closes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncfiles

DISTRIBUTIONS = ["py-asyncfiles"]
WRITES_THROUGH = True


class File:
    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __aiter__(self) -> AsyncIterator[Any]:
        lines: AsyncIterator[Any] = self._file.__aiter__()
        return lines

    async def close(self) -> None:
        await self._file.__aexit__(None, None, None)


async def open(path: Any, mode: str, **how: Any) -> Any:
    if isinstance(path, int):
        raise TypeError("expected a path, not a descriptor")
    file = asyncfiles.open(path, mode, **how)
    await file.__aenter__()
    return File(file)
