"""Lists of requests: submitted in one call, waited for together.

- A list is checked and exported as a whole before C sees it; C checks once more, under its lock, that no entry is in
  flight, and then submits all of it.
- When glibc refuses some entries for want of memory or threads, those are complete with that error; the others run.
"""

from __future__ import annotations

from collections import deque

from aio_posix import flight
from aio_posix._ffi import ffi, lib
from aio_posix.aiocb import aiocb, export, fileno, forget, keep, refused, set_told
from aio_posix.flight import NO_NOTICE
from aio_posix.sigevent import SIGEV_SIGNAL, sigevent

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from typing import Any

SLICE = 0.5  # seconds: a signal that came just before a wait began is noticed after that
_of_empty_lists: deque[flight.Told] = deque(maxlen=1024)  # their signals have no aiocb to live with


def _told_of(listed: list[aiocb], value: Any) -> flight.Told:
    """What the signal of this list means: the same as before, if the last request had it for the same list."""
    return flight.tell(getattr(listed[-1], "_told", (None, None))[1] if listed else None, value)


def _remember(listed: list[aiocb], told: flight.Told) -> None:
    if listed:
        set_told(listed[-1], (getattr(listed[-1], "_told", (None, None))[0], told))
    else:
        _of_empty_lists.append(told)


def submit_list(listed: list[aiocb], value: Any, sig: sigevent | None) -> tuple[Any, Any, int]:
    """Starts all of them; C's arrays of requests and serials, and glibc's errno if it refused some.

    value: what sig's default stands for.
    """
    flight.submittable()
    if len({id(cb) for cb in listed}) != len(listed):
        raise ValueError("a request is listed twice")
    described = [(fileno(cb.aio_fildes), *export(cb.aio_buf, cb._nbytes, cb.aio_lio_opcode)) for cb in listed]
    requests = [cb._request for cb in listed]
    array = ffi.new("struct request *[]", requests)
    before = requests[0].word if requests else 0
    kept: list[tuple[int, int]] = []
    wanted = []
    told: flight.Told | None = None
    number, notice, error = 0, NO_NOTICE, None
    if sig is not None and sig.sigev_notify == SIGEV_SIGNAL and not sig._raw:
        told = _told_of(listed, value if sig.sigev_value is None else sig.sigev_value)
        number = told.number
    try:
        for cb, (fd, pinned, nbytes) in zip(listed, described):  # noqa: B905 - same length, and 3.10's zip is hot here
            op, own = cb.aio_lio_opcode, cb.aio_sigevent
            kept.append(keep(cb, op, pinned, own, told))
            plan = ffi.NULL if own is None else own._plan
            wanted.append((kept[-1][0], pinned, nbytes, cb.aio_offset, plan, kept[-1][1], fd, op, cb.aio_reqprio))
        serials = [serial for serial, _ in kept]
        if sig is not None and sig._thread:  # C looks at the requests until it has been told
            notice = flight.promise(sig, value, serials, (array, requests))
        plan = ffi.NULL if sig is None else sig._plan
        c_wanted = ffi.new("struct wanted[]", wanted)
        error = lib.list_submit(array, c_wanted, len(listed), number, plan, notice)
    finally:
        # None: a signal handler raised, before C was called or after
        if error < 0 if error is not None else not listed or requests[0].word >> 2 == before >> 2:
            flight.break_promise(notice)
            for serial, own_notice in kept:
                forget(serial, own_notice)
        else:
            for request in requests:
                if request.unseen:
                    flight.in_flight.pop(request.unseen, None)
            if told is not None:
                told.of = [serial for serial, _ in kept]
                _remember(listed, told)
    if error < 0:
        refused(-error)
    return array, ffi.new("uint64_t[]", serials), error


def wait_for_all(array: Any, serials: Any, n: int) -> None:
    """From the end, for the requests of one descriptor complete in their order."""
    while n := lib.list_left(array, serials, n):
        lib.list_suspend(array + n - 1, 1, int(SLICE * 1e9))
