"""Waits until descriptors are ready, without a trace on them.

- The loop watches one epoll descriptor, which holds those that somebody waits for. A loop that sets
  O_NONBLOCK on what it watches (uvloop) sets it there, where it means nothing. On the user's open
  file it would mean something to everybody who shares it.
- A descriptor leaves the epoll descriptor before it may be closed. Its entry belongs to the open
  file, and would fire for ever.
- In a forked child nothing is taken out, because the epoll descriptor is the parent's as well.
"""

from __future__ import annotations

import contextlib
import select
from typing import NamedTuple

from aio_posix.asyncio import loop

READABLE, WRITABLE = select.EPOLLIN, select.EPOLLOUT


class Waiting(NamedTuple):
    """Somebody who waits."""

    events: int
    future: loop.Future[None]


class Poller:
    """Those that wait in one loop."""

    def __init__(self) -> None:
        self._born = loop.generation()
        self._epoll = select.epoll()
        self._waiting: dict[int, list[Waiting]] = {}  # by descriptor
        loop.watch(self._epoll.fileno(), self._ready, self._waiting.clear)

    async def ready(self, fd: int, events: int) -> bool:
        """Waits until fd is ready. False at once if it cannot be polled."""
        mine = Waiting(events, loop.new_future())
        here = self._waiting.setdefault(fd, [])
        here.append(mine)
        try:
            self._register(fd, here)
        except OSError:
            here.remove(mine)
            if not here:
                del self._waiting[fd]
            return False
        try:
            await mine.future
        finally:
            here = self._waiting.get(fd, [])
            if mine in here:
                here.remove(mine)
                self._changed(fd, here)
        return True

    def interrupt(self, fd: int, error: BaseException) -> None:
        """Whoever waits for fd gets this error, and fd may be closed then."""
        here = self._waiting.pop(fd, [])
        if here:
            self._remove(fd)
        for waiting in here:
            loop.settle(waiting.future, None, error)

    def _register(self, fd: int, here: list[Waiting]) -> None:
        events = 0
        for waiting in here:
            events |= waiting.events
        if len(here) == 1:
            self._epoll.register(fd, events)
        else:
            self._epoll.modify(fd, events)

    def _changed(self, fd: int, here: list[Waiting]) -> None:
        if not here:
            del self._waiting[fd]
            self._remove(fd)
        elif self._born == loop.generation():
            with contextlib.suppress(OSError):
                self._epoll.modify(fd, sum({waiting.events for waiting in here}))

    def _remove(self, fd: int) -> None:
        if self._born == loop.generation():
            with contextlib.suppress(OSError, ValueError):  # closed by somebody else
                self._epoll.unregister(fd)

    def _ready(self) -> None:
        for fd, events in self._epoll.poll(0):
            over = events & (select.EPOLLERR | select.EPOLLHUP)
            here = self._waiting.get(fd, [])
            left = []
            for waiting in here:
                if over or events & waiting.events:
                    loop.settle(waiting.future, None, None)
                else:
                    left.append(waiting)
            if fd in self._waiting:
                here[:] = left
                self._changed(fd, left)
