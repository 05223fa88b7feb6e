"""sigwaitinfo(2) with si_value, which Python's signal module drops."""

from __future__ import annotations

import errno
import math
import os
import signal
import time
from collections import namedtuple

from aio_posix._ffi import ffi, lib
from aio_posix.aio import seconds
from aio_posix.flight import usable
from aio_posix.signalled import value_of

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NamedTuple


SLICE = 0.5  # seconds, after which a signal that came just before a wait began is noticed

if TYPE_CHECKING:

    class siginfo(NamedTuple):
        si_signo: int
        si_code: int
        si_value: Any
        si_pid: int
        si_uid: int

else:
    siginfo = namedtuple("siginfo", ["si_signo", "si_code", "si_value", "si_pid", "si_uid"])
    siginfo.__doc__ = (
        "What sigwaitinfo returns. si_code is SI_ASYNCIO (-4) when a request completed, and the "
        "other fields are those of siginfo_t."
    )


def sigwaitinfo(signals: Iterable[int], timeout: float | None = None) -> siginfo | None:
    """Wait for one of the signals. The caller has blocked them.

    C: ``int sigwaitinfo(const sigset_t *set, siginfo_t *info)``, ``sigtimedwait`` with a timeout

    Returns None when ``timeout`` seconds have passed. si_value is the sigev_value of the request,
    by default the aiocb and for a list the list. If somebody else sent the signal, it is the int
    that came with it. Handlers of other signals run during the wait, which then goes on (PEP 475).
    Raises ValueError for a bad signal number or timeout. Only real-time signals are queued. Of
    several others that are pending one arrives.
    """
    usable()
    limit = seconds(timeout)
    numbers = list(signals)
    for number in numbers:
        if number not in signal.valid_signals():
            raise ValueError(f"{number!r} is not a signal that can be waited for")
    deadline = None if limit is None else time.monotonic() + limit
    caught = ffi.new("struct caught *")
    while True:
        left = SLICE if deadline is None else max(0.0, min(SLICE, deadline - time.monotonic()))
        error = lib.signal_wait(numbers, len(numbers), math.ceil(left * 1e9), caught)
        if error == 0:
            return siginfo(caught.signo, caught.code, _value(caught), caught.pid, caught.uid)
        if error not in (errno.EAGAIN, errno.EINTR):
            raise OSError(error, os.strerror(error))
        if deadline is not None and time.monotonic() >= deadline:
            return None


def _value(caught: Any) -> Any:
    raw = int(caught.value)
    if caught.code == lib.SI_ASYNCIO and raw >> 48 == lib.TOKEN >> 48:
        return value_of(raw & 0xFFFF_FFFF_FFFF)
    return raw - 2**64 if raw >= 2**63 else raw
