"""What is in flight in this process; signals that stand for objects; fork; exit.

- Each submission keeps what glibc may touch (buffer, file object, C request) until somebody notices
  that it is over: csrc/python/kept.h. in_flight() shows what glibc still has.
- A signal carries a number. The object it stands for lives as long as its aiocb, or as long as the
  submission keeps it. Of those that nobody looked at afterwards, the last UNHEARD are kept, because
  their signals may still be pending.
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
import weakref
from collections import namedtuple
from itertools import count

from aio_posix import _calls
from aio_posix._calls import owed as owed  # tests ask for it here
from aio_posix._ffi import lib
from aio_posix.sigevent import signals_used

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from typing import Any

DRAIN = 10.0  # seconds an exit waits for accepted writes and syncs
UNHEARD = 1024  # completed submissions that are kept for a sigwaitinfo which may never be called
# At exit: how long (seconds) to wait for running callbacks after the last write has finished. A
# callback may never return.
GRACE = 1.0

InFlight = namedtuple("InFlight", ["serial", "op", "fd", "file", "nbytes", "offset"])
InFlight.__doc__ = "A submission that glibc has; file is the object given as aio_fildes, or None."

Stats = namedtuple("Stats", ["in_flight", "submitted", "completed", "cancelled", "delivered_late"])
Stats.__doc__ = "What this process has asked of glibc so far; numbers of requests."


class Signalled:
    """What a signal with this number stands for; an aiocb is not kept alive by that."""

    __slots__ = ("__weakref__", "cb", "heard", "number", "value")

    def __init__(self, value: Any, cb: Any) -> None:
        self.value = value
        self.cb = None if cb is None else weakref.ref(cb)
        self.number = next(_numbers)
        self.heard = False  # nobody asks for it any more
        signalled[self.number] = self


class Exit:
    """Whether the interpreter's exit has drained what was accepted."""

    drained = False


_numbers = count(1)  # 48 bits of them fit beside TOKEN
signalled: weakref.WeakValueDictionary[int, Signalled] = weakref.WeakValueDictionary()
_unheard: dict[int, Any] = {}  # by number: an aiocb or a Signalled, oldest first


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
    """Raises where no call works: glibc's mutex may be held by a thread that is not there."""
    if lib.forked:
        raise OSError(
            errno.ENOTSUP,
            "POSIX AIO does not work in a forked child of a process that used it: glibc's threads "
            "stayed in the parent, so requests would never run; use exec, or the multiprocessing "
            "start method 'spawn'",
        )


def submittable() -> None:
    """Raises where no request can be accepted; C asks before the first submission, and again
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
        )  # such a child ends by os._exit: not through atexit

        Finalize(None, _drain, exitpriority=-1000)  # after what else is to be done, and may write
    _calls.accept_submissions(True)


def refused(error: int) -> None:
    """Raises what a refusal means, glibc's or ours."""
    usable()  # ENOTSUP
    if error == errno.EINPROGRESS:
        raise BlockingIOError(error, "the request is in flight already")
    raise OSError(error, f"{os.strerror(error)}: glibc did not accept the request")


def look_again(file: Any, fd: int) -> None:
    """A submission of this file object is over. Warns if the object has another number by now."""
    try:
        now: int | None = file.fileno()
    except (OSError, ValueError):
        now = None
    if now != fd:
        import warnings  # rarely needed, and slow to import

        warnings.warn(
            f"{file!r} was closed while a request on its descriptor {fd} was in flight: glibc may "
            "have used another file that got the number",
            ResourceWarning,
            stacklevel=2,
            source=file,
        )


def signalled_by(cb: Any, default: Any, own: Any) -> tuple[int, Any]:
    """The number that the signal of a submission carries, and what has to live for it.

    cb is None for a list. The number of the submission before is used again if it stands for the
    same, because signals that carry it may still be pending.
    """
    if cb is None:
        new = Signalled(default if own is None else own, None)
        return new.number, new
    old: Signalled | None = cb._told
    if old is None or (
        old.cb is None if own is None else old.cb is not None or old.value is not own
    ):
        old = Signalled(own, cb if own is None else None)
        type(cb)._told.__set__(cb, old)
    old.heard = False
    return old.number, cb if own is None else old


def unheard(number: int, kept: Any) -> None:
    """The sweeper has noticed the end of a submission whose signal may be taken later."""
    told = signalled.get(number)
    if told is None or told.heard:
        return
    _unheard[number] = kept
    while len(_unheard) > UNHEARD:
        del _unheard[next(iter(_unheard))]


def heard(told: Signalled) -> None:
    """The aiocb's result has been returned; it lives as long as the program holds it."""
    told.heard = True
    _unheard.pop(told.number, None)


def value_of(number: int) -> Any:
    """What a signal with this number stands for; None if that has gone."""
    told = signalled.get(number)
    if told is None:
        return None
    heard(told)
    if told.cb is None:
        return told.value
    cb = told.cb()
    if cb is not None:
        _calls.state(cb)  # it is over, and this releases what it needed
    return cb


def _named(one: InFlight) -> str:
    what = f"write of {one.nbytes} bytes at {one.offset}" if one.op == lib.LIO_WRITE else "sync"
    return f"{what} to {one.fd if one.file is None else one.file!r}"


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
                names = ", ".join(map(_named, lost[:5])) + (", ..." if len(lost) > 5 else "")
                if not lost:
                    continue
                import warnings  # rarely needed, and slow to import

                text = f"{len(lost)} requests lost at exit, not done after {DRAIN:g} s: {names}"
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
    """Orderly exit: what was accepted for writing gets written; then nobody goes into Python."""
    if lib.forked or Exit.drained:
        return
    deadline, drained = time.monotonic() + DRAIN, False
    try:
        drained = _drain(deadline, callbacks=True)
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
