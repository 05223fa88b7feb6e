"""The event loop as the rest of aio_posix.asyncio sees it. To serve another loop, write this anew.

- Futures, callbacks, timers and watched descriptors are had from here.
- A watched callback is called when its loop closes. The loop drops it then, and only the loop holds
  it.
- ``generation`` differs in a forked child, whose inherited futures and tables mean nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sysconfig
import threading
import weakref
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

Future = asyncio.Future
Cancelled = asyncio.CancelledError
Loop = asyncio.AbstractEventLoop
running = asyncio.get_running_loop
ELSEWHERE = "the file is in use in another event loop: one loop at a time"
GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")
_generation = 0


def generation() -> int:
    """A number that is another one in a forked child."""
    return _generation


def _in_child() -> None:
    global _generation
    _generation += 1


os.register_at_fork(after_in_child=_in_child)


def new_future() -> Future[Any]:
    return Future()  # of the running loop; to name it takes 60 ns longer


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


def _here() -> Loop | None:
    try:
        return running()
    except RuntimeError:
        return None


class _Place:
    """A place in a line. It does not keep its turn."""

    __slots__ = ("comes", "loop")

    def __init__(self, here: Loop) -> None:
        self.loop = weakref.ref(here)
        self.comes: Future[None] | None = None  # of those that had to wait


_taking = threading.Lock()  # a line from a closed loop


class Line:
    """A lock for the tasks of one loop at a time, in the order in which they asked for it."""

    __slots__ = ("_next", "busy", "held")

    def __init__(self) -> None:
        # under None, who has the turn. Of loops in two threads one gets it, as setdefault() is one
        # step
        self.held: dict[None, _Place] = {}
        # whether an operation needs a turn; without a GIL another may run between look and step
        self.busy: dict[None, _Place] | bool = self.held if GIL else True
        self._next: deque[_Place] = deque()

    def _owner(self) -> Loop | None:
        """The loop whose task has the turn and will end it, if there is one."""
        holder = self.held.get(None)
        owner = None if holder is None else holder.loop()
        return None if owner is None or owner.is_closed() else owner

    @property
    def in_use(self) -> bool:
        """Whether anybody has the turn who will ever end it."""
        return self._owner() is not None

    def check(self) -> None:
        """Raises RuntimeError if a task of another loop has the turn."""
        owner = self._owner()
        if owner is not None and owner is not running():
            raise RuntimeError(ELSEWHERE)

    async def turn(self) -> Turn:
        """Waits for it. To be entered by ``with``."""
        here = running()
        place = _Place(here)
        turn = Turn(self, place)
        try:
            if self.held.setdefault(None, place) is not place:
                self._enter(place, here)
                if place.comes is not None:
                    await place.comes
        except BaseException as error:
            turn.leave(error)
            raise
        return turn

    def _enter(self, place: _Place, here: Loop) -> None:
        while (holder := self.held.setdefault(None, place)) is not place:
            owner = holder.loop()
            if owner is here:
                place.comes = new_future()
                self._next.append(place)
                return
            if owner is not None and not owner.is_closed():
                raise RuntimeError(ELSEWHERE)
            with _taking:
                if self.held.get(None) is holder:  # which will never run again
                    self._next.clear()
                    del self.held[None]

    def leave(self, place: _Place) -> None:
        """If a signal handler raises in here, this may be called again."""
        if self.held.get(None) is not place:
            with contextlib.suppress(ValueError):  # passed over, or the line has begun anew
                self._next.remove(place)
            return
        while self._next:
            following = self._next[0]
            if following is not place and following.comes and not following.comes.cancelled():
                settle(following.comes, None, None)
                self.held[None] = following
                self._next.popleft()
                return
            self._next.popleft()
        del self.held[None]


class Turn:
    """When it is left the next gets the line. That may also be without a loop or in another thread,
    for a coroutine that is closed or collected there. A collection may come in the middle of
    anything, so then the loop does it in its next turn. The finalizer leaves it if a signal handler
    raised before __exit__ could.
    """

    __slots__ = ("_line", "_place")

    def __init__(self, line: Line, place: _Place) -> None:
        self._line = line
        self._place: _Place | None = place

    def leave(self, error: BaseException | None = None) -> None:
        place = self._place
        if place is None:
            return
        owner = place.loop()
        if owner is _here() and not isinstance(error, GeneratorExit):
            self._line.leave(place)
        elif owner is not None and owner.is_running():
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                owner.call_soon_threadsafe(self._line.leave, place)
        elif owner is not None and not owner.is_closed():
            self._line.leave(place)
        self._place = None

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave(error)

    def __del__(self) -> None:
        if self._place is not None:
            self.leave(GeneratorExit())
