"""What is in flight, and who keeps it alive.

- A request is submitted under a new serial number.  C's ``request.word`` says which serial it is in
  and whether that is in flight; glibc has let go of everything once the state is COMPLETE, and
  never before.
- ``in_flight`` keeps, by serial, what glibc may touch: the C request, the export of the buffer, the
  object given as aio_fildes, the sigevent.  It is emptied by whoever notices the completion;
  popping a serial twice does no harm.
- ``owed`` keeps, by notice, what a notification will hand out.  Whoever delivers removes from it,
  once.
- An aiocb that is dropped in flight leaves these behind; the sweeper reaps them when glibc is done.
- C (csrc/flight.c) does this for each submission and completion, and holds the tables for ever:
  what is in flight when the interpreter ends is never freed.
- In a forked child nothing of this works or is touched.  At exit writes are drained before the gate
  is closed.
"""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
import time
import weakref
from itertools import count, cycle

from aio_posix._ffi import ffi, lib
from aio_posix.sigevent import signals_used

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from aio_posix.sigevent import sigevent

STATE, IN_FLIGHT, COMPLETE, RETURNED, NO_NOTICE = (
    3,
    lib.IN_FLIGHT,
    lib.COMPLETE,
    lib.RETURNED,
    lib.NO_NOTICE,
)

DRAIN = 10.0  # seconds an exit waits for accepted writes and syncs
PATIENCE = 1024  # requests that nobody holds are kept for their signals, at least so long
# seconds without a write after which it waits for callbacks no longer: one may be blocked for ever
GRACE = 1.0


class Told:
    """What signals with a certain number stand for; lives as long as the aiocb it came with, which
    it does not keep.
    """

    __slots__ = ("__weakref__", "cb", "number", "of", "value")
    patience = PATIENCE

    def __init__(self, value: Any, cb: Any) -> None:
        self.value = value
        self.cb = None if cb is None else weakref.ref(cb)
        self.of: Iterable[int] = ()
        self.number = next(told_numbers)
        while self.number in signalled:
            self.number = next(told_numbers)
        signalled[self.number] = self

    def take(self) -> Any:
        """The value; lets go of requests that are complete, as they are when their signal comes."""
        value = self.value if self.cb is None else self.cb()
        for serial in self.of:
            kept = in_flight.get(serial)
            if kept is not None and look(kept[0]) != serial << 2 | IN_FLIGHT:
                in_flight.pop(serial, None)
        return value


class Stop:
    """Whether requests are refused, at exit once they have been drained; and whether a submission
    has to look.
    """

    now = False
    look = True  # nothing has been submitted yet, or nothing may be any more


in_flight: dict[
    int, tuple[Any, ...]
] = {}  # serial: (request, operation, buffer, file, sigevent or aiocb)
owed: dict[
    int, tuple[Any, ...]
] = {}  # notice: (sigevent, value, serial or serials, what C needs until then)
serials = count(1)
signalled: weakref.WeakValueDictionary[int, Told] = (
    weakref.WeakValueDictionary()
)  # by the number a signal carries
unheard: dict[int, None] = {}  # serials of requests that wait for sigwaitinfo
told_numbers = cycle(range(1 << 31, NO_NOTICE))  # never the number of a notice
free: list[int] = []  # notices nobody uses

# csrc/flight.c, which keeps these tables, puts its functions in here.
promise: Callable[
    [sigevent, Any, int | Iterable[int], Any], int
]  # sigevent, default value, serial(s), kept -> notice
break_promise: Callable[[int], None]
take: Callable[
    [int, list[Any]], list[Any] | None
]  # address of a queue, values left over -> values; None: closed
# A function, or None, that is called as these happen: with "request", serial, aiocb, op, address,
# nbytes; "callback", serial(s), function; "returned", serial(s); "taken", serial(s). Returns the
# one before.
watch: Callable[[Callable[..., None] | None], Callable[..., None] | None]


def usable() -> None:
    """Raises where no call works any more: glibc's mutex may be held for ever by a thread that is
    not there.
    """
    if lib.forked:
        raise OSError(
            errno.ENOTSUP,
            "POSIX AIO does not work in a forked child of a process that used it: glibc's threads stayed in the "
            "parent, so requests would never run; use exec, or the multiprocessing start method 'spawn'",
        )


def submittable() -> None:
    """Raises where no request can be accepted any more."""
    usable()
    if Stop.now:
        raise OSError(
            errno.ESHUTDOWN,
            "no AIO any more: the interpreter is exiting and has drained its requests",
        )
    if Stop.look:
        Stop.look = False
        multiprocessing = sys.modules.get("multiprocessing.process")
        if multiprocessing is not None and multiprocessing.parent_process() is not None:
            from multiprocessing.util import (
                Finalize,
            )  # such a child ends by os._exit: not through atexit

            Finalize(
                None, _drain, exitpriority=-1000
            )  # after what else is to be done then, and may write


def look(request: Any) -> int:
    """The request's word as of now; lets go of what glibc no longer needs."""
    word: int = request.word
    if word & STATE == IN_FLIGHT:
        word = lib.request_poll(request)
    if word & STATE == COMPLETE:
        in_flight.pop(word >> 2, None)
    return word


def tell(old: Told | None, value: Any, cb: Any = None) -> Told:
    """The Told of this value, or of this aiocb: the old one, whose signals may be on their way, if
    it says the same.
    """
    if old is not None and (
        old.cb is None and old.value is value if cb is None else old.cb is not None
    ):
        return old
    return Told(value, cb)


def await_signal(serial: int) -> None:
    """Nobody but in_flight may hold this request, for sigwaitinfo; but its signal may never be
    taken that way.
    """
    unheard[serial] = None
    if len(unheard) > Told.patience:
        for old in list(unheard):
            kept = in_flight.get(old)
            if kept is None or look(kept[0]) != old << 2 | IN_FLIGHT:
                in_flight.pop(old, None)
                unheard.pop(old, None)
        Told.patience = max(PATIENCE, 2 * len(unheard))


def _writes() -> list[tuple[Any, ...]]:
    return [kept for kept in list(in_flight.values()) if kept[1] != lib.LIO_READ]


def _named(kept: tuple[Any, ...]) -> str:
    request, op, _, file, *_ = kept
    what = (
        f"write of {request.cb.aio_nbytes} bytes at {request.cb.aio_offset}"
        if op == lib.LIO_WRITE
        else "sync"
    )
    return f"{what} to {file!r}"


def _callbacks_due() -> bool:
    """Whether the callback of a completed write has not begun: it may want to write more."""
    for sig, _, of, *_ in list(owed.values()):
        if sig._queue is None:
            for serial in (of,) if isinstance(of, int) else of:
                if in_flight.get(serial, (None, lib.LIO_READ))[1] != lib.LIO_READ:
                    return True
    return False


def _drain(deadline: float | None = None, callbacks: bool = True) -> bool:
    """Waits for writes and syncs, and for callbacks that may submit more; False, with a warning, if
    it gave up.
    """
    if lib.forked:
        return False
    deadline = time.monotonic() + DRAIN if deadline is None else deadline
    patience = time.monotonic() + GRACE
    while True:
        left = _writes()
        array = ffi.new("struct request *[]", [kept[0] for kept in left])
        if lib.list_poll(array, len(left)):
            patience = time.monotonic() + GRACE
            running = [i for i, kept in enumerate(left) if kept[0].word & STATE == IN_FLIGHT]
            if time.monotonic() > deadline:
                names = ", ".join(_named(left[i]) for i in running[:5]) + (
                    ", ..." if len(running) > 5 else ""
                )
                text = f"{len(running)} requests lost at exit, not done after {DRAIN:g} s: {names}"
                import warnings  # rarely needed, and dear

                warnings.warn(text, RuntimeWarning, stacklevel=1)
                return False
            if running:
                lib.list_suspend(array + running[-1], 1, 100_000_000)
        elif (
            not callbacks
            or time.monotonic() > patience
            or not (_callbacks_due() or lib.gate_inside())
        ):
            return True
        else:
            time.sleep(0.001)


def _finish() -> None:
    """Orderly exit: what was accepted for writing gets written; then nobody goes into Python any
    more.
    """
    if lib.forked or Stop.now:
        return
    deadline, drained = time.monotonic() + DRAIN, False
    try:
        drained = _drain(deadline, callbacks=True)
    finally:
        lib.gate_close()
        Stop.now = Stop.look = True
        if drained:
            _drain(deadline, callbacks=False)  # what was submitted in the last moment
        if (
            in_flight
        ):  # Python is about to restore the default action, and that of a late signal is to kill
            for signo in signals_used - {signal.SIGKILL, signal.SIGSTOP}:
                lib.signal_ignore(
                    signo
                )  # first, or one that arrives now is reported: "ignored due to race condition"
                signal.signal(signo, signal.SIG_IGN)


def _in_child() -> None:
    lib.gate_fork_ended()
    Stop.look = True


if lib.flight_start(__name__.encode()) != 0:
    raise ImportError(
        "aio_posix is loaded in this process already: it cannot be loaded a second time"
    )
lib.requests_start()
lib.gate_start()
os.register_at_fork(
    before=lib.gate_fork_begins, after_in_parent=lib.gate_fork_ended, after_in_child=_in_child
)
atexit.register(_finish)
