"""A timeline in Google's Trace Event Format, which ui.perfetto.dev and chrome://tracing open.

One track per thread, times in microseconds from the first request. Boxes of one thread nest, as the
format demands: what would stick out of the box around it (strace and the program do not look at the
same instant) is cut. What waits in a queue has no thread, so each request is an asynchronous slice
of its own. Who started whom are flow arrows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from aio_posix.study.trace.timeline import UNTHREADED, Box, Kind, Timeline

Item = dict[str, Any]


def perfetto(line: Timeline) -> str:
    events = [*_names(line), *_slices(line), *_queued(line), *_flows(line)]
    about = {"title": line.title, "files": {str(fd): file for fd, file in line.files.items()}}
    return (
        json.dumps({"traceEvents": events, "displayTimeUnit": "ns", "otherData": about}, indent=0)
        + "\n"
    )


def _pid(line: Timeline) -> int:
    """Of the main thread, which is the first."""
    return next(lane.tid for lane in line.lanes if lane.tid not in UNTHREADED)


def _names(line: Timeline) -> Iterable[Item]:
    pid = _pid(line)
    yield {"ph": "M", "name": "process_name", "pid": pid, "tid": pid, "args": {"name": line.title}}
    threads = (lane for lane in line.lanes if lane.tid not in UNTHREADED)
    for order, lane in enumerate(threads):
        about = {"ph": "M", "pid": pid, "tid": lane.tid}
        yield {**about, "name": "thread_name", "args": {"name": lane.name}}
        yield {**about, "name": "thread_sort_index", "args": {"sort_index": order}}


def _us(line: Timeline, moment: int) -> float:
    return (moment - line.begin) / 1000


def _slices(line: Timeline) -> Iterable[Item]:
    by_thread: dict[int, list[Box]] = {}
    for box in line.boxes:
        by_thread.setdefault(box.tid, []).append(box)
    for lane in UNTHREADED:
        by_thread.pop(lane, None)
    for boxes in by_thread.values():
        for box in nested(boxes):
            where = {"ph": "X", "pid": _pid(line), "tid": box.tid, "cat": box.kind.value}
            when = {"ts": _us(line, box.begin), "dur": (box.end - box.begin) / 1000}
            yield {**where, **when, "name": box.label, "args": _about(box)}


def _about(box: Box) -> Item:
    about = {
        "requests": list(box.of),
        "detail": box.detail,
        "error": box.error,
        "had not ended": box.open,
    }
    return {name: value for name, value in about.items() if value}


def nested(boxes: Sequence[Box]) -> list[Box]:
    """The boxes of one lane, each inside or beside every other."""
    found: list[Box] = []
    around: list[Box] = []
    for box in sorted(boxes, key=lambda box: (box.begin, -box.end)):
        while around and around[-1].end <= box.begin:
            around.pop()
        if around and box.end > around[-1].end:
            box = replace(box, end=around[-1].end)
        around.append(box)
        found.append(box)
    return found


def _queued(line: Timeline) -> Iterable[Item]:
    numbers = count(1)
    for box in line.boxes:
        if box.tid in UNTHREADED:
            one = {"cat": box.kind.value, "pid": _pid(line), "tid": _pid(line)}
            one["id"] = box.of[0] if box.of else next(numbers)
            one["name"] = f"{box.kind.value} {box.label}"
            yield {**one, "ph": "b", "ts": _us(line, box.begin), "args": _about(box)}
            yield {**one, "ph": "e", "ts": _us(line, box.end)}


def _flows(line: Timeline) -> Iterable[Item]:
    """From the submission to the I/O, and from the I/O to the thread that announces it."""
    numbers = count(1)
    of: dict[int, dict[Kind, Box]] = {}
    for box in line.boxes:
        for serial in box.of:
            of.setdefault(serial, {}).setdefault(box.kind, box)
    for boxes in of.values():
        for first, then in ((Kind.SUBMIT, Kind.IO), (Kind.IO, Kind.NOTIFY)):
            if first in boxes and then in boxes:
                source, target, number = boxes[first], boxes[then], next(numbers)
                begin = min(source.begin if first is Kind.SUBMIT else source.end - 1, target.begin)
                one = {
                    "cat": "who started whom",
                    "name": "request",
                    "id": number,
                    "pid": _pid(line),
                }
                yield {
                    **one,
                    "ph": "s",
                    "tid": source.tid,
                    "ts": _us(line, max(begin, source.begin)),
                }
                yield {
                    **one,
                    "ph": "f",
                    "bp": "e",
                    "tid": target.tid,
                    "ts": _us(line, target.begin),
                }
