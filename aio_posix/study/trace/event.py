"""What the binding can tell of a request by itself, and how that survives the end of the process.

An event is one line of JSON in a slot of a shared mapping. Writing one takes no system call and no
lock, because a signal handler may submit requests too. The kernel keeps what was written when the
process dies. A list of many requests takes several slots, one after another.
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path

# bytes and number, 104 MiB, of which the file system gets what was written
SLOT, SLOTS = 832, 1 << 17
OF = 8  # requests that a slot has room for, of 19 digits at most
LONGEST = 60  # characters of a name, of 4 bytes at most


class What(StrEnum):
    REQUEST = "request"  # one request, about to be submitted
    SUBMISSION = "submission"  # the call that submitted requests, from `at` to `until`
    CALLBACK = "callback"  # a Python function begins, for these requests
    RETURNED = "returned"  # and ends
    TAKEN = "taken"  # taken out of a CompletionQueue
    CANCEL = "cancel"  # aio_cancel, of a request or of a descriptor; `nbytes` is its answer
    POOL = "pool"  # aio_init: `nbytes` helpers at most
    ASKED = "asked"  # a task of aio_posix.asyncio awaits a request
    GIVEN = "given"  # and has its result
    ERRAND = "errand"  # a thread of aio_posix.asyncio does it, and not glibc
    CACHED = "cached"  # an awaited read that the page cache answered, from `at` to `until`
    FULL = "full"  # what happened after this has not been recorded


@dataclass(frozen=True)
class Event:
    what: What
    at: int  # time.time_ns(), which is what strace can be compared with
    tid: int
    of: tuple[int, ...]  # serial numbers of requests
    name: str = ""  # of the operation, or of the function
    until: int = 0
    fd: int = -1
    file: str = ""  # what the descriptor is
    address: int = 0  # of the buffer
    nbytes: int = 0
    told: str = ""  # callback, queue, signal, or "" for none
    error: str = ""  # of the submission
    reqprio: int = 0


DEFAULTS = {field.name: field.default for field in fields(Event)}


class Slots:
    """A file of events, written by one process while it runs."""

    def __init__(self, path: Path) -> None:
        with open(path, "w+b") as file:
            file.truncate(SLOT * SLOTS)
            self.memory = mmap.mmap(file.fileno(), SLOT * SLOTS)
        self.next = itertools.count().__next__  # atomic, so no two threads get the same
        self.pid = os.getpid()

    def put(self, event: Event) -> None:
        if os.getpid() != self.pid:  # a forked child has this memory too
            return
        for start in range(0, max(1, len(event.of)), OF):
            part = replace(
                event,
                of=event.of[start : start + OF],
                name=event.name[:LONGEST],
                file=event.file[:LONGEST],
            )
            filled = {
                name: value for name, value in asdict(part).items() if value != DEFAULTS.get(name)
            }
            line = json.dumps(filled, ensure_ascii=False).encode("utf-8", "replace")
            number = self.next()
            if number == SLOTS - 1:
                full = {"what": What.FULL, "at": event.at, "tid": event.tid, "of": ()}
                line = json.dumps(full).encode()
            if number < SLOTS:
                self.memory[number * SLOT : number * SLOT + len(line)] = line


def read(path: Path) -> list[Event]:
    """The events of a file of slots, in order of time. If it is full, the last is What.FULL."""
    events = []
    with open(path, "rb") as file:
        for line in iter(lambda: file.read(SLOT).rstrip(b"\0"), b""):
            found = json.loads(line)
            events.append(Event(**{**found, "what": What(found["what"]), "of": tuple(found["of"])}))
    return whole(events)


def whole(parts: Iterable[Event]) -> list[Event]:
    """In order of time, with the parts of a long list put together."""
    events: list[Event] = []
    for part in sorted(parts, key=lambda part: part.at):
        if events and part == replace(events[-1], of=part.of) and part.what is not What.REQUEST:
            part = replace(part, of=events.pop().of + part.of)
        events.append(part)
    return events
