"""What POSIX AIO has no call for: open, truncate, close run in a thread of an executor.

- By default that is one of ours, not the loop's: asyncio.run() needs a new thread to shut that one
  down, and where none can be made (RLIMIT_NPROC) it would fail in the end.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
_ours: Executor | None = None


def _default() -> Executor:
    global _ours
    if _ours is None:
        _ours = ThreadPoolExecutor(thread_name_prefix="aio_posix")
    return _ours


def _in_child() -> None:
    global _ours
    _ours = None


os.register_at_fork(after_in_child=_in_child)


async def offload(executor: Executor | None, call: Callable[..., T], *args: Any) -> T:
    """``call(*args)`` off the loop; on it where no thread can be had (a limit, the interpreter's
    end).
    """
    begun: threading.Lock = threading.Lock()
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # it happens, whoever is cancelled

    def once() -> None:
        if not begun.acquire(blocking=False):
            return
        try:
            done.set_result(call(*args))
        except BaseException as error:
            done.set_exception(error)

    try:
        (executor or _default()).submit(once)
    except RuntimeError:  # it may have kept the job, for a thread that it has
        once()
    return await asyncio.wrap_future(done)
