"""Threads of ours, for what POSIX AIO has no call for and for requests that glibc does not run.

- They are daemon threads: neither Ctrl-C nor the end of the program waits for a call that blocks,
  such as the open of a FIFO.
- A call that blocks holds up no other. When all threads are busy and none has begun a new job for
  PATIENCE seconds, there is one more.
- Where no thread can be made, start() says so and the caller does the job.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from aio_posix.asyncio import loop

T = TypeVar("T")
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
        self._number = 0
        self._begun = 0  # jobs

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
        self._look_again()
        return True

    def _more(self, job: Job | None) -> bool:
        try:
            threading.Thread(target=self._work, args=(job,), name="aio_posix", daemon=True).start()
        except RuntimeError:
            return False
        self._number += 1
        return True

    def _work(self, job: Job | None) -> None:
        while True:
            if job is not None:
                self._begun += 1
                job()
                job = None
            with self._lock:
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

    def _look_again(self) -> None:
        try:
            loop.later(PATIENCE, self._hurry, self._begun)
        except (
            RuntimeError
        ):  # no loop runs in this thread: a thread of ours gives back a descriptor
            self._hurry(self._begun)

    def _hurry(self, begun: int) -> None:
        with self._lock:
            if self._jobs.empty():
                return
            if begun == self._begun:
                try:
                    job = self._jobs.get_nowait()
                except Empty:
                    return
                if not self._more(job):
                    self._jobs.put(job)
        if not self._jobs.empty():
            self._look_again()


_ours = Threads()


def start(job: Job) -> bool:
    """Has the job done by a thread; False where there is none and none can be made."""
    return _ours.start(job)


def _in_child() -> None:
    global _ours
    _ours = Threads()


os.register_at_fork(after_in_child=_in_child)


async def offload(executor: Executor | None, call: Callable[..., T], *args: Any) -> T:
    """``call(*args)`` off the loop; on it where no thread can be had (a limit, the interpreter's
    end).
    """
    future: loop.Future[T] = loop.new_future()
    post = loop.poster()
    begun = threading.Lock()

    def once() -> None:
        if not begun.acquire(blocking=False):
            return
        result, error = None, None
        try:
            result = call(*args)
        except BaseException as raised:
            error = raised
        post(loop.settle, future, result, error)

    if executor is None:
        if not start(once):
            once()
    else:
        try:
            executor.submit(once)
        except RuntimeError:  # it may have kept the job, for a thread that it has
            once()
    return await future
