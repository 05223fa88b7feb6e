"""The same script on the real glibc and on the model, burst by burst, side by side.

The real glibc takes its steps itself, so it is not given the `step` lines of the script. Where
several outcomes are right the model is shown with the one that glibc chose.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from aio_posix.study.console import hanging
from aio_posix.study.model import Glibc
from aio_posix.study.notation import Play
from aio_posix.study.parts import Request
from aio_posix.study.player import Players
from aio_posix.study.script import Call, Cancel, Script, Seen, Submit, Threads, Verdict, follow

SOCKETS = 6  # descriptors that the real glibc is given


class Burst(NamedTuple):
    """Calls without a pause between them, and what was seen when nothing moved any more."""

    line: int  # of the script: its last
    calls: list[str]
    glibc: Seen
    model: Seen | None  # None if glibc has left the model in a burst before
    ways: int  # outcomes that the model allows

    @property
    def agrees(self) -> bool:
        return self.glibc == self.model


class Comparison(NamedTuple):
    bursts: list[Burst]
    agrees: bool
    script: Script
    verdict: Verdict

    def text(self, width: int) -> str:
        lines = []
        for number, burst in enumerate(self.bursts, 1):
            ways = f", {burst.ways} outcomes allowed" if burst.ways > 1 else ""
            words = f"{'; '.join(burst.calls)}; until nothing moves{ways}"
            lines.append(hanging(f"burst {number}: ", words, width))
            lines.append(hanging("  glibc  ", _line(burst.glibc), width))
            if burst.model is not None:
                lines.append(hanging("  model  ", _line(burst.model), width))
        if self.agrees:
            return "\n".join([*lines, "the model allows all that glibc did"])
        from aio_posix.study.agree import explain  # it needs hypothesis

        return "\n".join([*lines, explain(self.script, self.verdict, self._seen)])

    @property
    def _seen(self) -> list[Seen]:
        return [burst.glibc for burst in self.bursts]

    def plain(self) -> dict[str, Any]:
        """For the page."""
        bursts = [
            {
                "line": burst.line,
                "calls": burst.calls,
                "glibc": _parts(burst.glibc),
                "model": _parts(burst.model) if burst.model else {},
                "ways": burst.ways,
            }
            for burst in self.bursts
        ]
        return {"bursts": bursts, "agrees": self.agrees}


def compare(play: Play) -> Comparison:
    """Raises ValueError for a script with too many descriptors."""
    script = play.script()
    fds = sorted({*script.files, *_fds(script)})
    if len(fds) > SOCKETS:
        raise ValueError(f"--check has {SOCKETS} descriptors, the script uses {len(fds)}")
    script = _renumbered(script, {fd: number for number, fd in enumerate(fds)})
    with Players() as players:
        seen = players.play(script)
    verdict = follow(script, seen)
    bursts, now = [], script.start(Glibc)
    for number, (lines, calls, sight) in enumerate(
        zip(play.bursts(), script.bursts, seen, strict=True)
    ):
        for call in calls:
            now = call.on(now)
        now = now.settle()
        model: Seen | None = sight
        if not verdict.agrees and number >= verdict.burst:
            model = Seen.of(now) if number == verdict.burst else None
        ways = verdict.ways[number] if number < len(verdict.ways) else 0
        words = [line.text for line in lines if line.call]
        bursts.append(Burst(lines[-1].number, words, sight, model, ways))
    return Comparison(bursts, verdict.agrees, script, verdict)


def _parts(sight: Seen) -> dict[str, str]:
    return {
        "done": " ".join(name for name, _, _ in sight.done) or "nothing",
        "in a helper": " ".join(sorted(sight.running)) or "nothing",
        "waits": " ".join(sorted(sight.unfinished - sight.running)) or "nothing",
        "helpers": f"{sight.threads}, {sight.idle} idle",
    }


def _line(sight: Seen) -> str:
    return "; ".join(f"{name}: {what}" for name, what in _parts(sight).items())


def _fds(script: Script) -> set[int]:
    found: set[int] = set()
    for burst in script.bursts:
        for call in burst:
            if isinstance(call, Submit):
                found |= {one.fd for one in call.batch}
            elif not isinstance(call, Threads):
                found.add(call.fd)
    return found


def _renumbered(script: Script, number: dict[int, int]) -> Script:
    """The same with descriptors 0, 1, 2 ..., as the driver of the real glibc has them."""

    def request(one: Request) -> Request:
        return replace(one, fd=number[one.fd])

    def anew(call: Call) -> Call:
        if isinstance(call, Submit):
            return Submit(tuple(map(request, call.batch)))
        if isinstance(call, Threads):
            return call
        if isinstance(call, Cancel):
            return Cancel(number[call.fd], request(call.request) if call.request else None)
        return replace(call, fd=number[call.fd])

    bursts = tuple(tuple(map(anew, burst)) for burst in script.bursts)
    return replace(script, files=frozenset(number[fd] for fd in script.files), bursts=bursts)
