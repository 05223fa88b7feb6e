"""The event loop as the rest of aio_posix.asyncio sees it. To serve another loop, write this anew.

- Futures, callbacks, timers and watched descriptors are had from here.
- A watched callback is called when its loop closes. The loop drops it then, and only the loop holds
  it.
- ``generation`` differs in a forked child, whose inherited futures and tables mean nothing.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

Future = asyncio.Future
Cancelled = asyncio.CancelledError
Loop = asyncio.AbstractEventLoop
running = asyncio.get_running_loop
_generation = 0


def generation() -> int:
    """A number that is another one in a forked child."""
    return _generation


def _in_child() -> None:
    global _generation
    _generation += 1


os.register_at_fork(after_in_child=_in_child)


def new_future() -> Future[Any]:
    return Future(loop=running())  # loop.create_future() is one more call of Python


def soon(call: Callable[..., object], *args: Any) -> None:
    """Calls it in the next turn of the running loop."""
    running().call_soon(call, *args)


def later(seconds: float, call: Callable[..., object], *args: Any) -> None:
    """Calls it in so many seconds. There is no handle, because a handle would keep its loop."""
    running().call_later(seconds, call, *args)


async def step() -> None:
    """Gives all others a turn."""
    await asyncio.sleep(0)


def poster() -> Callable[..., None]:
    """Calls a function in this loop from any thread. A closed loop is not called."""
    loop = running()

    def post(call: Callable[..., object], *args: Any) -> None:
        try:
            loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            if not loop.is_closed():
                raise

    return post


def settle(future: Future[Any], result: Any, error: BaseException | None) -> None:
    """Gives a future its result or error, unless it is done."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


async def woken(waiting: list[Future[None]]) -> None:
    """Waits until wake() is called with this list."""
    future = new_future()
    waiting.append(future)
    await future


def wake(waiting: list[Future[None]]) -> None:
    """A signal handler that raises in here leaves the list as it was, so it can be called again."""
    for future in waiting:
        settle(future, None, None)
    waiting.clear()


class _Watch:
    """A callback that only its loop holds."""

    __slots__ = ("_call", "_closed")

    def __init__(self, call: Callable[[], None], closed: Callable[[], None]) -> None:
        self._call = call
        self._closed = closed

    def __call__(self) -> None:
        self._call()

    def __del__(self) -> None:
        self._closed()


def watch(fd: int, call: Callable[[], None], closed: Callable[[], None]) -> None:
    """Calls ``call`` while fd is readable, and ``closed`` when the running loop closes."""
    running().add_reader(fd, _Watch(call, closed))


def _task() -> object:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs
        return None


class Line:
    """A lock for the tasks of one loop at a time, in the order in which they asked for it."""

    __slots__ = ("_holder", "_next", "_of", "users")

    def __init__(self) -> None:
        self._next: deque[Future[None]] = deque()
        self._holder: object = None  # its task
        self._of: dict[None, weakref.ref[Loop]] = {}  # under None, of the loop of its users
        self.users = 0  # who holds it or waits for it

    def _claim(self) -> None:
        """For the running loop. Of loops in two threads one gets it, because setdefault() is one
        step.
        """
        here = running()
        while (owner := self._of.setdefault(None, weakref.ref(here))()) is not here:
            if owner is not None and not owner.is_closed():
                raise RuntimeError("the file is in use in another event loop: one loop at a time")
            self._of.pop(None, None)  # whoever holds it will never run again
            self._next.clear()
            self.users = 0

    async def __aenter__(self) -> None:
        self._claim()
        self.users += 1
        if self.users == 1:
            self._holder = _task()
            return
        mine = new_future()
        self._next.append(mine)
        try:
            await mine
        except BaseException:
            if mine.done() and not mine.cancelled():
                self._pass_on()
            elif mine in self._next:  # else passed over already, or the lock has begun anew
                self._next.remove(mine)
                self._leave()
            elif (owner := self._of.get(None)) is not None and owner() is mine.get_loop():
                self._leave()
            raise
        self._holder = _task()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is GeneratorExit and self._holder is not None:
            return  # a task of a closed loop, as it is collected, because a holder is not collected
        if self._holder is _task():
            self._pass_on()

    def _leave(self) -> None:
        if self.users == 1:
            self.users = 0
            self._of.pop(None, None)  # from here on another loop may have it
        else:
            self.users -= 1

    def _pass_on(self) -> None:
        self._holder = None
        last = self.users == 1
        self._leave()
        while not last and self._next:
            following = self._next.popleft()
            if not following.done():
                following.set_result(None)
                return
