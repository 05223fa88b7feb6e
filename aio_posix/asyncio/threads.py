"""Threads of ours, for what POSIX AIO has no call for and for requests that glibc does not run.

- They are daemon threads. Neither Ctrl-C nor the end of the program waits for a call that blocks,
  such as the open of a FIFO.
- A call that blocks holds up no other. When all threads are busy and none has begun a new job for
  PATIENCE seconds, there is one more.
- A Job of C (csrc/engine/jobs.h) is done without the GIL, by a thread that waits for the next one.
- Where no thread can be made, start() says so and the caller does the job.
- The loop does not wait until a new thread runs, as threading.Thread.start() does. Eight at once
  cost it 10 ms where the first of them were busy.
"""

from __future__ import annotations

import _thread
import os
import threading
import time
from collections.abc import Callable

from aio_posix._calls import Jobs

Job = Callable[[], object]
USUAL = 8  # threads, as long as they get on
PATIENCE = 0.05  # seconds
IDLE = 10.0  # seconds until a thread without a job ends


class Threads:
    """Some threads and one line of jobs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs = Jobs()
        self._number = 0
        self._watched = False  # a thread looks whether the jobs get on

    @property
    def idle(self) -> int:
        return self._jobs.idle

    def start(self, job: Job) -> bool:
        """Has the job done by a thread; False where there is none and none can be made."""
        with self._lock:
            if not self._number:
                if not self._more():
                    return False
                self._jobs.put(job)
                return True
            if self._jobs.put(job) or (self._number < USUAL and self._more()):
                return True
            if not self._watched:
                self._watched = _begin(self._watch)
        return True

    def _more(self) -> bool:
        begun = _begin(self._work)
        self._number += begun
        return begun

    def _work(self) -> None:
        while True:
            job = self._jobs.get(IDLE)
            if job is not None:
                self._do(job)
                job = None  # it does not live until the next one comes
                continue
            with self._lock:
                if not self._jobs.waiting:
                    self._number -= 1
                    return

    def _do(self, job: Job) -> None:
        try:
            job()
        except BaseException:  # which ends the thread
            with self._lock:
                self._number -= 1
            raise

    def _watch(self) -> None:
        while True:
            begun = self._jobs.begun
            time.sleep(PATIENCE)
            with self._lock:
                if not self._jobs.waiting:
                    self._watched = False
                    return
                if begun == self._jobs.begun:
                    self._more()


def _begin(call: Callable[[], None]) -> bool:
    try:
        _thread.start_new_thread(call, ())
    except RuntimeError:  # a limit, or the end of the interpreter
        return False
    return True


_ours = Threads()


def start(job: Job) -> bool:
    """Has the job done by a thread; False where there is none and none can be made."""
    return _ours.start(job)


def _in_child() -> None:
    global _ours
    _ours = Threads()


os.register_at_fork(after_in_child=_in_child)
