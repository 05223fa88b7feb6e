"""Scripts for the model as people write them, one call a line.

    threads 2           at most so many helpers; on a line of its own before all calls
    files 8 9           descriptors whose reads never wait: files
    read A 5            aio_read of descriptor 5, called A from then on
    write B 5 prio 3    aio_write with aio_reqprio 3; fsync likewise
    read C 6, read D 7  lio_listio: both in one call
    cancel A            aio_cancel of one request; `cancel 5` of a descriptor
    feed 5              the peer of descriptor 5 sends one byte; `shut 5` ends what it sends
    clone no            from now on pthread_create fails; `clone yes`: it works again
    step 2              one helper takes its next step: the second of those that may
    settle              the helpers go on until nothing moves

Blank lines and what follows # are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from aio_posix.study.console import typed_number
from aio_posix.study.model import Glibc
from aio_posix.study.parts import Op, Request
from aio_posix.study.script import Call, Cancel, Feed, Script, Shut, Submit, Threads

OPS = {op.value: op for op in Op}
MOST_LINES = 500
MOST_REQUESTS = 1000
MOST_THREADS = 64
MOST_FD = 999
SHOWN = 40  # characters of a word that is no number


class Wrong(ValueError):
    """A line that cannot be understood, or cannot be done."""

    def __init__(self, line: int, words: str) -> None:
        super().__init__(f"line {line}: {words}")
        self.line = line


class Line(NamedTuple):
    number: int
    text: str
    call: Call | None  # None for step or settle
    step: int = 0  # which of the moves, or 0 for settle


class Play(NamedTuple):
    start: Glibc
    lines: list[Line]

    def moments(self) -> Iterator[tuple[Line | None, Glibc]]:
        """Each with the line that led to it. Raises Wrong for a step that nobody can take."""
        now = self.start
        yield None, now
        for line in self.lines:
            if line.call is not None:
                try:
                    now = line.call.on(now)
                except ValueError as error:
                    raise Wrong(line.number, str(error)) from None
                yield line, now
            elif line.step:
                moves = now.moves()
                if line.step > len(moves):
                    raise Wrong(
                        line.number, f"there is no step {line.step}: {len(moves)} are possible"
                    )
                now = moves[line.step - 1]
                yield line, now
            else:
                for then in now.steps():
                    yield line, then
                now = now.settle()

    def script(self) -> Script:
        """For the real glibc, which takes its steps itself: `settle` ends a burst."""
        calls = (tuple(line.call for line in burst if line.call) for burst in self.bursts())
        return Script(self.start.aio_threads, files=self.start.files, bursts=tuple(calls))

    def bursts(self) -> list[list[Line]]:
        """The lines of each, with a call at least."""
        bursts: list[list[Line]] = [[]]
        for line in self.lines:
            bursts[-1].append(line)
            if line.call is None and not line.step:
                bursts.append([])
        return [burst for burst in bursts if any(line.call for line in burst)]


def parse(text: str) -> Play:
    """Raises Wrong."""
    start = Glibc()
    lines: list[Line] = []
    known: dict[str, Request] = {}
    for number, whole in enumerate(text.splitlines(), 1):
        words = whole.partition("#")[0].strip()
        if not words:
            continue
        if number > MOST_LINES:
            raise Wrong(number, f"a script has at most {MOST_LINES} lines")
        verb, *rest = words.split()
        if verb in ("threads", "files"):
            if lines:
                raise Wrong(number, f"`{verb}` comes before all calls")
            start = _setting(number, start, verb, rest)
        elif verb == "settle" and not rest:
            lines.append(Line(number, words, None))
        elif verb == "step" and len(rest) <= 1:
            lines.append(Line(number, words, None, _number(number, rest[0], 99, 1) if rest else 1))
        else:
            lines.append(Line(number, words, _call(number, words, known)))
    return Play(start, lines)


def _setting(line: int, start: Glibc, verb: str, rest: list[str]) -> Glibc:
    if verb == "threads" and len(rest) == 1:
        return replace(start, aio_threads=_number(line, rest[0], MOST_THREADS, 1))
    if verb == "files" and rest:
        return replace(start, files=frozenset(_number(line, one, MOST_FD) for one in rest))
    raise Wrong(line, "`threads 2` or `files 8 9` is meant")


def _call(line: int, words: str, known: dict[str, Request]) -> Call:
    verb, *rest = words.split()
    if verb in OPS:
        batch = tuple(_request(line, one, known) for one in words.split(","))
        if len(batch) > 1 and any(one.op is Op.SYNC for one in batch):
            raise Wrong(line, "lio_listio has no fsync")
        return Submit(batch)
    if verb == "clone" and rest in (["no"], ["yes"]):
        return Threads(rest == ["yes"])
    if len(rest) != 1 or verb not in ("cancel", "feed", "shut"):
        raise Wrong(
            line, f"what is `{words}`? read, write, fsync, cancel, feed, shut, clone, step, settle"
        )
    if verb == "cancel" and rest[0] in known:
        return Cancel(known[rest[0]].fd, known[rest[0]])
    fd = _number(line, rest[0], MOST_FD)
    if verb == "cancel":
        return Cancel(fd)
    return Feed(fd) if verb == "feed" else Shut(fd)


def _request(line: int, words: str, known: dict[str, Request]) -> Request:
    verb, *rest = words.split()
    if verb not in OPS or len(rest) not in (2, 4) or rest[2:3] not in ([], ["prio"]):
        raise Wrong(line, f"`{words.strip()}`: `read A 5` or `read A 5 prio 3` is meant")
    name = rest[0]
    if len(known) >= MOST_REQUESTS:
        raise Wrong(line, f"a script has at most {MOST_REQUESTS} requests")
    if name in known:
        raise Wrong(line, f"{name} was submitted before")
    if name.isdecimal():
        raise Wrong(line, f"{name}: a name is no number")
    prio = _number(line, rest[3], 99) if len(rest) == 4 else 0
    known[name] = Request(name, _number(line, rest[1], MOST_FD), OPS[verb], prio)
    return known[name]


def _number(line: int, word: str, most: int, least: int = 0) -> int:
    found = typed_number(word)
    if found is None or not least <= found <= most:
        word = word if len(word) <= SHOWN else word[:SHOWN] + "..."
        raise Wrong(line, f"{word}: a number from {least} to {most} is meant")
    return found
