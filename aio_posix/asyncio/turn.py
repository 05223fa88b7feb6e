"""Who may read from the page cache, and how long: reads that never wait would starve all other tasks.

- A turn of the loop spends at most TURN on such reads. It is shared by the tasks that wanted more of it in the turn
  before, so that all get the same: each reads in slices, and rests (yields once) when its slice has run out.
- A task that has rested gets a slice at once, good for one read at least: nobody starves however long the line is.
- Turns are noticed by a callback that is scheduled with the first slice of each; an idle loop stays idle.
"""

from __future__ import annotations

import asyncio
import time

from aio_posix._ffi import lib

TURN = 4_000_000  # nanoseconds; the longest turn is to stay below 10 ms on a noisy machine (DESIGN section 8)


class Turn:
    """One loop's turn."""

    __slots__ = ("_ends", "_resting", "_rested")

    def __init__(self) -> None:
        self._ends = 0
        self._resting = 0
        self._rested = 1

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic_ns()
        if not self._ends:
            self._ends = now + TURN
            loop.call_soon(self._over)
        lib.slice_open(max(0, min(TURN // self._rested, self._ends - now)))

    async def take(self, loop: asyncio.AbstractEventLoop) -> None:
        """Opens a slice; rests before, if one ran out."""
        if lib.slice_close():
            self._resting += 1
            await asyncio.sleep(0)
        self.open(loop)

    def _over(self) -> None:
        lib.slice_close()
        self._ends = 0
        self._rested = max(1, self._resting)
        self._resting = 0
