"""An orderly exit: what a stopped loop has not submitted yet is written all the same.

- asyncio.run() cancels its tasks, so nothing is left then. A loop that was only stopped, or
  interrupted, may have writes in its lines; those that come before them are in glibc, or in the
  hands of threads, and are waited for first.
- What cannot be written in flight.DRAIN seconds is named by a warning.
"""

from __future__ import annotations

import atexit
import sys
import time

from aio_posix import flight
from aio_posix.asyncio import loop
from aio_posix.asyncio.descriptors import errands
from aio_posix.asyncio.descriptors.batch import READ, Entry
from aio_posix.asyncio.descriptors.ring import rings


def _left() -> list[Entry]:
    return [
        entry
        for ring in rings()
        for entry in ring.unsubmitted()
        if entry.op != READ and not entry.future.done()
    ]


def finish() -> None:
    """Writes what is left."""
    deadline = time.monotonic() + flight.DRAIN
    errands.drain(deadline)
    left = _left()
    if not left:
        return
    flight._drain(deadline, callbacks=False)
    while left and time.monotonic() < deadline:
        left.pop(0).perform()
    errands.warn_of(left)


class _Arranged:
    """In which process, as loop.generation() counts them."""

    generation = -1


def arrange() -> None:
    """Before the first request of a process."""
    if _Arranged.generation == loop.generation():
        return
    _Arranged.generation = loop.generation()
    atexit.register(finish)
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize  # such a child ends by os._exit: not by atexit

        Finalize(None, finish, exitpriority=-999)  # before flight's own, which closes the gate
