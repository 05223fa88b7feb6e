"""Scripts of AIO calls as data, what real glibc was seen to do with one, and whether the model
allows it.

A script is a list of bursts. Within a burst calls follow each other without a pause, so helpers and
caller race. After it both sides wait until nothing moves, and what can be seen is compared. Where
several helpers are free, several outcomes are right: `follow` keeps every moment of the model that
fits what was seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aio_posix.study.model import Glibc
from aio_posix.study.parts import Request


@dataclass(frozen=True)
class Submit:
    batch: tuple[Request, ...]

    def on(self, now: Glibc) -> Glibc:
        return now.submit(*self.batch)


@dataclass(frozen=True)
class Cancel:
    fd: int
    request: Request | None = None

    def on(self, now: Glibc) -> Glibc:
        return now.cancel(self.fd, self.request)


@dataclass(frozen=True)
class Feed:
    fd: int

    def on(self, now: Glibc) -> Glibc:
        return now.feed(self.fd)


@dataclass(frozen=True)
class Shut:
    fd: int

    def on(self, now: Glibc) -> Glibc:
        return now.shut(self.fd)


@dataclass(frozen=True)
class Threads:
    allowed: bool  # whether the process may create threads (RLIMIT_NPROC)

    def on(self, now: Glibc) -> Glibc:
        return now.threads_allowed(self.allowed)


Call = Submit | Cancel | Feed | Shut | Threads


@dataclass(frozen=True)
class Script:
    aio_threads: int
    idle: int = 0  # helpers that wait when the script begins
    stays_idle: bool = True
    files: frozenset[int] = frozenset()
    bursts: tuple[tuple[Call, ...], ...] = ()

    def start(self, machine: type[Glibc]) -> Glibc:
        pool = machine(self.aio_threads, stays_idle=self.stays_idle, files=self.files)
        return pool.with_idle(self.idle)


@dataclass(frozen=True)
class Seen:
    """What shows from outside once nothing moves."""

    answers: tuple[int, ...]
    # (name, aio_error, aio_return) in the order of completion
    done: tuple[tuple[str, int, int], ...]
    running: frozenset[str]  # requests that a helper is blocked in
    unfinished: frozenset[str]  # requests in progress, running or not
    idle: int  # helpers that wait for work
    threads: int

    @classmethod
    def of(cls, now: Glibc) -> Seen:
        return cls(
            answers=now.answers,
            done=tuple((done.request.name, done.error, done.value) for done in now.done),
            running=frozenset(helper.request.name for helper in now.helpers if helper.request),
            unfinished=frozenset(request.name for queue in now.requests for request in queue),
            idle=now.idle,
            threads=len(now.helpers),
        )


@dataclass
class Verdict:
    agrees: bool
    # For each burst how many different quiet moments the model allowed, before looking
    ways: list[int] = field(default_factory=list)
    # Those that fit all that was seen, or did before the last burst
    moments: list[Glibc] = field(default_factory=list)
    burst: int = 0  # the first that does not fit
    orphaned: bool = False  # a queue was, in every moment that fits


def follow(script: Script, seen: Iterable[Seen], machine: type[Glibc] = Glibc) -> Verdict:
    """Run the model beside what was seen, burst by burst."""
    verdict = Verdict(agrees=True, moments=[script.start(machine)])
    for verdict.burst, (burst, sight) in enumerate(zip(script.bursts, seen, strict=True)):
        moments = set(verdict.moments)
        for call in burst:
            moments = {call.on(moment) for moment in reachable(moments)}
        quiet = {moment for moment in reachable(moments) if not moment.moves()}
        verdict.ways.append(len({Seen.of(moment) for moment in quiet}))
        fitting = [moment for moment in quiet if Seen.of(moment) == sight]
        if not fitting:
            verdict.agrees = False
            return verdict
        verdict.moments = fitting
        verdict.orphaned |= all(moment.orphans for moment in fitting)
    return verdict


def reachable(moments: Iterable[Glibc]) -> set[Glibc]:
    """These moments and all that the helpers can make of them."""
    found, open_ends = set(moments), list(moments)
    while open_ends:
        for then in open_ends.pop().moves():
            if then not in found:
                found.add(then)
                open_ends.append(then)
    return found
