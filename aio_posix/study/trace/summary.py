"""Where the time of requests went, phase by phase, and what would help."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aio_posix.study.observed import Flight
from aio_posix.study.replay import Replay
from aio_posix.study.trace.scale import duration

LANE, HELPER, IO, NOTIFICATION, LOOK, CALLBACK = (
    "behind its own descriptor",
    "waiting for a helper",
    "I/O",
    "notification",
    "until the program looked",
    "callback",
)
PHASES = (LANE, HELPER, IO, NOTIFICATION, LOOK, CALLBACK)
WORTH = 0.25  # of all the time, below which a share is not worth advice
# nanoseconds; giving work to a helper takes some 50 microseconds, which is not counted as waiting
BRIEF = 100_000


class Phase(NamedTuple):
    name: str
    requests: int
    total: int  # nanoseconds
    median: int
    p99: int


class Starved(NamedTuple):
    """All helpers are busy, and a request that could run waits for one."""

    begin: int
    end: int
    waiting: int  # at most, at one moment
    helpers: int
    ended_by: str  # "" if it lasted to the end


def spent(flight: Flight, heads: Mapping[int, int]) -> dict[str, int]:
    """Nanoseconds in each phase that was seen from its begin to its end."""
    head = heads.get(flight.serial, flight.asked[0])
    edges = {
        LANE: (flight.asked[0], head),
        HELPER: (head, flight.began),
        IO: (flight.began, flight.ended),
        NOTIFICATION if flight.owner == "callback" else LOOK: (flight.ended, flight.told),
        CALLBACK: (flight.told, flight.over),
    }
    return {
        name: max(0, end - begin)
        for name, (begin, end) in edges.items()
        if begin is not None and end is not None
    }


def phases(flights: Iterable[Flight], heads: Mapping[int, int]) -> list[Phase]:
    times: dict[str, list[int]] = {name: [] for name in PHASES}
    for flight in flights:
        for name, time in spent(flight, heads).items():
            times[name].append(time)
    return [
        Phase(name, len(all_), sum(all_), round(statistics.median(all_)), percentile(all_, 99))
        for name, all_ in times.items()
        if all_
    ]


def percentile(values: Sequence[int], percent: int) -> int:
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def starved(found: Replay, end: int) -> list[Starved]:
    """When requests waited because the pool was full. Applies the moments once more."""
    helpers: dict[int, int] = {}
    runlist: set[int] = set()
    spans: list[Starved] = []
    since, most = None, 0
    for moment in found.moments:
        for change in moment.changes:
            if change.what == "helper":
                helpers[change.key] = change.of
            elif change.what == "no helper":
                helpers.pop(change.key, None)
            elif change.what == "runlist":
                runlist.add(change.of)
            elif change.what == "no runlist":
                runlist.discard(change.of)
        busy = sum(of != 0 for of in helpers.values())
        full = bool(runlist) and found.aio_threads is not None and busy >= found.aio_threads
        if full:
            since = moment.at if since is None else since
            most = max(most, len(runlist))
        elif since is not None:
            spans.append(Starved(since, moment.at, most, len(helpers), moment.words))
            since, most = None, 0
    if since is not None:
        spans.append(Starved(since, end, most, len(helpers), ""))
    return [one for one in spans if one.end - one.begin >= BRIEF]


def advice(found: Sequence[Phase], spans: Sequence[Starved]) -> list[str]:
    """What would help, if one phase takes a large share of the time."""
    total = sum(phase.total for phase in found)
    by_name = {phase.name: phase for phase in found}
    lines: list[str] = []
    if not total:
        return lines

    def share(name: str, worth: float = WORTH) -> str:
        phase = by_name.get(name)
        if phase is None or phase.total < worth * total or phase.p99 < BRIEF:
            return ""
        return f"{duration(phase.total)} of {duration(total)} {name}"

    if spans and (words := share(HELPER, worth=0)):
        wanted = max(one.helpers + one.waiting for one in spans)
        lines.append(f"{words}: aio_init(aio_threads={wanted}) before the first request")
    if words := share(LANE):
        lines.append(f"{words}: os.dup() gives a descriptor with a queue of its own")
    if words := share(NOTIFICATION):
        lines.append(f"{words}: a CompletionQueue needs neither a thread of Python nor its turn")
    if words := share(CALLBACK):
        lines.append(f"{words}: one callback runs at a time, so long work is for other threads")
    return lines
