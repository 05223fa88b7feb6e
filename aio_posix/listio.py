"""Lists of requests: submitted in one call, waited for together.

- A list is checked and exported as a whole before C sees it; C checks once more, under its lock,
  that no entry is in flight, and then submits all of it.
- When glibc refuses some entries for want of memory or threads, those are complete with that error;
  the others run.
"""

from __future__ import annotations

from collections import deque

from aio_posix import flight
from aio_posix._ffi import ffi, lib
from aio_posix.aiocb import aiocb, keep_list, refused, set_told, start_list, unkeep_list
from aio_posix.sigevent import SIGEV_SIGNAL, address, sigevent

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from typing import Any

SLICE = 0.5  # seconds: a signal that came just before a wait began is noticed after that
_of_empty_lists: deque[flight.Told] = deque(maxlen=1024)  # their signals have no aiocb to live with


def _told_of(listed: list[aiocb], value: Any) -> flight.Told:
    """What the signal of this list means: the same as before, if the last request had it for the
    same list.
    """
    return flight.tell(getattr(listed[-1], "_told", (None, None))[1] if listed else None, value)


def _remember(listed: list[aiocb], told: flight.Told) -> None:
    if listed:
        set_told(listed[-1], (getattr(listed[-1], "_told", (None, None))[0], told))
    else:
        _of_empty_lists.append(told)


def submit_list(
    listed: list[aiocb], value: Any, sig: sigevent | None, waits: bool = False
) -> tuple[Any, int]:
    """Starts all of them; C's listing of them, and glibc's errno if it refused some.

    value: what sig's default stands for. waits: the caller is going to wait for all of them.
    """
    flight.submittable()
    if len(set(map(id, listed))) != len(listed):
        raise ValueError("a request is listed twice")
    listing = ffi.gc(lib.listing_new(len(listed)), lib.listing_free)
    if not listing:
        raise MemoryError(f"no room for a list of {len(listed)} requests")
    where = address(listing)
    before = listed[0]._request.word if listed else 0
    told: flight.Told | None = None
    number, error = 0, None
    if sig is not None and sig.sigev_notify == SIGEV_SIGNAL and not sig._raw:
        told = _told_of(listed, value if sig.sigev_value is None else sig.sigev_value)
        number = told.number
    try:
        serials, requests = keep_list(where, listed, told)
        error = start_list(where, waits, number, sig, value, serials, (listing, requests))
    finally:
        # None: something raised, before C was called or (a signal handler) after
        if (
            error < 0
            if error is not None
            else not listed or listed[0]._request.word >> 2 == before >> 2
        ):
            unkeep_list(where)
        elif told is not None:
            told.of = serials
            _remember(listed, told)
    if error < 0:
        refused(-error)
    return listing, error


def wait_for_all(listing: Any, n: int) -> None:
    """From the end, for the requests of one descriptor complete in their order."""
    while n := lib.list_left(listing.requests, listing.serials, n):
        lib.list_suspend(listing.requests + n - 1, 1, int(SLICE * 1e9))
