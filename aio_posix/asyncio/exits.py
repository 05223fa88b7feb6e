"""What an exit and a fork owe to files that are still open.

- At an orderly exit everything that waits in an unclosed file is written, while the interpreter is
  whole. When objects end later, their order differs from one Python to another. Before that comes
  what was asked for before (before_the_end()).
- Jobs that must not be lost, such as the last write of a file and its close, run in daemon threads.
  The exit waits for them, WAIT seconds at most. Then a RuntimeWarning says what was lost.
- Before a fork every file's position becomes the system's, which parent and child share.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from aio_posix._calls import Ended, Writes
from aio_posix.asyncio import loop, threads

WAIT = 10.0  # seconds
SOON = 0.0005  # seconds between two looks at what a thread does
logger = logging.getLogger("aio_posix")


class Unclosed(Protocol):
    """An open file, as this module sees it."""

    def write_out(self, seconds: float) -> None: ...
    def publish(self) -> None: ...


class Owed(Protocol):
    """What an exit waits for. It is done once, whoever calls it."""

    name: Any
    here: bool  # the exit may do it

    @property
    def begun(self) -> bool: ...
    def __call__(self) -> None: ...
    def wait(self, seconds: float) -> bool: ...


_open: dict[int, weakref.ref[Unclosed]] = {}
_owed: dict[int, Owed] = {}


_arranged = -1  # in which process, as loop.generation() counts them


def before_the_end(call: Callable[[], None]) -> None:
    """Has it called at an orderly exit of this process, however often it is asked."""
    global _arranged
    if _arranged == loop.generation():
        return
    _arranged = loop.generation()
    atexit.register(call)
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize  # such a child ends by os._exit and not by atexit

        Finalize(None, call, exitpriority=-999)  # before flight's own, which closes the gate


def opened(file: Unclosed) -> None:
    _open[id(file)] = weakref.ref(file)


def closed(file: Unclosed) -> None:
    _open.pop(id(file), None)


def owe(job: Owed) -> None:
    _owed[id(job)] = job


def paid(job: Owed) -> None:
    _owed.pop(id(job), None)


class Job:
    """An Owed of Python's."""

    here = False

    def __init__(self, call: Callable[[], None], name: str) -> None:
        self._call = call
        self.name = name
        self._begun = threading.Lock()
        self._running = threading.Lock()  # held until it has ended
        self._running.acquire()
        owe(self)

    @property
    def begun(self) -> bool:
        return self._begun.locked()

    def __call__(self) -> None:
        if not self._begun.acquire(blocking=False):
            return
        try:
            self._call()
        finally:
            paid(self)
            self._running.release()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        return self._running.acquire(timeout=seconds)


class WritesOwed(Writes):
    """An Owed of C's, and a jobs.Job."""

    here = True

    def __init__(self, ended: Ended, name: Any) -> None:
        self.name = name
        owe(self)

    def wait(self, seconds: float = math.inf) -> bool:
        """Whether it has ended by then."""
        deadline = time.monotonic() + seconds
        while not self.done:
            if time.monotonic() > deadline:
                return False
            time.sleep(SOON)
        paid(self)
        return True

    def failure(self, place: int, *name: Any) -> OSError | None:
        """The error of the write at that place, with how much was written before it."""
        put, number = self.result(place)
        if not number:
            return None
        error = OSError(number, os.strerror(number), *name)
        error.characters_written = put  # type: ignore[attr-defined]  # as BlockingIOError has it
        return error

    def over(self) -> None:
        paid(self)

    def orphaned(self) -> None:
        paid(self)


def _alive() -> list[Unclosed]:
    return [file for file in [one() for one in list(_open.values())] if file is not None]


def _at_exit() -> None:
    deadline = time.monotonic() + WAIT
    for file in _alive():
        try:
            file.write_out(max(0.0, deadline - time.monotonic()))
        except Exception:
            logger.exception("what waited in a file could not be written at exit")
    for job in list(_owed.values()):
        # small writes are done here; what was interrupted before its thread began gets one now
        if job.here or (not job.begun and not threads.start(job)):
            job()
        if not job.wait(max(0.0, deadline - time.monotonic())):
            text = f"lost at exit, not done after {WAIT:g} s: {job.name}"
            warnings.warn(text, RuntimeWarning, stacklevel=2)


def _before_fork() -> None:
    for file in _alive():
        with contextlib.suppress(OSError):
            file.publish()


def _in_child() -> None:
    _owed.clear()


atexit.register(_at_exit)
os.register_at_fork(before=_before_fork, after_in_child=_in_child)
