"""Whose turn it is on a file: operations happen one at a time, in the order in which they were
called.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Order:
    """A lock that knows whether anybody holds it or waits for it."""

    __slots__ = ("_lock", "users")

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.users = 0

    def free(self) -> bool:
        """Nobody would be overtaken."""
        return not self.users

    async def __aenter__(self) -> None:
        if not self.users:  # a lock of another loop that has ended, perhaps with somebody waiting
            self._lock = asyncio.Lock()
        self.users += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self.users -= 1
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.users -= 1
        self._lock.release()
