"""The jobs of C that one loop has given to threads, and how it hears of their ends.

- ``over()`` of a job is called in its loop, and may be called twice when a signal handler raises.
  ``orphaned()`` is called in a thread, when the loop has closed.
- A job often takes less time than to wake a loop up. So while jobs are out the loop looks for them
  in each turn, as long as that finds something or for PATIENCE. Then the bell rings.
"""

from __future__ import annotations

from typing import Any, Protocol

from aio_posix._calls import Ended
from aio_posix.asyncio import loop, threads
from aio_posix.asyncio.bell import Bell
from aio_posix.asyncio.patience import Patience
from aio_posix.sigevent import address

PATIENCE = 40e-6  # seconds; a sleeping thread takes some 25 us to begin


class Job(Protocol):
    """One of _calls.Job's kinds, as this module sees it."""

    def __call__(self) -> None: ...
    def over(self) -> None: ...
    def orphaned(self) -> None: ...


class Jobs:
    """Those of one loop."""

    __slots__ = ("_bell", "_found", "_looking", "_patience", "ended")

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self.ended = Ended(address(bell.c))
        self._found: list[Any] = []
        self._looking = False
        self._patience = Patience(PATIENCE)

    def begin(self, job: Job) -> None:
        """A thread does it, or the loop where no thread can be made."""
        try:
            if not self._looking:
                self._look_again()
            if not threads.start(job):
                job()
            self._patience.begin()
        except BaseException:  # a signal handler has raised; what has begun does not begin again
            loop.soon(self.begin, job)
            raise

    def _look_again(self) -> None:
        loop.soon(self._look)  # first, because a signal handler may raise between any two calls
        self._looking = True
        self.ended.wake()

    def _look(self, *, rung: bool = False) -> None:
        try:
            self._looking = False
            found = self._collect()
            if found and not rung:
                self._patience.found()
            if (not self.ended.out or self._patience.ends()) and self.ended.sleep():
                return
            self._look_again()
        except BaseException:  # a signal handler has raised, and there may be more
            self._looking = False
            self._bell.ring()
            raise

    def ready(self) -> None:
        """The bell has rung."""
        try:
            if not self._looking:
                self._look(rung=True)
        except BaseException:
            self._bell.ring()
            raise

    def _collect(self) -> bool:
        found = self._found
        self.ended.collect(found)
        if not found:
            return False
        while found:
            found[0].over()
            del found[0]
        return True

    def close(self) -> None:
        """The loop has closed."""
        self.ended.close(self._found)
        for job in self._found:
            job.orphaned()
        self._found.clear()
