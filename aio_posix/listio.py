"""Lists of requests: submitted in one call, waited for together.

- A list is checked and exported as a whole before C sees it; C checks once more, under its lock, that no entry is in
  flight, and then submits all of it.
- When glibc refuses some entries for want of memory or threads, those are complete with that error; the others run.
"""

from __future__ import annotations

from aio_posix import flight
from aio_posix._ffi import ffi, lib
from aio_posix.aiocb import aiocb, export, fileno, forget, keep, refused, set_told
from aio_posix.flight import IN_FLIGHT, NO_NOTICE, STATE
from aio_posix.sigevent import SIGEV_SIGNAL, sigevent

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from typing import Any

SLICE = 0.5  # seconds: a signal that came just before a wait began is noticed after that
_of_empty_lists: list[flight.Told] = []  # their signals have no aiocb to live with


def submit_list(listed: list[aiocb], value: Any, sig: sigevent | None) -> tuple[Any, list[int]]:
    """Starts all of them; returns the C array and the serials. value is what sig's default stands for."""
    flight.submittable()
    if len({id(cb) for cb in listed}) != len(listed):
        raise ValueError("a request is listed twice")
    described = [(fileno(cb.aio_fildes), *export(cb.aio_buf, cb._nbytes, cb.aio_lio_opcode)) for cb in listed]
    array = ffi.new("struct request *[]", [cb._request for cb in listed])
    kept: list[tuple[int, int]] = []
    wanted = []
    list_serial, list_notice, error = next(flight.serials), NO_NOTICE, -1
    try:
        for cb, (fd, pinned, nbytes) in zip(listed, described):  # noqa: B905 - same length, and 3.10's zip is hot here
            op, own = cb.aio_lio_opcode, cb.aio_sigevent
            serial, notice = keep(cb, op, pinned, own)
            kept.append((serial, notice))
            plan = ffi.NULL if own is None else own._plan
            wanted.append((serial, pinned, nbytes, cb.aio_offset, plan, notice, fd, op, cb.aio_reqprio))
        serials = [serial for serial, _ in kept]
        if sig is not None and sig._thread:
            list_notice = flight.promise(sig, value, serials, array)
        elif sig is not None and sig.sigev_notify == SIGEV_SIGNAL:
            _tell(listed, list_serial, value if sig.sigev_value is None else sig.sigev_value)
        plan = ffi.NULL if sig is None else sig._plan
        c_wanted = ffi.new("struct wanted[]", wanted)
        error = lib.list_submit(array, c_wanted, len(listed), list_serial, plan, list_notice)
    finally:
        if error < 0:  # nothing was submitted
            flight.break_promise(list_notice)
            for cb, (serial, notice) in zip(listed, kept):  # noqa: B905 - kept may be shorter
                if cb._request.word >> 2 != serial:
                    forget(serial, notice)
    if error:
        refused(abs(error))
    return array, serials


def _tell(listed: list[aiocb], serial: int, value: Any) -> None:
    told = flight.Told(value)
    flight.signalled[serial] = told
    if listed:
        last = listed[-1]
        set_told(last, (told, getattr(last, "_told", None)))  # beside what its own signal means
    else:
        _of_empty_lists.append(told)


def wait_for_all(array: Any, n: int) -> None:
    """From the end, for the requests of one descriptor complete in their order."""
    last = n - 1
    while lib.list_poll(array, n):
        while array[last].word & STATE != IN_FLIGHT:
            last -= 1
        lib.list_suspend(array + last, 1, int(SLICE * 1e9))
