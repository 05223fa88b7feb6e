"""Requests, their events and system calls -> the flights that a replay is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aio_posix.study.observed import Flight, Life
from aio_posix.study.trace.event import Event, What
from aio_posix.study.trace.matching import Request
from aio_posix.study.trace.strace import Thread

CANCELED, NOT_CANCELED = 0, 1  # AIO_CANCELED, AIO_NOTCANCELED of <aio.h>


def flights(
    events: Sequence[Event], requests: Mapping[int, Request], threads: Mapping[int, Thread]
) -> tuple[Flight, ...]:
    """In the order of submission, without what was refused."""
    submissions: dict[int, Event] = {}
    told: dict[int, Event] = {}
    over: dict[int, int] = {}
    running: dict[int, Event] = {}  # callbacks, by thread
    cancels = []
    for event in events:
        if event.what is What.SUBMISSION:
            submissions.update(dict.fromkeys(event.of, event))
        elif event.what in (What.CALLBACK, What.TAKEN, What.GIVEN):
            told.update(dict.fromkeys(event.of, event))
            if event.what is What.CALLBACK:
                running[event.tid] = event
        elif event.what is What.RETURNED and event.tid in running:
            over.update(dict.fromkeys(running.pop(event.tid).of, event.at))
        elif event.what is What.CANCEL and event.nbytes in (CANCELED, NOT_CANCELED):
            cancels.append(event)
    found = []
    for serial, request in requests.items():
        event, io = request.event, request.io
        call = submissions.get(serial)
        if call is not None and call.error and not io and serial not in told:
            continue
        teller = told.get(serial)
        by = threads.get(teller.tid) if teller and teller.what is What.CALLBACK else None
        owner = event.told or ("callback" if by else "queue" if teller else "")
        flight = Flight(
            serial,
            event.fd,
            f"{event.name} fd {event.fd}",
            (call.at, max(call.until, call.at)) if call else (event.at, event.at),
            0 if event.name.startswith("f") else -event.reqprio,  # aio_fsync zeroes aio_reqprio
            request.helper,
            io[0].begin if io else None,
            io[-1].end if io else None,
            None,
            owner,
            by.birth if by else None,
            teller.at if teller else None,
            over.get(serial),
        )
        if not io and teller is None:
            flight = flight._replace(cancelled=_cancelled(flight, cancels))
        found.append(flight)
    return tuple(sorted(found, key=lambda flight: flight.asked[0]))


def _cancelled(flight: Flight, cancels: Sequence[Event]) -> int | None:
    """When one of these calls took it out of its queue."""
    for event in cancels:
        if event.until < flight.asked[0]:
            continue
        if flight.serial in event.of and event.nbytes == CANCELED:
            return event.at
        if not event.of and event.fd == flight.fd:
            return event.at
    return None


def lives(threads: Mapping[int, Thread], flights: Sequence[Flight]) -> dict[int, Life]:
    """Of the helpers."""
    helping = {flight.helper for flight in flights}
    return {
        tid: Life(thread.birth, thread.death)
        for tid, thread in threads.items()
        if tid in helping and thread.birth is not None
    }
