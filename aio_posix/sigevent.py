"""How a request announces its completion: struct sigevent.

A sigevent does not change once it is made, so one may serve many requests at the same time. It owns
a *plan*, the C struct from which each submission takes its notification. The plan lives as long as
any submission that uses it.
"""

from __future__ import annotations

import errno
import signal
import sys
from enum import IntEnum

from aio_posix._calls import Notifier
from aio_posix._ffi import ffi, lib

TYPE_CHECKING = False  # importing typing for it would take a third of our import's time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Queue(Protocol):
        """A CompletionQueue: queue.py imports this module, not the reverse."""

        _struct: Any


class SigevNotify(IntEnum):
    """The kinds of notification that sigevent(7) names."""

    SIGEV_SIGNAL = lib.SIGEV_SIGNAL
    SIGEV_NONE = lib.SIGEV_NONE
    SIGEV_THREAD = lib.SIGEV_THREAD


SIGEV_SIGNAL = SigevNotify.SIGEV_SIGNAL
SIGEV_NONE = SigevNotify.SIGEV_NONE
SIGEV_THREAD = SigevNotify.SIGEV_THREAD

if sys.version_info[:2] == (3, 13):
    # bytes; 3.13 allows 10,000 frames of C, others 1,000: the same sort takes 5 MiB there
    lib.callback_stack = 6 << 20
signals_used: set[int] = set()
# Bytes of stack. With less, a callback's first imports overflow it. From 3.14 on Python keeps away
# from the last 32 KiB and, when it comes near, puts off whatever would be released, for ever.
MINIMUM_STACK = (128 if sys.version_info >= (3, 14) else 64) * 1024
MINIMUM_QUEUE_STACK = 64 * 1024


def address(struct: Any) -> int:
    """Where a C struct is, for the functions of _calls."""
    return int(ffi.cast("uintptr_t", struct))


class sigevent(Notifier):
    """How a request announces its completion.

    C: ``struct sigevent { int sigev_notify; int sigev_signo; union sigval sigev_value; void
    (*sigev_notify_function)(union sigval); pthread_attr_t *sigev_notify_attributes; ... }``

    sigev_notify
        SIGEV_NONE for not at all, SIGEV_SIGNAL for a signal, SIGEV_THREAD for a call in a thread
        that glibc starts for it.
    sigev_signo
        The signal. Only real-time signals (``signal.SIGRTMIN`` and above) are queued.
    sigev_value
        What the callback, the queue or sigwaitinfo() hands out. None stands for the aiocb itself,
        or for the list if this announces a list. An int of 32 bits travels in a signal unchanged.
    sigev_notify_function
        For SIGEV_THREAD: a callable, which is called as ``function(value)``, or a CompletionQueue.
    sigev_notify_attributes
        For SIGEV_THREAD: the stack size of the thread in bytes. None stands for 4 MiB for a
        callable and 64 KiB for a queue. A callable needs 128 KiB from Python 3.14 on, and 64 KiB
        before.

    A sigevent does not change, and one may serve many requests at the same time. TypeError and
    ValueError are for what glibc would answer with silence, or by overwriting the result with an
    error (a signal number that it cannot send). Linux queues at most RLIMIT_SIGPENDING signals.
    Beyond that glibc reports EAGAIN for a request whose data did move. Source: glibc
    rt/aio_notify.c.
    """

    __slots__ = (
        "__weakref__",
        "sigev_notify",
        "sigev_notify_attributes",
        "sigev_notify_function",
        "sigev_signo",
    )

    sigev_notify: SigevNotify
    sigev_signo: int
    sigev_notify_function: Callable[[Any], object] | Queue | None
    sigev_notify_attributes: int | None

    def __init__(
        self,
        sigev_notify: int = SIGEV_NONE,
        *,
        sigev_signo: int = 0,
        sigev_value: Any = None,
        sigev_notify_function: Callable[[Any], object] | Queue | None = None,
        sigev_notify_attributes: int | None = None,
    ) -> None:
        if self._in_use():
            raise BlockingIOError(
                errno.EINPROGRESS,
                "a request with this sigevent is in flight: it cannot be made anew",
            )
        kind = SigevNotify(sigev_notify)
        if sigev_notify_function is not None and kind is not SIGEV_THREAD:
            raise ValueError(f"{kind.name} calls no sigev_notify_function: SIGEV_THREAD does")
        if kind is SIGEV_SIGNAL:
            sigev_signo = _signal_number(sigev_signo)
        queue = None
        if kind is SIGEV_THREAD and not callable(sigev_notify_function):
            queue = getattr(sigev_notify_function, "_struct", None)
            if queue is None:
                raise TypeError(
                    "SIGEV_THREAD needs sigev_notify_function: a callable or a CompletionQueue"
                )
        least = MINIMUM_STACK if queue is None else MINIMUM_QUEUE_STACK
        stack = _stack_size(sigev_notify_attributes, least) if kind is SIGEV_THREAD else 0
        number = sigev_value if kind is SIGEV_SIGNAL and _fits_sival_int(sigev_value) else None
        self._become(
            kind,
            sigev_signo if kind is SIGEV_SIGNAL else 0,
            number,
            0 if queue is None else address(queue),
            stack,
            sigev_notify_function if queue is None else None,
            sigev_value,
        )
        put = super().__setattr__
        put("sigev_notify", kind)
        put("sigev_signo", sigev_signo)
        put("sigev_notify_function", sigev_notify_function)
        put("sigev_notify_attributes", sigev_notify_attributes)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a sigevent does not change: make a new one with another {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a sigevent does not change: {name} cannot be deleted")

    def __repr__(self) -> str:
        value = "" if self.sigev_value is None else f" value={self.sigev_value!r}"
        if self.sigev_notify == SIGEV_SIGNAL:
            return f"<sigevent SIGEV_SIGNAL {self.sigev_signo}{value}>"
        if self.sigev_notify == SIGEV_THREAD:
            return f"<sigevent SIGEV_THREAD {self.sigev_notify_function!r}{value}>"
        return "<sigevent SIGEV_NONE>"


def _signal_number(signo: int) -> int:
    if not isinstance(signo, int):
        raise TypeError(f"sigev_signo must be an int, not {type(signo).__name__}")
    if signo not in signal.valid_signals():
        raise ValueError(f"sigev_signo {signo!r} is not a signal that can be sent")
    signals_used.add(int(signo))
    return int(signo)


def _fits_sival_int(value: object) -> bool:
    return type(value) is int and -(2**31) <= value < 2**31


def _stack_size(attributes: int | None, least: int) -> int:
    if attributes is None:
        return 0
    if not isinstance(attributes, int):
        raise TypeError(
            f"sigev_notify_attributes is a stack size in bytes, not {type(attributes).__name__}"
        )
    if not least <= attributes < 2**63:
        raise ValueError(
            f"sigev_notify_attributes: {attributes} bytes of stack, but {least} are needed"
        )
    return attributes
