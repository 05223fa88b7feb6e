"""A call that runs in a thread, awaited."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from aio_posix.asyncio import loop, threads

T = TypeVar("T")


async def offload(executor: Executor | None, call: Callable[..., T], *args: Any) -> T:
    """``call(*args)`` off the loop, or on it where no thread can be had (a limit, the interpreter's
    end).
    """
    future: loop.Future[T] = loop.new_future()
    post = loop.poster()
    begun = threading.Lock()

    def once() -> None:
        if not begun.acquire(blocking=False):
            return
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call(*args)
        except StopIteration as raised:  # no future takes it
            error = RuntimeError(f"{call!r} raised StopIteration")
            error.__cause__ = raised
        except BaseException as raised:
            error = raised
        post(loop.settle, future, result, error)

    def dropped(job: Future[None]) -> None:
        """An executor that ends may cancel its jobs, and one of processes cannot take ours."""
        if job.cancelled():
            post(future.cancel)
        elif (error := job.exception()) is not None:
            post(loop.settle, future, None, error)

    if executor is None:
        if not threads.start(once):
            once()
    else:
        try:
            executor.submit(once).add_done_callback(dropped)
        except RuntimeError:  # it may have kept the job, for a thread that it has
            once()
    return await future
