"""The replay gets from what was seen to the moments of the model, and says where it contradicts
them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from errno import ECANCELED

from hypothesis import given, settings
from hypothesis import strategies as st

from aio_posix.study.agree import scripts
from aio_posix.study.model import Glibc
from aio_posix.study.observed import Flight, Life
from aio_posix.study.parts import Request
from aio_posix.study.replay import Change, Moment, Replay, replay
from aio_posix.study.script import Script, Submit


@dataclass
class Applied:
    """What a reader of the changes knows, as the page does."""

    queues: dict[int, list[int]] = field(default_factory=dict)
    runlist: list[int] = field(default_factory=list)
    helpers: dict[int, int] = field(default_factory=dict)
    owed: dict[int, str] = field(default_factory=dict)

    def apply(self, change: Change) -> None:
        match change.what:
            case "queue":
                self.queues.setdefault(change.key, []).insert(change.at, change.of)
            case "no queue":
                self.queues[change.key].remove(change.of)
                if not self.queues[change.key]:
                    del self.queues[change.key]
            case "runlist":
                self.runlist.insert(change.at, change.of)
            case "no runlist":
                self.runlist.remove(change.of)
            case "helper":
                self.helpers[change.key] = change.of
            case "no helper":
                del self.helpers[change.key]
            case "owed":
                self.owed[change.of] = change.state
            case "no owed":
                del self.owed[change.of]


def applied(moments: Iterable[Moment], until: int) -> Applied:
    now = Applied()
    for moment in moments:
        if moment.at <= until:
            for change in moment.changes:
                now.apply(change)
    return now


@dataclass
class Run:
    """A run of the model with one of the ways that helpers may take, and what is seen of it."""

    script: Script
    luck: random.Random
    at: int = 0
    seen: dict[str, Flight] = field(default_factory=dict)
    lives: dict[int, Life] = field(default_factory=dict)
    moments: list[tuple[int, Glibc]] = field(default_factory=list)

    def play(self) -> None:
        now = self.script.start(Glibc)
        self.lives = {helper.number: Life(-1) for helper in now.helpers}
        for burst in self.script.bursts:
            for call in burst:
                now = self.step(now, call.on(now), call.batch if isinstance(call, Submit) else ())
                for _ in range(self.luck.randrange(4)):
                    now = self.move(now)
            while now.moves():
                now = self.move(now)

    def move(self, now: Glibc) -> Glibc:
        moves = now.moves()
        return self.step(now, self.luck.choice(moves)) if moves else now

    def step(self, before: Glibc, now: Glibc, batch: tuple[Request, ...] = ()) -> Glibc:
        self.at += 1
        for one in batch:
            if one in now.queue(one.fd):  # it was not refused
                serial, asked = len(self.seen) + 1, (self.at, self.at)
                self.seen[one.name] = Flight(serial, one.fd, one.name, asked, one.priority)
        for one in now.done[len(before.done) :]:
            if one.error == ECANCELED:
                self.note(one.request.name, cancelled=self.at)
            elif one.request.name in self.seen:
                self.note(one.request.name, ended=self.at)
        was = {helper.number: helper.request for helper in before.helpers}
        for helper in now.helpers:
            if helper.number not in was:
                self.lives[helper.number] = Life(self.at)
            if helper.request is not None and was.get(helper.number) != helper.request:
                self.note(helper.request.name, helper=helper.number, began=self.at)
        for number in set(was) - {helper.number for helper in now.helpers}:
            self.lives[number] = self.lives[number]._replace(death=self.at)
        self.moments.append((self.at, now))
        return now

    def note(self, name: str, **more: int) -> None:
        self.seen[name] = self.seen[name]._replace(**more)

    def replayed(self) -> Replay:
        flights = sorted(self.seen.values(), key=lambda flight: flight.serial)
        return replay(flights, self.lives, self.script.aio_threads)


@settings(max_examples=300, deadline=None)
@given(scripts(), st.integers(0, 10**6))
def test_the_moments_of_a_replay_are_those_of_the_model(script: Script, luck: int) -> None:
    run = Run(script, random.Random(luck))
    run.play()
    found = run.replayed()
    assert [moment.contradiction for moment in found.moments if moment.contradiction] == []
    serial = {name: flight.serial for name, flight in run.seen.items()}
    worked = {flight.helper for flight in run.seen.values() if flight.began is not None}
    shown, moments = Applied(), iter([*found.moments, None])
    moment = next(moments)
    for at, now in run.moments:
        while moment is not None and moment.at <= at:
            for change in moment.changes:
                shown.apply(change)
            moment = next(moments)
        assert shown.queues == {
            queue[0].fd: [serial[one.name] for one in queue] for queue in now.requests
        }
        assert shown.runlist == [serial[one.name] for one in now.runlist]
        assert shown.helpers == {
            helper.number: serial[helper.request.name] if helper.request else 0
            for helper in now.helpers
            if helper.number in worked
        }


# What contradicts the model, and what only looks like it.


def flight(
    serial: int, fd: int, asked: int | tuple[int, int], began: int, ended: int, **more: int
) -> Flight:
    span = (asked, asked + 1) if isinstance(asked, int) else asked
    helper = more.pop("helper", 1)
    return Flight(serial, fd, f"r{serial}", span, began=began, ended=ended, helper=helper, **more)


def wrong(*flights: Flight, most: int | None = None, **lives: int) -> list[str]:
    helping = {one.helper for one in flights}
    alive = {helper: Life(lives.get(f"h{helper}", 0)) for helper in helping}
    found = replay(flights, alive, most).moments
    return [moment.contradiction for moment in found if moment.contradiction]


def test_requests_of_one_descriptor_that_run_together_contradict_the_model() -> None:
    assert wrong(flight(1, 5, 10, 20, 60), flight(2, 5, 12, 40, 70, helper=2)) == [
        "r2 runs while r1 of the same descriptor does"
    ]
    assert wrong(flight(1, 5, 10, 20, 40), flight(2, 5, 12, 40, 70, helper=2)) == []


def test_a_request_that_overtakes_the_head_of_its_queue_contradicts_the_model() -> None:
    assert wrong(flight(1, 5, 10, 60, 70), flight(2, 5, 20, 30, 40)) == [
        "r2 overtakes r1, the head of its queue"
    ]


def test_of_submissions_that_overlap_either_may_have_been_first() -> None:
    assert wrong(flight(1, 5, (10, 25), 60, 70), flight(2, 5, (20, 24), 30, 40)) == []


def test_the_runlist_is_served_in_its_order() -> None:
    held = flight(1, 5, 10, 20, 100)
    assert wrong(held, flight(2, 6, 30, 200, 210), flight(3, 7, 40, 101, 110), most=1) == [
        "r3 is taken before r2, which was first"
    ]
    assert wrong(held, flight(2, 6, 30, 101, 110), flight(3, 7, 40, 111, 120), most=1) == []
    urgent = flight(3, 7, 40, 101, 110, priority=1)
    assert wrong(held, flight(2, 6, 30, 200, 210), urgent, most=1) == []


def test_a_helper_that_was_free_before_may_have_looked_first() -> None:
    helpers = flight(1, 5, 10, 20, 100), flight(2, 6, 12, 20, 99, helper=2)
    waiting = flight(3, 7, 30, 140, 150, helper=2), flight(4, 8, 40, 101, 110)
    assert wrong(*helpers, *waiting, most=2) == []


def test_more_helpers_than_the_pool_may_have_contradict_the_model() -> None:
    assert wrong(flight(1, 5, 10, 20, 60), flight(2, 6, 30, 40, 70, helper=2), most=1, h2=30) == [
        "2 helpers, and the pool may have 1"
    ]


def test_what_nobody_saw_stays_in_its_queue_until_the_program_was_told() -> None:
    one = Flight(1, 5, "r1", (10, 11), owner="callback", told=50, over=60)
    moments = replay([one], {}, traced=False).moments
    assert applied(moments, 49).queues == {5: [1]}
    assert applied(moments, 50) == Applied(owed={1: "in its callback"})
    assert applied(moments, 60) == Applied()


def test_ten_thousand_that_wait_for_one_descriptor_are_replayed_in_a_moment() -> None:
    many = [flight(n, 5, n, 20_000 + 2 * n, 20_001 + 2 * n) for n in range(1, 10_001)]
    found = replay(many, {1: Life(1)}, 20)
    assert (len(found.moments), found.queues, found.runlist) == (20_000, {}, [])
    assert not any(moment.contradiction for moment in found.moments)
