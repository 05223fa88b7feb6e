"""anyio.open_file gives the built-in's files, and makes each call in a thread of anyio's own."""

from typing import Any

from anyio import open_file

DISTRIBUTIONS = ["anyio"]


async def open(path: Any, mode: str, **how: Any) -> Any:
    file: Any = await open_file(path, mode, **how)
    file.close = file.aclose
    return file
