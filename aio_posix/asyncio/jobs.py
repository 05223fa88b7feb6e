"""The jobs of C that one loop has given to threads, and how it hears of their ends.

- ``over()`` of a job is called in its loop, and may be called twice when a signal handler raises.
  Wherever that is, the job is begun and its loop hears of it: while jobs are out a timer looks.
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

# seconds; a sleeping thread takes some 25 us to begin. LATEST is that of a timer
PATIENCE, LATEST = 40e-6, 0.1


class Job(Protocol):
    """One of _calls.Job's kinds, as this module sees it."""

    def __call__(self) -> None: ...
    def over(self) -> None: ...
    def orphaned(self) -> None: ...


class Jobs:
    """Those of one loop."""

    __slots__ = ("_bell", "_born", "_found", "_late", "_line", "_looking", "_patience", "ended")

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._born = loop.generation()
        self.ended = Ended(address(bell.c))
        self._line: list[Job] = []  # not begun
        self._found: list[Any] = []
        self._looking = self._late = False  # a callback, or a timer, will look
        self._patience = Patience(PATIENCE)

    def begin(self, job: Job) -> None:
        """A thread does it, or the loop where no thread can be made."""
        self._line.append(job)
        self._begin()

    def soon(self, job: Job) -> None:
        """The same in the next turn of the loop."""
        self._line.append(job)
        self._look_late_again()
        loop.soon(self._begin)

    def _begin(self) -> None:
        """What a signal handler ends is made up for by the timer."""
        if self._born != loop.generation():
            self._line.clear()  # the parent does it
        if not self._line:
            return
        self._look_late_again()
        if not self._looking:
            self._look_again()
        while self._line:
            job = self._line[0]
            if not threads.start(job):
                job()
            del self._line[0]
        self._patience.begin()

    def _look_again(self) -> None:
        loop.soon(self._look)
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
        if not self._looking:
            self._look(rung=True)

    def _look_late_again(self) -> None:
        if not self._late:
            loop.later(LATEST, self._look_late)
            self._late = True

    def _look_late(self) -> None:
        """For what was interrupted before it could begin, look or sleep."""
        self._late = False
        if self._born == loop.generation() and (self._line or self.ended.out):
            self._look_late_again()
            self._begin()
            self._look(rung=True)

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
