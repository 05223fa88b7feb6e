"""How to be told that a request is complete: struct sigevent.

A sigevent never changes once it is made, so one may serve many requests at the same time.  It owns
a *plan*, the C struct from which each submission takes its notification; the plan lives as long as
any request that uses it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from enum import IntEnum

from aio_posix._ffi import ffi, lib

TYPE_CHECKING = False  # importing typing for it would take a third of our import's time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from aio_posix.queue import CompletionQueue


class SigevNotify(IntEnum):
    """The kinds of notification that sigevent(7) names."""

    SIGEV_SIGNAL = lib.SIGEV_SIGNAL
    SIGEV_NONE = lib.SIGEV_NONE
    SIGEV_THREAD = lib.SIGEV_THREAD


SIGEV_SIGNAL = SigevNotify.SIGEV_SIGNAL
SIGEV_NONE = SigevNotify.SIGEV_NONE
SIGEV_THREAD = SigevNotify.SIGEV_THREAD

if sys.version_info[:2] == (3, 13):
    lib.callback_stack = (
        6 << 20
    )  # bytes; it allows 10,000 frames of C, others 1,000: the same sort takes 5 MiB
signals_used: set[int] = set()
MINIMUM_STACK = 64 * 1024  # bytes; below it a Python callback's first imports overflow the stack


def address(struct: Any) -> int:
    """Of a C struct, for the functions of csrc that take and return Python objects."""
    return int(ffi.cast("uintptr_t", struct))


class sigevent:
    """How a request announces its completion.

    C: ``struct sigevent { int sigev_notify; int sigev_signo; union sigval sigev_value;
    void (*sigev_notify_function)(union sigval); pthread_attr_t *sigev_notify_attributes; ... }``

    sigev_notify: SIGEV_NONE; SIGEV_SIGNAL with ``sigev_signo``; SIGEV_THREAD with
    ``sigev_notify_function``, a callable that glibc's notification thread calls as
    ``function(value)``, or a CompletionQueue. sigev_value: what the callback, the queue or
    sigwaitinfo hands out; None stands for the aiocb itself (for a list: the list), which is what C
    programs put there. An int of 32 bits travels in a signal unchanged. sigev_notify_attributes:
    the stack size in bytes of the notification thread (4 MiB for a callable, 64 KiB for a queue
    when None).

    Raises TypeError and ValueError for what glibc would answer with silence, or with a result
    overwritten by an error (facts: a signal number it cannot send). Linux queues no more than
    RLIMIT_SIGPENDING signals: past that glibc reports EAGAIN for a request whose data did move.
    Source: glibc rt/aio_notify.c.
    """

    __slots__ = (
        "__weakref__",
        "_address",
        "_call",
        "_plan",
        "_queue",
        "_raw",
        "_thread",
        "sigev_notify",
        "sigev_notify_attributes",
        "sigev_notify_function",
        "sigev_signo",
        "sigev_value",
    )

    sigev_notify: SigevNotify
    sigev_signo: int
    sigev_value: Any
    sigev_notify_function: Callable[[Any], object] | CompletionQueue | None
    sigev_notify_attributes: int | None
    _plan: Any
    _address: int
    _raw: bool
    _queue: Any
    _thread: bool
    _call: Callable[[Any], object]

    def __init__(
        self,
        sigev_notify: int = SIGEV_NONE,
        *,
        sigev_signo: int = 0,
        sigev_value: Any = None,
        sigev_notify_function: Callable[[Any], object] | CompletionQueue | None = None,
        sigev_notify_attributes: int | None = None,
    ) -> None:
        put = super().__setattr__
        put("sigev_notify", SigevNotify(sigev_notify))
        put(
            "sigev_signo",
            _signal_number(sigev_signo) if sigev_notify == SIGEV_SIGNAL else sigev_signo,
        )
        put("sigev_value", sigev_value)
        put("sigev_notify_function", sigev_notify_function)
        put("sigev_notify_attributes", sigev_notify_attributes)
        put("_raw", sigev_notify == SIGEV_SIGNAL and _fits_sival_int(sigev_value))
        queue = None
        if not callable(sigev_notify_function) and hasattr(sigev_notify_function, "_struct"):
            queue = sigev_notify_function
        put("_queue", queue)
        put("_thread", self.sigev_notify is SIGEV_THREAD)
        put("_call", sigev_notify_function if queue is None else _let_go)
        put("_plan", self._make_plan())
        put("_address", address(self._plan))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a sigevent does not change: make a new one with another {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a sigevent does not change: {name} cannot be deleted")

    def _make_plan(self) -> Any:
        if self.sigev_notify == SIGEV_NONE:
            return ffi.NULL
        queue, stack = ffi.NULL, 0
        if self.sigev_notify == SIGEV_THREAD:
            if self._queue is not None:
                queue = self._queue._struct
            elif not callable(self.sigev_notify_function):
                raise TypeError(
                    "SIGEV_THREAD needs sigev_notify_function: a callable or a CompletionQueue"
                )
            stack = _stack_size(self.sigev_notify_attributes)
        value = self.sigev_value & 0xFFFF_FFFF_FFFF_FFFF if self._raw else 0
        plan = lib.plan_new(self.sigev_notify, self.sigev_signo, value, not self._raw, queue, stack)
        if not plan:
            if ffi.errno == errno.EINVAL:
                raise ValueError(
                    f"sigev_notify_attributes: pthread_attr_setstacksize refuses {stack} bytes"
                )
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        return ffi.gc(plan, lib.plan_free)

    def __repr__(self) -> str:
        value = "" if self.sigev_value is None else f" value={self.sigev_value!r}"
        if self.sigev_notify == SIGEV_SIGNAL:
            return f"<sigevent SIGEV_SIGNAL {self.sigev_signo}{value}>"
        if self.sigev_notify == SIGEV_THREAD:
            return f"<sigevent SIGEV_THREAD {self.sigev_notify_function!r}{value}>"
        return "<sigevent SIGEV_NONE>"


def _let_go(value: Any) -> None:
    """Stands in for a CompletionQueue: called only for what comes after it was closed."""


def _signal_number(signo: int) -> int:
    if not isinstance(signo, int):
        raise TypeError(f"sigev_signo must be an int, not {type(signo).__name__}")
    if signo not in signal.valid_signals():
        raise ValueError(f"sigev_signo {signo!r} is not a signal that can be sent")
    signals_used.add(int(signo))
    return int(signo)


def _fits_sival_int(value: object) -> bool:
    return type(value) is int and -(2**31) <= value < 2**31


def _stack_size(attributes: int | None) -> int:
    if attributes is None:
        return 0
    if not isinstance(attributes, int):
        raise TypeError(
            f"sigev_notify_attributes is a stack size in bytes, not {type(attributes).__name__}"
        )
    if not MINIMUM_STACK <= attributes < 2**63:
        raise ValueError(
            f"sigev_notify_attributes: {attributes} bytes of stack, at least {MINIMUM_STACK} are needed"
        )
    return attributes
