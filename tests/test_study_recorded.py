"""Random scripts on the real glibc, recorded with strace: a replay is a run that the model allows.

EXAMPLES=100 makes it long.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from test_study_replay import Applied, applied

from aio_posix.study.agree import scripts
from aio_posix.study.echoes.counting import may_trace
from aio_posix.study.model import Glibc
from aio_posix.study.observed import Flight
from aio_posix.study.player import as_json
from aio_posix.study.replay import replay
from aio_posix.study.script import Call, Feed, Script, Shut, Submit, reachable
from aio_posix.study.trace import Timeline, command

PROGRAM = Path(__file__).with_name("recorded_script.py")
EXAMPLES = int(os.environ.get("EXAMPLES", "8"))


def playable(script: Script) -> Script:
    """What the binding and a recording have: no cancelling, which the binding repairs, no limits of
    threads, no priority that is refused, and no list with such.
    """

    def fits(call: Call) -> bool:
        if isinstance(call, Submit):
            return all(one.aio_reqprio <= 20 for one in call.batch)
        return isinstance(call, Feed | Shut)

    bursts = (tuple(filter(fits, burst)) for burst in script.bursts)
    return replace(script, idle=0, stays_idle=True, bursts=tuple(one for one in bursts if one))


def recorded(script: Script, directory: Path) -> tuple[Timeline, list[int]]:
    text, quiet = directory / "script", directory / "quiet"
    text.write_text(as_json(script))
    arguments = [str(text), str(quiet), str(script.aio_threads)]
    status, line = command.run(command.Program(str(PROGRAM), arguments), directory)
    assert status == 0
    assert isinstance(line, Timeline)
    return line, [int(word) for word in quiet.read_text().split()]


def is_so(now: Glibc, seen: Applied, done: list[Flight], names: dict[int, str]) -> bool:
    """Whether a moment of the model is what the replay has, and has seen before."""
    place = {one.request.name: at for at, one in enumerate(now.done)}
    finished = {names[one.serial]: one for one in done}
    if place.keys() != finished.keys():
        return False
    for one, other in combinations(finished, 2):
        first, second = finished[one], finished[other]
        if (first.ended or 0) < (second.began or 0) and place[one] > place[other]:
            return False
        if (second.ended or 0) < (first.began or 0) and place[other] > place[one]:
            return False
    busy = sorted(one.request.name for one in now.helpers if one.request)
    return (
        sorted([one.name for one in queue] for queue in now.requests)
        == sorted([names[of] for of in queue] for queue in seen.queues.values())
        and [one.name for one in now.runlist] == [names[of] for of in seen.runlist]
        and busy == sorted(names[of] for of in seen.helpers.values() if of)
    )


@pytest.mark.skipif(not may_trace(), reason="needs strace, and to be allowed to trace")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(scripts().map(playable).filter(lambda script: len(script.bursts) > 1))
def test_what_was_recorded_is_a_run_that_the_model_allows(script: Script) -> None:
    with tempfile.TemporaryDirectory() as directory:
        line, quiet = recorded(script, Path(directory))
    found = replay(line.flights, line.lives, line.aio_threads, line.traced)
    assert [one.contradiction for one in found.moments if one.contradiction] == []
    asked = [one for burst in script.bursts for call in burst if isinstance(call, Submit)
             for one in call.batch]  # fmt: skip
    flights = sorted(line.flights, key=lambda flight: flight.serial)
    assert len(flights) == len(asked)
    names = {flight.serial: one.name for flight, one in zip(flights, asked, strict=True)}
    moments = {script.start(Glibc)}
    for burst, at in zip(script.bursts, quiet, strict=True):
        for call in burst:
            moments = {call.on(moment) for moment in reachable(moments)}
        seen = applied(found.moments, at)
        done = [flight for flight in flights if flight.ended is not None and flight.ended <= at]
        still = [moment for moment in reachable(moments) if not moment.moves()]
        moments = {moment for moment in still if is_so(moment, seen, done, names)}
        assert moments, (burst, seen, names, still[:3])
