"""What is in flight in this process; signals that stand for objects; fork; exit.

- Each submission keeps what glibc may touch (buffer, file object, C request) until somebody notices
  that it is over: csrc/python/kept.h. in_flight() shows what glibc still has.
- A signal carries a number. The object it stands for lives as long as its aiocb, or as long as the
  submission keeps it. Those whose signals may still be pending after that are kept, up to UNHEARD
  requests of them.
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
from collections import deque, namedtuple
from itertools import count

from aio_posix import _calls, log
from aio_posix._calls import owed as owed  # tests ask for it here
from aio_posix._ffi import lib
from aio_posix.sigevent import signals_used

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from typing import Any, ClassVar

DRAIN = 10.0  # seconds an exit waits for accepted writes and syncs
UNHEARD = 1024  # completed requests that are kept for a sigwaitinfo which may never be called
# At exit: how long (seconds) to wait for running callbacks after the last write has finished. A
# callback may never return.
GRACE = 1.0

InFlight = namedtuple("InFlight", ["serial", "op", "fd", "file", "nbytes", "offset"])
InFlight.__doc__ = "A submission that glibc has; file is the object given as aio_fildes, or None."

Stats = namedtuple("Stats", ["in_flight", "submitted", "completed", "cancelled", "delivered_late"])
Stats.__doc__ = "What this process has asked of glibc so far; numbers of requests."


class Signalled:
    """What a signal with this number stands for; an aiocb is not kept alive by that."""

    __slots__ = ("__weakref__", "cb", "number", "pending", "returned", "value")

    def __init__(self, value: Any, cb: Any) -> None:
        self.value = value
        self.cb = None if cb is None else weakref.ref(cb)
        self.number = next(_numbers)
        # one entry for each submission whose signal sigwaitinfo has not taken: two threads may
        # append and pop at the same time, which they could not do with a number
        self.pending: list[None] = []
        self.returned = False  # aio_return was called since, so the program needs no signal
        signalled[self.number] = self

    def requests(self) -> int:
        """How many are kept alive by this."""
        return len(self.value) if type(self.value) in (list, tuple) else 1


class Unheard:
    """What is kept for signals that may still be pending: by number, an aiocb or a Signalled.

    Destructors come here, and a destructor must not wait for a lock. Whoever finds somebody at work
    (another thread, or this one below a destructor) leaves to them what is to be done: to keep
    something, or nothing any more. ``_free`` is empty while somebody is at work. It is no lock,
    because a signal handler that raises could come between the taking of one and the try.
    """

    kept: ClassVar[dict[int, tuple[int, Any]]] = {}  # oldest first
    requests = 0
    _to_do: ClassVar[deque[tuple[int, int, Any]]] = deque()  # number, requests, what
    _free: ClassVar[dict[str, bool]] = {"free": True}

    @classmethod
    def keep(cls, number: int, requests: int, what: Any) -> None:
        cls._to_do.append((number, requests, what))
        cls._work()

    @classmethod
    def drop(cls, number: int) -> None:
        cls._to_do.append((number, 0, None))
        cls._work()

    @classmethod
    def _work(cls) -> None:
        while cls._to_do:
            try:
                del cls._free["free"]
            except KeyError:
                return
            try:
                while cls._to_do:
                    cls._change(*cls._to_do.popleft())
            finally:
                cls._free["free"] = True

    @classmethod
    def _change(cls, number: int, requests: int, what: Any) -> None:
        cls._forget(number)
        if what is not None:
            cls.kept[number] = requests, what
            cls.requests += requests
        while cls.requests > UNHEARD and len(cls.kept) > 1:
            cls._forget(next(iter(cls.kept)))

    @classmethod
    def _forget(cls, number: int) -> None:
        forgotten = cls.kept.pop(number, (0, None))  # it ends after the number is right
        cls.requests -= forgotten[0]


class Exit:
    """Whether the interpreter's exit has drained what was accepted."""

    drained = False


_numbers = count(1)  # 48 bits of them fit beside TOKEN
signalled: weakref.WeakValueDictionary[int, Signalled] = weakref.WeakValueDictionary()


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


def _file_name(file: Any) -> str:
    """Its repr, with the name that a closed io.FileIO leaves out."""
    text = repr(file)
    name = getattr(file, "name", None)
    return (
        text if name is None or type(name) is int or repr(name) in text else f"{text} of {name!r}"
    )


def closed_in_flight(file: Any, fd: int) -> None:
    """Warns: a submission of this file object is over, and it has another number by now."""
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


def signalled_by(cb: Any, default: Any, own: Any) -> tuple[int, Any]:
    """The number that the signal of a submission carries, and what has to live for it.

    cb is None for a list. The number of the submission before is used again if it stands for the
    same, because signals that carry it may still be pending.
    """
    if cb is None:
        new = Signalled(default if own is None else own, None)
        new.pending.append(None)
        return new.number, new
    record: Signalled | None = cb._signalled
    while record is None or (
        record.cb is None if own is None else record.cb is not None or record.value is not own
    ):
        old, record = record, Signalled(own, cb if own is None else None)
        if not cb._signal_by(old, record):  # another thread was faster
            record = cb._signalled
        elif old is not None and old.cb is None:
            unheard(old)
    record.returned = False
    record.pending.append(None)
    return record.number, cb if own is None else record


def unheard(kept: Any) -> None:
    """Nobody else keeps what a signal stands for that may be taken later: an aiocb that the sweeper
    has found over, or the Signalled of a list or of a dropped aiocb.
    """
    record = kept if type(kept) is Signalled else kept._signalled
    if record is kept and record.cb is not None:
        return  # the aiocb is gone
    if record.pending and not record.returned:
        Unheard.keep(record.number, record.requests(), kept)


def returned(record: Signalled) -> None:
    """The aiocb's result is about to be returned; it lives as long as the program holds it."""
    record.returned = True
    Unheard.drop(record.number)


def value_of(number: int) -> Any:
    """What a signal with this number stands for; None if that has gone."""
    record = signalled.get(number)
    if record is None:
        return None
    cb = None if record.cb is None else record.cb()
    del record.pending[:1]
    if not record.pending:
        Unheard.drop(number)
    if record.cb is None:
        return record.value
    if cb is not None:
        _calls.state(cb)  # it is over, and this releases what it needed
    return cb


def _named(lost: list[InFlight]) -> str:
    """All of them; those of one file together."""
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
    """Orderly exit: what was accepted for writing gets written; then nobody goes into Python."""
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
