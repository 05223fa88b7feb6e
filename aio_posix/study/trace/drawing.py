"""Events and system calls -> a timeline.

- A request is in its queue from the submission until a helper makes the first system call for it
  (same descriptor, same buffer), in I/O until the last one returns (pread, and read if that said
  ESPIPE), being notified from the start of the thread that calls back until Python is in the
  function, and in its callback until that returns.
- A helper is a thread that was seen to do so. What a helper starts and is no helper itself
  notifies.
- Without strace nobody sees the helpers. A request is in flight until its callback begins, or it is
  taken from a queue.
- What never ended is open, and lasts until the end of the line.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from aio_posix.study.trace.event import Event, What, whole
from aio_posix.study.trace.flights import flights, lives
from aio_posix.study.trace.matching import Request, match, of
from aio_posix.study.trace.strace import Call, Thread
from aio_posix.study.trace.timeline import AWAITED, QUEUE, Arrow, Box, Group, Kind, Lane, Timeline

STARTS = (
    "from the helper's clone until the thread is in the function: "
    "it waits for the callback before, and for the GIL"
)
DRAWN = (What.REQUEST, What.ASKED, What.CACHED)
NAMES = {Group.PROGRAM: "thread", Group.HELPER: "helper", Group.NOTIFICATION: "notification thread"}


def timeline(
    events: Sequence[Event],
    threads: Mapping[int, Thread] | None = None,
    title: str = "",
    main: int | None = None,
) -> Timeline:
    """What happened between the first request and the end. ValueError if there was no request.

    threads: strace.parse(); without it events alone are used. main: the main thread's number (this
    process).
    """
    events = whole(events)
    requests = of(events)
    if not any(event.what in DRAWN for event in events):
        raise ValueError("no request was made: there is nothing to draw")
    traced, threads = threads is not None, threads or {}
    main = next(iter(threads), os.getpid()) if main is None else main
    python = {main, *(event.tid for event in events if event.what is not What.FULL)}
    match(requests, [thread for tid, thread in threads.items() if tid not in python])
    begin = min(event.at for event in events if event.what is not What.POOL)
    given = {event.of[0]: event for event in events if event.what is What.GIVEN}
    for serial, request in requests.items():
        if serial in given:
            request.seen = given[serial].at
    moments = [max(event.at, event.until) for event in events]
    moments += [
        moment for t in threads.values() for c in t.calls for moment in (c.begin, c.end or 0)
    ]
    moments += [thread.death or 0 for thread in threads.values()]
    drawing = _Drawing(requests, threads, main, begin, max(moments), traced)
    drawing.program(events)
    drawing.awaited(events, given)
    drawing.helpers()
    drawing.callbacks(events)
    drawing.couriers()
    lanes = drawing.lanes(python)
    known = {lane.tid for lane in lanes}
    files: dict[int, str] = {}
    for event in events:
        if event.what in DRAWN and event.fd >= 0:
            files.setdefault(event.fd, event.file)
    boxes = sorted(drawing.boxes, key=lambda box: (box.begin, box.tid == QUEUE, -box.end))
    lanes, boxes, end = _without_the_exit(lanes, boxes, drawing.end)
    arrows = [one for one in drawing.arrows if {one.source, one.target} <= known]
    arrows.sort(key=lambda one: one.at)
    seen = flights(events, requests, threads)
    pool = [event.nbytes for event in events if event.what is What.POOL]
    full = [event.at for event in events if event.what is What.FULL]
    return Timeline(
        begin,
        end,
        lanes,
        tuple(boxes),
        tuple(arrows),
        files,
        traced,
        title,
        flights=seen,
        lives=lives(threads, seen),
        aio_threads=pool[-1] if pool else None,
        full=full[0] if full else None,
    )


def _without_the_exit(
    lanes: tuple[Lane, ...], boxes: list[Box], end: int
) -> tuple[tuple[Lane, ...], list[Box], int]:
    """Leaves out what the program does after its last request, if that request is done."""
    mine = [box for box in boxes if box.kind is not Kind.CALL]
    if any(box.open for box in mine):
        return lanes, boxes, end
    last = max(box.end for box in mine)
    lanes = tuple(replace(lane, end=min(lane.end, last)) for lane in lanes)
    return lanes, [replace(box, end=min(box.end, last)) for box in boxes if box.begin <= last], last


@dataclass
class _Drawing:
    requests: Mapping[int, Request]
    threads: Mapping[int, Thread]
    main: int
    begin: int
    end: int
    traced: bool
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    notifies: set[int] = field(default_factory=set)

    def box(
        self, tid: int, kind: Kind, begin: int, end: int | None, label: str, *of: int, **more: str
    ) -> None:
        last = self.end if end is None else max(begin, end)
        self.boxes.append(Box(tid, kind, begin, last, label, of, **more, open=end is None))

    def program(self, events: Sequence[Event]) -> None:
        """Submissions, and where the program was told."""
        for event in events:
            if event.what is What.SUBMISSION:
                label = event.name + f" of {len(event.of)}" * (event.name == "lio_listio")
                self.box(
                    event.tid,
                    Kind.SUBMIT,
                    event.at,
                    event.until,
                    label,
                    *event.of,
                    error=event.error,
                )
            if event.what in (What.CALLBACK, What.TAKEN):
                for serial in event.of:
                    if serial in self.requests:
                        self.requests[serial].seen = event.at
        for call in self.threads[self.main].calls if self.main in self.threads else ():
            if call.begin >= self.begin:
                self.call(self.main, call)

    def awaited(self, events: Sequence[Event], given: Mapping[int, Event]) -> None:
        """What tasks waited for, whichever thread did the I/O."""
        errands = {event.of[0] for event in events if event.what is What.ERRAND}
        for event in events:
            if event.what is What.CACHED:
                about = f"{event.nbytes} bytes from the page cache"
                self.box(AWAITED, Kind.CACHE, event.at, event.until, f"fd {event.fd}", detail=about)
            elif event.what is What.ASKED:
                serial = event.of[0]
                end = given.get(serial)
                who = "a thread of aio_posix.asyncio" if serial in errands else "glibc, in a list"
                self.box(
                    AWAITED,
                    Kind.AWAITED,
                    event.at,
                    end.at if end else None,
                    f"{event.name} fd {event.fd}",
                    serial,
                    detail=f"{event.file}, {event.nbytes} bytes, done by {who}",
                    error=end.error if end else "",
                )

    def call(self, tid: int, call: Call) -> None:
        fd = f"fd {call.arguments[0]}" if call.arguments else ""
        result = call.error or (f"= {call.result}" if call.end else "had not returned")
        self.box(
            tid,
            Kind.CALL,
            call.begin,
            call.end,
            call.name.removesuffix("4"),
            detail=f"{call.name} of {fd} {result}",
        )

    def helpers(self) -> None:
        for serial, request in self.requests.items():
            event, io = request.event, request.io
            self.arrows.append(Arrow("submits", event.at, event.tid, QUEUE, (serial,)))
            about = f"{request.name}: {event.file}, {event.nbytes} bytes"
            if not self.traced:
                self.box(
                    QUEUE, Kind.FLIGHT, event.at, request.seen, request.name, serial, detail=about
                )
                continue
            taken = io[0].begin if io else request.seen
            self.box(QUEUE, Kind.QUEUE, event.at, taken, f"fd {event.fd}", serial, detail=about)
            if io:
                last = io[-1]
                how = ", ".join(
                    f"{c.name} {c.error or c.result if c.end else 'had not returned'}" for c in io
                )
                told = {"detail": f"{about}; {how}", "error": last.error}
                self.box(
                    request.helper, Kind.IO, io[0].begin, last.end, request.name, serial, **told
                )
                self.arrows.append(Arrow("is taken", io[0].begin, QUEUE, request.helper, (serial,)))

    def callbacks(self, events: Sequence[Event]) -> None:
        returned: dict[int, list[int]] = defaultdict(list)
        for event in reversed(events):
            if event.what is What.RETURNED:
                returned[event.tid].append(event.at)
        for event in events:
            if event.what is not What.CALLBACK:
                continue
            end = returned[event.tid].pop() if returned[event.tid] else None
            self.notifies.add(event.tid)
            self.born(event.tid, event.at, event.of)
            self.box(
                event.tid,
                Kind.CALLBACK,
                event.at,
                end,
                event.name.rpartition(".")[2],
                *event.of,
                detail=event.name,
            )
            for call in self.threads[event.tid].calls if event.tid in self.threads else ():
                if event.at <= call.begin <= (end or self.end):
                    self.call(event.tid, call)

    def couriers(self) -> None:
        """Notification threads of queues. A helper started each of them, and they do no I/O."""
        helping = {request.helper for request in self.requests.values()}
        for tid, thread in self.threads.items():
            if thread.parent in helping and tid not in helping | self.notifies:
                self.notifies.add(tid)
                ended = [
                    r for r in self.requests.values() if r.helper == thread.parent and r.io[-1].end
                ]
                of = [r.event.of[0] for r in ended if (r.io[-1].end or 0) <= (thread.birth or 0)][
                    -1:
                ]
                self.born(tid, thread.death or self.end, tuple(of))

    def born(self, tid: int, until: int, of: tuple[int, ...]) -> None:
        """The notification that ended `until`."""
        thread = self.threads.get(tid)
        if thread and thread.parent is not None and thread.birth is not None:
            self.box(tid, Kind.NOTIFY, thread.birth, until, "new thread", *of, detail=STARTS)
            self.arrows.append(Arrow("notifies", thread.birth, thread.parent, tid, of))

    def lanes(self, python: set[int]) -> tuple[Lane, ...]:
        helping = {request.helper for request in self.requests.values()} - {0}
        births = {
            tid: self.threads[tid].birth or self.begin if tid in self.threads else self.begin
            for tid in python
        }
        births |= {
            tid: self.threads[tid].birth or self.begin
            for tid in helping | self.notifies
            if tid in self.threads
        }
        groups: dict[Group, list[int]] = {group: [] for group in Group}
        for tid in sorted(births, key=lambda tid: (tid != self.main, births[tid], tid)):
            group = (
                Group.HELPER
                if tid in helping
                else Group.NOTIFICATION
                if tid in self.notifies
                else Group.PROGRAM
            )
            groups[group].append(tid)
            parent = self.threads[tid].parent if tid in self.threads else None
            if group is Group.HELPER and parent is not None:
                self.arrows.append(Arrow("starts", births[tid], parent, tid))
        found = []
        for group, tids in groups.items():
            if group is Group.AWAITED and any(box.tid == AWAITED for box in self.boxes):
                found.append(Lane(AWAITED, group, "awaited", self.begin, self.end))
            if group is Group.QUEUE:
                found.append(
                    Lane(
                        QUEUE, group, "queued" if self.traced else "in flight", self.begin, self.end
                    )
                )
            for number, tid in enumerate(tids, 1):
                name = "main thread" if tid == self.main else f"{NAMES[group]} {number}"
                death = (self.threads[tid].death if tid in self.threads else None) or self.end
                found.append(
                    Lane(tid, group, name, max(self.begin, births[tid]), max(death, births[tid]))
                )
        return tuple(found)
