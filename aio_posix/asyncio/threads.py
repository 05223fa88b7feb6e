"""Threads of ours, for what POSIX AIO has no call for and for requests that glibc does not run.

- They are daemon threads. Neither Ctrl-C nor the end of the program waits for a call that blocks,
  such as the open of a FIFO.
- A call that blocks holds up no other. When all threads are busy and none has begun a new job for
  PATIENCE seconds, there is one more.
- Each job in the line has a thread promised to it, or counts as waiting. A thread that becomes free
  is promised to a waiting job first and is idle only otherwise.
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
from queue import Empty, SimpleQueue

Job = Callable[[], None]
USUAL = 8  # threads, as long as they get on
PATIENCE = 0.05  # seconds
IDLE = 10.0  # seconds until a thread without a job ends


class Threads:
    """Some threads and one line of jobs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._idle = 0  # threads without a job, and not yet promised one
        self._waiting = 0  # jobs in the line that no thread is promised to
        self._number = 0
        self._begun = 0  # jobs
        self._watched = False  # a thread looks whether the jobs get on

    def start(self, job: Job) -> bool:
        """Has the job done by a thread; False where there is none and none can be made."""
        with self._lock:
            if self._idle:
                self._idle -= 1
                self._jobs.put(job)
                return True
            if self._number < USUAL and self._more(job):
                return True
            if not self._number:
                return False
            self._jobs.put(job)
            self._waiting += 1
            if not self._watched:
                self._watched = _begin(self._watch)
        return True

    def _more(self, job: Job) -> bool:
        begun = _begin(self._work, [job])  # a list, as a thread keeps its arguments while it lives
        self._number += begun
        return begun

    def _work(self, first: list[Job]) -> None:
        job: Job | None = first.pop()
        while True:
            if job is not None:
                self._begun += 1
                job()
                job = None
            with self._lock:
                if self._waiting:
                    self._waiting -= 1
                else:
                    self._idle += 1
            while job is None:
                try:
                    job = self._jobs.get(timeout=IDLE)
                except Empty:
                    with self._lock:
                        if self._idle:
                            self._idle -= 1
                            self._number -= 1
                            return

    def _watch(self) -> None:
        while True:
            begun = self._begun
            time.sleep(PATIENCE)
            with self._lock:
                if not self._waiting:
                    self._watched = False
                    return
                if begun == self._begun:
                    job = self._jobs.get()
                    if self._more(job):
                        self._waiting -= 1
                    else:
                        self._jobs.put(job)


def _begin(call: Callable[..., None], *args: object) -> bool:
    try:
        _thread.start_new_thread(call, args)
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
