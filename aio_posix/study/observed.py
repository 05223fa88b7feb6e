"""What was seen of requests and helpers from outside, and in which order it may have happened.

An event is an interval: a request entered its queue somewhere in the call that submitted it, a
helper took it somewhere between its work before and its first system call for it, and it was
finished somewhere between its last system call and the helper's next. `steps` puts them into one
order; `bounds` says how wide those of a helper are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

NEVER = 1 << 62


class Flight(NamedTuple):
    """A request as it was seen. Moments are in nanoseconds, None if nobody saw it."""

    serial: int
    fd: int
    name: str
    asked: tuple[int, int]  # the call that submitted it
    priority: int = 0  # higher is sooner
    helper: int = 0  # who did it
    began: int | None = None  # its first system call
    ended: int | None = None  # its last one returned
    cancelled: int | None = None
    owner: str = ""  # who is notified: callback, queue, signal
    notified: int | None = None  # a thread for that was started
    told: int | None = None  # the callback began, or it was taken out of its queue
    over: int | None = None  # the callback returned


class Life(NamedTuple):
    """From when until when a helper thread lived. None if it did not end."""

    birth: int
    death: int | None = None


class Bounds(NamedTuple):
    """Of a request: since when its helper may have taken it, until when it was surely finished."""

    taken: int
    finished: int


def together(one: Flight, other: Flight) -> bool:
    """Whether their system calls overlap."""
    if one.began is None or other.began is None:
        return False
    ends = [NEVER if flight.ended is None else flight.ended for flight in (one, other)]
    return one.began < ends[1] and other.began < ends[0]


SUBMIT, START, FINISH, TAKE, CANCEL, TELL, LEAVE = range(7)  # at the same nanosecond, in this order


class Step(NamedTuple):
    at: int
    rank: int
    number: int  # of requests in the order of submission
    flight: Flight | None
    helper: int = 0
    state: str = ""


def bounds(
    flights: list[Flight], lives: Mapping[int, Life], work: Mapping[int, list[Flight]]
) -> dict[int, Bounds]:
    """A system call ends before its request is finished, and begins after its request was taken."""
    found = {flight.serial: Bounds(NEVER, NEVER) for flight in flights}
    for helper, own in work.items():
        before = lives[helper].birth if helper in lives else 0
        last = lives[helper].death if helper in lives else None
        for flight, then in zip(own, [*own[1:], None], strict=True):
            after = last if then is None else then.began
            found[flight.serial] = Bounds(before, NEVER if after is None else after)
            before = NEVER if flight.ended is None else flight.ended
    return found


def steps(
    flights: list[Flight],
    lives: Mapping[int, Life],
    births: Mapping[int, int],
    helping: set[int],
    traced: bool,
) -> Iterable[Step]:
    last: dict[tuple[int, int], int] = {}  # of a list, whose entries follow each other
    for number, flight in enumerate(flights):
        born = births.get(flight.serial)
        at = flight.asked[0] if born is None else lives[born].birth
        last[flight.asked] = at = max(at, last.get(flight.asked, at))
        yield Step(at, SUBMIT, number, flight)
        ended = flight.ended if traced else flight.told
        if flight.began is not None and traced:
            yield Step(max(at, flight.began), TAKE, number, flight)
        if ended is not None:
            ended = max(ended, at)
            yield Step(ended, FINISH, number, flight)
        if flight.cancelled is not None and ended is None:
            yield Step(max(at, flight.cancelled), CANCEL, number, flight)
        if flight.owner and ended is not None:
            if flight.notified is not None:
                yield Step(max(ended, flight.notified), TELL, number, flight, 0, "a thread starts")
            if flight.told is not None and flight.owner == "callback":
                yield Step(max(ended, flight.told), TELL, number, flight, 1, "in its callback")
            done = flight.over if flight.owner == "callback" else flight.told
            if done is not None:
                yield Step(max(ended, done), TELL, number, flight, 2)
    for helper, life in lives.items():
        if helper in helping:
            yield Step(life.birth, START, -1, None, helper)
            if life.death is not None:
                yield Step(life.death, LEAVE, -1, None, helper)
