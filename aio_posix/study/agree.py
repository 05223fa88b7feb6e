"""Checks with random scripts whether the model agrees with glibc:

    python -m aio_posix.study.agree [--scripts 2000] [--seed N]

Each script runs on real glibc first (real_glibc.py, one process for each size of the pool); then
`follow` asks whether the model allows what was seen, burst by burst: every return value, the order
of completion, each result, which requests are blocked in a helper, which are unfinished, how many
helpers there are and how many are idle. A script that disagrees is shrunk by hypothesis and shown
with both sides. The exit status is then 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from errno import EAGAIN, ECANCELED

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from aio_posix.study.model import Glibc
from aio_posix.study.parts import Op, Request
from aio_posix.study.picture import picture
from aio_posix.study.player import Players
from aio_posix.study.script import (
    Call,
    Cancel,
    Feed,
    Script,
    Seen,
    Shut,
    Submit,
    Threads,
    Verdict,
    follow,
)

POOLS = (1, 2, 3, 4)
LETTERS = "ABCDEF"


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Random scripts. They are crowded enough for pools to fill, for queues to form behind heads
    that no helper took, and for such heads to be cancelled.
    """
    aio_threads = draw(st.sampled_from(POOLS))
    crowded = draw(st.booleans())  # begin with a blocked read for each helper
    fds = draw(st.integers(aio_threads + 1 if crowded else 1, len(LETTERS)))
    fd = st.integers(0, fds - 1)
    # Few, so that equals meet, and 21 is refused
    reqprio = st.sampled_from([0, 0, 0, 1, 1, 5, 10, 20, 21])
    crowd = tuple(
        Request(f"{LETTERS[where]}{where}", where) for where in range(aio_threads * crowded)
    )
    asked = [*crowd]

    def submit() -> Submit:
        size = draw(st.sampled_from([1, 1, 1, 2, 3, 4]))
        ops = [Op.READ] * 6 + [Op.WRITE] * 3 + [Op.SYNC] * (size == 1)  # lists know no fsync
        batch = []
        for _ in range(size):
            where = draw(fd)
            name = f"{LETTERS[where]}{len(asked)}"
            asked.append(Request(name, where, draw(st.sampled_from(ops)), draw(reqprio)))
            batch.append(asked[-1])
        return Submit(tuple(batch))

    def call() -> Call:
        kind = draw(
            st.sampled_from(
                ["submit"] * 6 + ["one"] * 4 + ["feed"] * 3 + ["all", "shut", "threads"]
            )
        )
        if kind == "submit" or not asked:
            return submit()
        if kind == "one":
            request = draw(st.sampled_from(asked[len(crowd) :] or asked))
            return Cancel(draw(fd) if draw(st.integers(0, 9)) == 9 else request.fd, request)
        if kind == "threads":
            return Threads(draw(st.booleans()))
        by_fd: dict[str, type[Feed] | type[Cancel] | type[Shut]] = {
            "feed": Feed,
            "all": Cancel,
            "shut": Shut,
        }
        return by_fd[kind](draw(fd))

    idle, stays_idle = draw(st.integers(0, aio_threads)), draw(st.integers(0, 3)) > 0
    files = frozenset(n for n in range(len(crowd), fds) if draw(st.integers(0, 3)) == 3)
    sizes = [draw(st.sampled_from([1, 1, 1, 1, 2, 3])) for _ in range(draw(st.integers(1, 10)))]
    bursts = tuple(tuple(call() for _ in range(size)) for size in sizes)
    first: Call = Submit(crowd) if crowd else Threads(draw(st.integers(0, 5)) > 0)
    return Script(aio_threads, idle, stays_idle, files, ((first,), *bursts))


def compare(
    count: int, number: int, machine: type[Glibc] = Glibc, shrink: bool = True
) -> Counter[str]:
    """Runs `count` scripts and counts what they exercised. Raises AssertionError with the script if
    one disagrees.
    """
    met: Counter[str] = Counter()

    with Players() as players:

        @seed(number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            verbosity=Verbosity.quiet,
            phases=[Phase.generate] + [Phase.shrink] * shrink,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(scripts())
        def agrees(script: Script) -> None:
            seen = players.play(script)
            verdict = follow(script, seen, machine)
            met.update(tally(script, verdict, seen))
            assert verdict.agrees, explain(script, verdict, seen)

        agrees()
    return met


def tally(script: Script, verdict: Verdict, seen: list[Seen]) -> Counter[str]:
    """What a script exercised. A script that exercised nothing proves nothing."""
    calls = [call for burst in script.bursts for call in burst]
    cancelled = any(error == ECANCELED for _, error, _ in seen[-1].done)
    starved = any(
        len(sight.running) == script.aio_threads < len(sight.unfinished) for sight in seen
    )
    return Counter(
        {
            "scripts": 1,
            "calls": len(calls),
            "requests": sum(len(call.batch) for call in calls if isinstance(call, Submit)),
            "completions compared in order": len(seen[-1].done),
            "scripts in which the model allowed one outcome only": int(max(verdict.ways) == 1),
            "scripts with a full pool and more to do": int(starved),
            "scripts with a submission refused for lack of threads": int(
                -EAGAIN in seen[-1].answers
            ),
            "scripts with a cancelled request": int(cancelled),
            "scripts that met an orphaned queue": int(verdict.orphaned),
        }
    )


def explain(script: Script, verdict: Verdict, seen: list[Seen]) -> str:
    """The script, the moment before, what glibc did then, and what the model would have done."""
    lines = [
        f"{script.aio_threads} threads, {script.idle} idle, {script.stays_idle=}, {script.files=}"
    ]
    lines += [
        f"  {number}: {burst}" for number, burst in enumerate(script.bursts[: verdict.burst + 1])
    ]
    lines += [f"burst {verdict.burst} disagrees. Seen: {seen[verdict.burst]}"]
    for moment in verdict.moments:
        lines += ["the model before it:", picture(moment)]
        after = moment
        for call in script.bursts[verdict.burst]:
            after = call.on(after).settle()
        lines += [f"the model after it, one way: {Seen.of(after)}"]
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m aio_posix.study.agree", description="model against real glibc"
    )
    parser.add_argument("--scripts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(argv)
    began = time.monotonic()
    try:
        met = compare(options.scripts, options.seed)
    except AssertionError as disagreement:
        print(f"seed {options.seed}: {disagreement}", file=sys.stderr)
        return 1
    for what, count in met.items():
        print(f"{count:8,} {what}")
    print(f"glibc and the model agree; seed {options.seed}, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
