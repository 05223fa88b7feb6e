"""What glibc held at every moment, worked out by the rules of the model from what was seen of
requests.

Seen from outside, an event is an interval. A request entered its queue somewhere in the call that
submitted it. A helper took it somewhere between its work before and its first system call for it.
Only disjoint intervals have an order, so only they can contradict the model. Where two overlap the
replay takes the order that fits. Where none fits it says so, and goes on with what was seen.

- `queues`: by descriptor number, the head first. `runlist`: heads that no helper has taken.
- A helper that finishes looks into the runlist in the same critical section, so what it was next
  seen to do is taken at that moment, if it was there.
- `owed`: results whose notification the program has not been given yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from aio_posix.study.observed import (
    CANCEL,
    NEVER,
    START,
    SUBMIT,
    TAKE,
    TELL,
    Bounds,
    Flight,
    Life,
    bounds,
    steps,
    together,
)


class Change(NamedTuple):
    what: str  # queue, runlist, helper, owed, or "no " and one of them
    key: int  # descriptor, thread, or request
    of: int = 0  # a request, or 0 for none
    at: int = 0  # place in the list
    state: str = ""


class Moment(NamedTuple):
    at: int
    words: str
    of: int  # the request it is about, or 0
    changes: tuple[Change, ...]
    contradiction: str = ""


class Replay:
    """Moment after moment in `moments`; the attributes hold what there is after the last."""

    def __init__(
        self, aio_threads: int | None, bounds: Mapping[int, Bounds], works_until: Mapping[int, int]
    ) -> None:
        self.aio_threads = aio_threads
        self._bounds = bounds
        self._works_until = works_until  # by helper
        self.queues: dict[int, list[Flight]] = {}
        self.runlist: list[Flight] = []
        self.helpers: dict[int, Flight | None] = {}
        self.owed: dict[int, str] = {}
        self.moments: list[Moment] = []
        self._changes: list[Change] = []
        self.heads: dict[int, int] = {}  # when a request became the head of its queue
        self._surely: dict[int, int] = {}  # since when it was the head beyond doubt
        self._left: dict[int, int] = {}  # until when the last of a descriptor may have been there
        self._names: dict[int, int] = {}
        self._wrong = ""

    # The steps, each a moment.

    def submit(self, at: int, flight: Flight, starts: int = 0) -> None:
        """starts: the helper that is made for it."""
        queue = self.queues.setdefault(flight.fd, [])
        place = _place(queue, flight.priority, behind=1)  # nothing overtakes the head
        queue.insert(place, flight)
        self._changes.append(Change("queue", flight.fd, flight.serial, place))
        if place == 0 and starts:
            self.heads[flight.serial] = self._surely[flight.serial] = at
            self._begin(at, starts, flight)
            self._say(at, f"{flight.name} starts {self._name(starts)}", flight)
        else:
            if place == 0:
                self._to_runlist(at, flight)
            self._say(at, f"{flight.name} is submitted", flight)

    def start(self, at: int, helper: int) -> None:
        if helper not in self.helpers:
            self._begin(at, helper, None)
            self._say(at, f"{self._name(helper)} starts", None)

    def take(self, at: int, helper: int, flight: Flight) -> None:
        if self.helpers.get(helper) is flight or flight not in self.queues.get(flight.fd, ()):
            return
        self._take(at, helper, flight)
        self._say(at, f"{self._name(helper)} takes {flight.name}", flight)

    def finish(self, at: int, helper: int, flight: Flight, then: Flight | None) -> None:
        """then: what this helper was seen to do next."""
        self.take(at, helper, flight)
        self._leave(at, flight)
        self.helpers[helper] = None
        if flight.owner:
            self._owe(flight, "its notification is to come")
        words = f"{self._name(helper)} completes {flight.name}"
        if then is not None and then in self.runlist:
            self._take(at, helper, then)
            words += f", takes {then.name}"
        else:
            self._changes.append(Change("helper", helper, 0, state="idle"))
        self._say(at, words, flight)

    def cancel(self, at: int, flight: Flight) -> None:
        """The next of the queue becomes the head. glibc does not put it into the runlist."""
        queue = self.queues.get(flight.fd, [])
        if flight in queue:
            queue.remove(flight)
            self._changes.append(Change("no queue", flight.fd, flight.serial))
            self._out_of_runlist(flight)
            if not queue:
                del self.queues[flight.fd]
            self._say(at, f"{flight.name} is cancelled", flight)

    def vanish(self, at: int, flight: Flight) -> None:
        """The request is done, and which helper did it was not seen."""
        self._leave(at, flight)
        if flight.owner:
            self._owe(flight, "its notification is to come")
        self._say(at, f"{flight.name} is complete", flight)

    def leave(self, at: int, helper: int) -> None:
        if helper in self.helpers and self.helpers[helper] is None:
            del self.helpers[helper]
            self._changes.append(Change("no helper", helper))
            self._say(at, f"{self._name(helper)} leaves", None)

    def tell(self, at: int, flight: Flight, state: str) -> None:
        """state: how far its notification is, or "" when the program has it."""
        if state:
            self._owe(flight, state)
        elif self.owed.pop(flight.serial, None) is not None:
            self._changes.append(Change("no owed", flight.serial, flight.serial))
        self._say(at, f"{flight.name}: {state or 'the program is done with it'}", flight)

    # What they are made of.

    def _begin(self, at: int, helper: int, flight: Flight | None) -> None:
        self.helpers[helper] = flight
        of = flight.serial if flight else 0
        self._changes.append(Change("helper", helper, of, state="starts"))
        # one whose work is over has perhaps left the pool, though its thread is still there
        sure = sum(self._works_until.get(one, NEVER) > at for one in self.helpers)
        if self.aio_threads is not None and sure > self.aio_threads:
            self._contradict(f"{sure} helpers, and the pool may have {self.aio_threads}")

    def _take(self, at: int, helper: int, flight: Flight) -> None:
        queue = self.queues.get(flight.fd, [])
        if queue and queue[0] is not flight:
            self._to_the_front(flight, queue)
        if flight in self.runlist:
            self._check_first(flight)
        self._out_of_runlist(flight)
        self.helpers[helper] = flight
        self._changes.append(Change("helper", helper, flight.serial, state="in"))

    def _to_the_front(self, flight: Flight, queue: list[Flight]) -> None:
        """The request runs, and is therefore the head, whatever was taken for that. Of two whose
        submissions or ends overlap either may have been first.
        """
        head = queue[0]
        if together(head, flight):
            self._contradict(f"{flight.name} runs while {head.name} of the same descriptor does")
        elif head.asked[1] < flight.asked[0] and (
            flight.priority <= head.priority
            or self._surely.get(head.serial, NEVER) < flight.asked[0]
        ):
            self._contradict(f"{flight.name} overtakes {head.name}, the head of its queue")
        queue.remove(flight)
        queue.insert(0, flight)
        self._changes += [
            Change("no queue", flight.fd, flight.serial),
            Change("queue", flight.fd, flight.serial, 0),
        ]
        self._out_of_runlist(head)
        if self.helpers.get(head.helper) is head and not together(head, flight):
            self.helpers[head.helper] = None
            self._changes.append(Change("helper", head.helper, 0, state="idle"))

    def _check_first(self, flight: Flight) -> None:
        """Whether one before it was surely there when this helper looked, and surely not taken."""
        looked = self._bounds[flight.serial].taken
        for other in self.runlist[: self.runlist.index(flight)]:
            there = self._surely[other.serial]
            first = other.priority > flight.priority or there < self.heads[flight.serial]
            left = self._bounds[other.serial].taken > (flight.began or 0)
            if first and there < looked and left and self._is_next(other):
                self._contradict(f"{flight.name} is taken before {other.name}, which was first")

    def _is_next(self, head: Flight) -> bool:
        """Whether none of its queue was seen to run before it, which would then be the head."""
        began = NEVER if head.began is None else head.began
        return not any(one.began and one.began < began for one in self.queues[head.fd])

    def _leave(self, at: int, flight: Flight) -> None:
        queue = self.queues.get(flight.fd, [])
        if flight not in queue:
            return
        queue.remove(flight)
        self._left[flight.fd] = self._bounds[flight.serial].finished
        self._changes.append(Change("no queue", flight.fd, flight.serial))
        self._out_of_runlist(flight)
        if not queue:
            del self.queues[flight.fd]
        elif queue[0] not in self.runlist and queue[0] not in self.helpers.values():
            self._to_runlist(at, queue[0])

    def _to_runlist(self, at: int, flight: Flight) -> None:
        place = _place(self.runlist, flight.priority)
        self.runlist.insert(place, flight)
        # the one before it may have been in its queue for longer than its last system call
        surely = max(self._left.get(flight.fd, 0), flight.asked[1])
        self.heads[flight.serial], self._surely[flight.serial] = at, surely
        self._changes.append(Change("runlist", flight.serial, flight.serial, place))

    def _out_of_runlist(self, flight: Flight) -> None:
        if flight in self.runlist:
            self.runlist.remove(flight)
            self._changes.append(Change("no runlist", flight.serial, flight.serial))

    def _owe(self, flight: Flight, state: str) -> None:
        self.owed[flight.serial] = state
        self._changes.append(Change("owed", flight.serial, flight.serial, state=state))

    def _name(self, helper: int) -> str:
        return f"helper {self._names.setdefault(helper, len(self._names) + 1)}"

    def _contradict(self, words: str) -> None:
        self._wrong = self._wrong or words

    def _say(self, at: int, words: str, flight: Flight | None) -> None:
        of = flight.serial if flight else 0
        self.moments.append(Moment(at, words, of, tuple(self._changes), self._wrong))
        self._changes, self._wrong = [], ""


def _place(waiting: list[Flight], priority: int, behind: int = 0) -> int:
    """The place of a request: behind all that are at least as urgent, and behind the first
    `behind`.
    """
    place = len(waiting)
    while place > behind and waiting[place - 1].priority < priority:
        place -= 1
    return place


def replay(
    flights: Iterable[Flight],
    lives: Mapping[int, Life],
    aio_threads: int | None = None,
    traced: bool = True,
) -> Replay:
    """traced: the helpers were seen. Otherwise nobody knows what has been taken, and by whom."""
    flights = list(flights)
    work: dict[int, list[Flight]] = defaultdict(list)
    for one in sorted(flights, key=lambda one: one.began or 0):
        if one.began is not None:
            work[one.helper].append(one)
    births = {
        own[0].serial: helper
        for helper, own in work.items()
        if helper in lives and own[0].asked[0] <= lives[helper].birth <= own[0].asked[1]
    }
    then = {one.serial: other for own in work.values() for one, other in pairwise(own)}
    until = {
        helper: NEVER if own[-1].ended is None else own[-1].ended for helper, own in work.items()
    }
    found = Replay(aio_threads, bounds(flights, lives, work), until)
    for step in sorted(steps(flights, lives, births, set(work), traced)):
        flight, at = step.flight, step.at
        if flight is None:
            (found.start if step.rank == START else found.leave)(at, step.helper)
        elif step.rank == SUBMIT:
            found.submit(at, flight, births.get(flight.serial, 0))
        elif step.rank == TAKE:
            found.take(at, flight.helper, flight)
        elif step.rank == CANCEL:
            found.cancel(at, flight)
        elif step.rank == TELL:
            found.tell(at, flight, step.state)
        elif flight.helper:
            found.finish(at, flight.helper, flight, then.get(flight.serial))
        else:
            found.vanish(at, flight)
    return found
