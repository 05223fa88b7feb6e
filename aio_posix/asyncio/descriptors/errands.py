"""Requests that glibc would not do. Threads of ours do them, or the loop where there is none.

- glibc does nothing in a forked child, cannot start a thread at a limit, and begins nothing while
  all its helpers are blocked.
- The requests of one lane are done one after another in their order, after those that glibc has.
  While one of them is not done, whatever is asked of the lane later comes here too.
- An orderly exit waits for writes and syncs that are here, and a warning names those it
  gave up.
"""

from __future__ import annotations

import errno
import os
import time
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from aio_posix import flight
from aio_posix.asyncio import loop, threads
from aio_posix.asyncio.bell import Bell
from aio_posix.asyncio.descriptors.batch import READ, Entry, Lane, seam

OWN_TURN = 0.002  # seconds that the loop works for itself before it gives others a turn

# Lanes with something to do, of all loops, and whether a thread does it
_at_work: dict[Lane, bool] = {}


class Errand:
    """A request and its result. Without a GIL, objects of a sleeping thread outlive their last use,
    and would keep an open file: so the loop makes them.
    """

    __slots__ = ("entry", "result")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.result: Any = None


class Errands:
    """Those of one loop. The bell rings when some are done."""

    __slots__ = ("_bell", "_ended", "_here", "found")

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._ended: deque[Errand | Lane] = deque()  # a lane, when all that waited on it is
        self._here: deque[Lane] = deque()  # lanes that the loop serves itself
        self.found: list[tuple[Entry, Any]] = []  # what collect() has found, until delivered

    def do(self, entry: Entry) -> None:
        """When begin() is called for its lane."""
        if entry.lane.own is None:
            entry.lane.own = deque()
        entry.lane.own.append(Errand(entry))
        if seam.watcher is not None:
            seam.watcher.errand(entry)

    def begin(self, lane: Lane) -> None:
        """Once glibc has no request of the lane any more."""
        if lane in _at_work:
            return
        _at_work[lane] = True
        ended, bell = self._ended, self._bell
        if not threads.start(lambda: _serve(lane, ended, bell)):
            _at_work[lane] = False
            self._here.append(lane)
            if len(self._here) == 1:
                loop.soon(self._work)

    def collect(self) -> None:
        """Puts what is done, and what its future gets, into ``found``."""
        while self._ended:
            ended = self._ended.popleft()
            if isinstance(ended, Errand):
                self.found.append((ended.entry, ended.result))
            else:
                del _at_work[ended]
                if ended.own:
                    self.begin(ended)
                else:
                    ended.own = None

    def _work(self) -> None:
        """Does a little of it in the loop."""
        ends = time.monotonic() + OWN_TURN
        while self._here:
            lane = self._here[0]
            if lane.own:
                errand = lane.own.popleft()
                errand.result = _perform(errand.entry)
                self._ended.append(errand)
            if not lane.own:
                self._here.popleft()
                self._ended.append(lane)
            if time.monotonic() > ends:
                break
        self._bell.ring()
        if self._here:
            loop.soon(self._work)


def has(future: Any) -> bool:
    """Whether this request is here, so that its buffer may be in use."""
    return any(entry.future is future for entry in _there())


def _there() -> list[Entry]:
    return [
        errand.entry
        for lane in list(_at_work)
        for errand in (lane.current, *(lane.own or deque()).copy())  # a thread takes from it
        if errand is not None
    ]


def _serve(lane: Lane, ended: deque[Errand | Lane], bell: Bell | None) -> None:
    """Runs in a thread, and does all that waits on the lane."""
    while True:
        try:
            errand = lane.current = cast("deque[Errand]", lane.own).popleft()
        except IndexError:
            break
        errand.result = _perform(errand.entry)
        ended.append(errand)
        lane.current = None
        if bell is not None:
            bell.ring()
    ended.append(lane)
    if bell is not None:
        bell.ring()


def _perform(entry: Entry) -> Any:
    if entry.future.done():  # cancelled before it began
        return 0
    try:
        return entry.perform()
    except MemoryError:
        return -errno.ENOMEM
    except Exception:
        return -errno.EINVAL


def _writes() -> list[Entry]:
    return [entry for entry in _there() if entry.op != READ and not entry.future.done()]


def _drain(deadline: float) -> None:
    """Waits for writes and syncs that are here."""
    while left := _writes():
        for lane, by_thread in list(_at_work.items()):
            if not by_thread:  # its loop runs no more
                _serve(lane, deque(), None)
        if time.monotonic() > deadline:
            _warn_of(left)
            return
        time.sleep(0.001)


def finish(unsubmitted: Callable[[], list[Entry]]) -> None:
    """At an orderly exit: writes what a stopped loop has not submitted yet, after what comes before
    it in glibc or in the hands of threads.
    """
    deadline = time.monotonic() + flight.DRAIN
    _drain(deadline)
    left = [entry for entry in unsubmitted() if entry.op != READ and not entry.future.done()]
    if left:
        flight._drain(deadline, callbacks=False)
    while left and time.monotonic() < deadline:
        left.pop(0).perform()
    _warn_of(left)


def _warn_of(lost: list[Entry]) -> None:
    """Names what an exit gave up."""
    if lost:
        names = ", ".join(map(str, lost[:5])) + (", ..." if len(lost) > 5 else "")
        text = f"{len(lost)} requests lost at exit, not done after {flight.DRAIN:g} s: {names}"
        warnings.warn(text, RuntimeWarning, stacklevel=1)


def _in_child() -> None:
    _at_work.clear()


os.register_at_fork(after_in_child=_in_child)
