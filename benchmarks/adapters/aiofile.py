"""aiofile has files with an offset of their own, on caio."""

from typing import Any

from aiofile import async_open

DISTRIBUTIONS = ["aiofile", "caio"]
WRITES_THROUGH = True  # its flush() is fdatasync()


async def open(path: Any, mode: str, **how: Any) -> Any:
    return await async_open(path, mode, **how)
