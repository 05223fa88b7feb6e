"""A call that runs in a thread, awaited."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from aio_posix.asyncio import loop, threads

T = TypeVar("T")


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
        if not threads.start(once):
            once()
    else:
        try:
            executor.submit(once)
        except RuntimeError:  # it may have kept the job, for a thread that it has
            once()
    return await future
