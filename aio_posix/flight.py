"""What is in flight in this process; fork; exit.

- Each submission keeps what glibc may touch (buffer, file object, C request) until somebody notices
  that it is over: csrc/python/kept.h. in_flight() shows what glibc still has.
- In a forked child of a process that has used AIO nothing of this works or is touched.
- At exit writes are drained before the gate is closed.
"""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
import time
from collections import namedtuple

from aio_posix import _calls, log
from aio_posix._calls import owed as owed  # tests ask for it here
from aio_posix._ffi import lib
from aio_posix.sigevent import signals_used

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from typing import Any

DRAIN = 10.0  # seconds an exit waits for accepted writes and syncs
# At exit: how long (seconds) to wait for running callbacks after the last write has finished. A
# callback may never return.
GRACE = 1.0

InFlight = namedtuple("InFlight", ["serial", "op", "fd", "file", "nbytes", "offset"])
InFlight.__doc__ = "A submission that glibc has; file is the object given as aio_fildes, or None."

Stats = namedtuple("Stats", ["in_flight", "submitted", "completed", "cancelled", "delivered_late"])
Stats.__doc__ = "What this process has asked of glibc so far; numbers of requests."


class Exit:
    """Whether the interpreter's exit has drained what was accepted."""

    drained = False


def in_flight() -> list[InFlight]:
    """What glibc has, the newest first."""
    return [InFlight(*one) for one in _calls.in_flight()]


def stats() -> Stats:
    """What this process has asked of glibc: how many requests, and what became of them.

    ``in_flight`` counts a completed request until somebody, or the sweeper, looks at it.
    ``delivered_late`` counts notifications that glibc lost, because it could not make a thread, and
    that came all the same. Reads of the page cache by ``aio_posix.asyncio`` need no request.
    """
    return Stats(*_calls.count())


def usable() -> None:
    """Raises in a forked child, where a thread that is not there may hold glibc's mutex."""
    if lib.forked:
        raise OSError(
            errno.ENOTSUP,
            "POSIX AIO does not work in a forked child of a process that used it: glibc's threads "
            "stayed in the parent, so requests would never run; use exec, or the multiprocessing "
            "start method 'spawn'",
        )


def submittable() -> None:
    """Raises where no request can be accepted. C asks before the first submission, and again
    after a fork and at exit.
    """
    usable()
    if Exit.drained:
        raise OSError(
            errno.ESHUTDOWN,
            "no AIO any more: the interpreter is exiting and has drained its requests",
        )
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import (
            Finalize,
        )  # such a child ends by os._exit, without atexit

        Finalize(None, _drain, exitpriority=-1000)  # after what else is to be done, and may write
    _calls.accept_submissions(True)


def refused(error: int) -> None:
    """Raises what a refusal means, glibc's or ours."""
    usable()  # ENOTSUP
    if error == errno.EINPROGRESS:
        raise BlockingIOError(error, "the request is in flight already")
    raise OSError(error, f"{os.strerror(error)}: glibc did not accept the request")


def _file_name(file: Any) -> str:
    """Its repr, with the name that a closed io.FileIO leaves out."""
    text = repr(file)
    name = getattr(file, "name", None)
    return (
        text if name is None or type(name) is int or repr(name) in text else f"{text} of {name!r}"
    )


def closed_in_flight(file: Any, fd: int) -> None:
    """Warns that a file object has another number now that its submission is over."""
    import warnings  # rarely needed, and slow to import

    level, frame, ours = 1, sys._getframe(), os.path.dirname(__file__)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(ours):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"{_file_name(file)} was closed while a request on its descriptor {fd} was in flight: "
        "glibc may have used another file that got the number",
        ResourceWarning,
        stacklevel=level,
        source=file,
    )


def _named(lost: list[InFlight]) -> str:
    """Names all of them, those of one file together."""
    kinds: dict[str, list[InFlight]] = {}
    for one in reversed(lost):
        kind = "write" if one.op == lib.LIO_WRITE else "sync"
        to = one.fd if one.file is None else _file_name(one.file)
        kinds.setdefault(f"{kind} to {to}", []).append(one)
    names = []
    for name, some in kinds.items():
        kind, to = name.split(" ", 1)
        if len(some) > 1:
            name = f"{len(some)} {kind}s {to}"
        if kind == "write":
            at = f" at {some[0].offset}" if len(some) == 1 else ""
            name = name.replace(" to ", f" of {sum(one.nbytes for one in some)} bytes{at} to ", 1)
        names.append(name)
    return ", ".join(names)


def _drain(deadline: float | None = None, callbacks: bool = True) -> bool:
    """Waits for writes and syncs, and for callbacks that may submit more.

    False, with a warning that names what was lost, if it gave up.
    """
    if lib.forked:
        return False
    deadline = time.monotonic() + DRAIN if deadline is None else deadline
    patience = time.monotonic() + GRACE
    while True:
        if _calls.await_write(100):
            patience = time.monotonic() + GRACE
            if time.monotonic() > deadline:
                lost = [one for one in in_flight() if one.op != lib.LIO_READ]
                if not lost:
                    continue
                import warnings  # rarely needed, and slow to import

                text = f"{len(lost)} requests lost at exit, not done after {DRAIN:g} s: "
                text += _named(lost)
                log.lost_at_exit(text)
                warnings.warn(text, RuntimeWarning, stacklevel=1)
                return False
        elif (
            not callbacks
            or time.monotonic() > patience
            or not (_calls.callback_of_a_write_due() or lib.gate_inside())
        ):
            return True
        else:
            time.sleep(0.001)


def _finish() -> None:
    """At an orderly exit, writes what was accepted for writing and then closes the gate."""
    if lib.forked or Exit.drained:
        return
    deadline, drained = time.monotonic() + DRAIN, False
    try:
        drained = _drain(deadline, callbacks=True)
        _calls.reap()  # a file that was closed meanwhile is warned of while that is possible
    finally:
        lib.gate_close()
        Exit.drained = True
        _calls.accept_submissions(False)
        if drained:
            _drain(deadline, callbacks=False)  # what was submitted in the last moment
        if in_flight():
            # Python is about to restore the default action, and that of a late signal is to kill
            for signo in signals_used - {signal.SIGKILL, signal.SIGSTOP}:
                # first, or one that arrives now is reported: "ignored due to race condition"
                lib.signal_ignore(signo)
                signal.signal(signo, signal.SIG_IGN)


def _in_child() -> None:
    lib.gate_fork_ended()
    _calls.accept_submissions(False)


os.register_at_fork(
    before=lib.gate_fork_begins, after_in_parent=lib.gate_fork_ended, after_in_child=_in_child
)
atexit.register(_finish)
