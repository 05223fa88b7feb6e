"""Requests and the system calls that helpers make for them, found by descriptor and buffer, in the
order of both.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aio_posix.study.trace.event import Event, What
from aio_posix.study.trace.strace import Call, Thread

IO = ("pread64", "read", "pwrite64", "write", "fsync", "fdatasync")


@dataclass
class Request:
    event: Event
    io: list[Call] = field(default_factory=list)
    helper: int = 0
    seen: int | None = None  # when the program got the result

    @property
    def name(self) -> str:
        return f"{self.event.name} fd {self.event.fd}"


def of(events: Iterable[Event]) -> dict[int, Request]:
    """By serial number."""
    return {event.of[0]: Request(event) for event in events if event.what is What.REQUEST}


def match(requests: Mapping[int, Request], threads: Sequence[Thread]) -> None:
    """Gives each request its system calls, of threads that run no Python."""
    waiting: dict[tuple[int, int], deque[Request]] = defaultdict(deque)
    for request in requests.values():
        waiting[request.event.fd, request.event.address].append(request)
    doing: dict[int, Request] = {}
    calls = [(call, thread.tid) for thread in threads for call in thread.calls if call.name in IO]
    for call, tid in sorted(calls, key=lambda one: one[0].begin):
        key = (call.arguments[0], call.arguments[1] if len(call.arguments) > 1 else 0)
        before = doing.get(tid)
        again = (
            before
            and before.io[-1].error == "ESPIPE"
            and key == (before.event.fd, before.event.address)
        )
        if before and again:
            before.io.append(call)
        elif waiting[key] and (call.end is None or waiting[key][0].event.at <= call.end):
            doing[tid] = waiting[key].popleft()
            doing[tid].io.append(call)
            doing[tid].helper = tid
