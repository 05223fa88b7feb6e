"""Completions without Python in glibc's threads: a queue that a thread or an event loop reads in
batches.

- The notify function is C. It pushes and, if the queue was empty, makes the descriptor readable.
- The descriptor is closed when nobody can push or wait any more. The last of close(), of the get()
  calls that close() ends, and of the notifications still due closes it.
"""

from __future__ import annotations

import os
import time

from aio_posix import _calls
from aio_posix._ffi import ffi, lib
from aio_posix.aio import FOREVER, seconds
from aio_posix.flight import usable
from aio_posix.sigevent import SIGEV_THREAD, address, sigevent

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any


class CompletionQueue:
    """Collects completions in their order. Its ``fileno()`` is readable while there are any.

    SIGEV_THREAD notifies a queue in place of a callable: ``aiocb(...,
    aio_sigevent=queue.sigevent())``. One queue may serve any number of requests, lists and threads.
    Use it in a ``with`` block, or close it. A queue that is dropped with completions in it keeps
    them and its descriptor. Raises OSError when no eventfd can be had.
    """

    def __init__(self) -> None:
        self.closed = True  # until there is a queue, for __del__
        usable()
        struct = lib.queue_new()
        if not struct:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        self._struct = ffi.gc(struct, lib.queue_free)
        self._address = address(struct)
        self.closed = False

    def fileno(self) -> int:
        """The descriptor for poll, epoll or an event loop: readable while get(0) would return
        something.
        """
        self._check()
        return int(self._struct.fd)

    def sigevent(self, sigev_value: Any = None) -> sigevent:
        """A sigevent that announces to this queue.

        get() returns its value: ``sigev_value``, or without one the aiocb (for a list, the list).
        """
        self._check()
        return sigevent(SIGEV_THREAD, sigev_notify_function=self, sigev_value=sigev_value)

    def get(self, timeout: float | None = None) -> list[Any]:
        """Values of what has completed, in order of completion, at most 1,024 at a time.

        Waits until there is something, or for ``timeout`` seconds and then returns []. Signal
        handlers run during the wait. A completion whose notification glibc lost comes within 0.5 s.
        Raises ValueError for a bad timeout or a closed queue.
        """
        usable()
        limit = seconds(timeout)
        deadline = None if limit is None else time.monotonic() + limit
        while True:
            values = _calls.take(self._address)
            if values:
                return values
            self._check()
            left = FOREVER if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return []
            lib.queue_wait(self._struct, int(min(left, 3600.0) * 1000) + 1)

    def close(self) -> None:
        """Forget completions that nobody took.

        Requests in flight go on, and aio_error() and aio_return() serve them.
        """
        if self.closed:
            return
        self.closed = True
        try:
            while not lib.forked and _calls.take(self._address):
                pass
        finally:
            lib.queue_close(self._struct)

    def __repr__(self) -> str:
        return f"<CompletionQueue {'closed' if self.closed else f'fd={self._struct.fd}'}>"

    def _check(self) -> None:
        if self.closed:
            raise ValueError("the CompletionQueue is closed")

    def __enter__(self) -> CompletionQueue:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
