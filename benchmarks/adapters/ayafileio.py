"""ayafileio has files in C++ on io_uring. aopen() is the open that is awaited."""

from typing import Any

from ayafileio import aopen

DISTRIBUTIONS = ["ayafileio"]


async def open(path: Any, mode: str, **how: Any) -> Any:
    return await aopen(path, mode, **how)
