"""Who may read from the page cache, and how long. Reads that never wait would starve all other
tasks.

- A turn of the loop spends at most TURN on such reads. Each turn's budget is divided by the number
  of tasks that ran out of time in the turn before. Each reads in slices, and rests (yields once)
  when its slice has run out.
- A task that has rested gets a slice at once, good for one read at least. Nobody starves however
  long the line is. More slices than were expected in a turn are good for one read only.
- Turns are noticed by a callback that is scheduled with the first slice of each, and an idle loop
  stays idle.
"""

from __future__ import annotations

from aio_posix._ffi import lib
from aio_posix.asyncio import loop

# nanoseconds, with which the longest turn stays below 10 ms
TURN = 3_000_000


class Turn:
    """One loop's turn."""

    __slots__ = ("_begun", "_opened", "_rested", "_resting")

    def __init__(self) -> None:
        self._begun = False
        self._opened = 0
        self._resting = 0
        self._rested = 1

    def open(self) -> bool:
        """Opens a slice. False if one ran out, and then this task has to rest()."""
        if lib.slice_close():
            self._resting += 1
            return False
        self._open()
        return True

    async def rest(self) -> None:
        """Lets others run, and opens a slice."""
        await loop.step()
        self._open()

    async def take(self) -> None:
        """Opens a slice, after a rest if one ran out."""
        if not self.open():
            await self.rest()

    def _open(self) -> None:
        if not self._begun:
            self._begun = True
            loop.soon(self._over)
        self._opened += 1
        lib.slice_open(TURN // self._rested if self._opened <= self._rested else 0)

    def _over(self) -> None:
        lib.slice_close()
        self._begun = False
        self._opened = 0
        self._rested = max(1, self._resting)
        self._resting = 0
