"""Writes of regular files that go on behind their callers."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from aio_posix.asyncio import loop
from aio_posix.asyncio.files.together import Small


class Writing(Protocol):
    """A write that goes on by itself, whoever is cancelled."""

    result: int | None  # how much was written, once it has ended
    error: OSError | None

    async def over(self) -> OSError | None: ...


class Behind(NamedTuple):
    """A write of a regular file that goes on by itself."""

    write: Writing
    data: bytes | memoryview
    at: int
    loop: loop.Loop

    @property
    def lost(self) -> bool:
        """Whether nobody will ever say that it has ended, because its loop was closed."""
        return self.write.result is None and self.loop.is_closed()


def join(behind: list[Behind]) -> None:
    """Blocks until the small ones are written."""
    for each in behind:
        if isinstance(each.write, Small):
            each.write.join()
