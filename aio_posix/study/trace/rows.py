"""Which lanes share a row of a picture, so that many short-lived threads do not need a row each.

The program's threads have a row each, and so have helpers, as long as they are few. What waits in a
queue has no thread and is packed. Notification threads are packed by their lives, with a gap
between two that follow each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aio_posix.study.trace.timeline import QUEUE, Box, Group, Lane, Timeline

MOST = 16  # rows of one group, beyond which the last row's name says how much is left out
T = TypeVar("T", Lane, Box)


@dataclass
class Row:
    group: Group
    name: str
    lanes: list[Lane] = field(default_factory=list)  # one after another
    boxes: list[Box] = field(default_factory=list)


@dataclass
class Rows:
    rows: list[Row]
    of_lane: dict[int, Row]
    of_request: dict[int, Row]  # in the queue

    def of(self, tid: int, of: Sequence[int]) -> Row | None:
        return self.of_request.get(of[0]) if tid == QUEUE and of else self.of_lane.get(tid)


def rows(line: Timeline, x: Callable[[int], float]) -> Rows:
    """x gives the place of a moment in the picture. Boxes that would touch there need rows of their
    own.
    """
    found = Rows([], {}, {})
    by_lane: dict[int, list[Box]] = {lane.tid: [] for lane in line.lanes}
    for box in line.boxes:
        by_lane.setdefault(box.tid, []).append(box)
    for group in Group:
        lanes = [lane for lane in line.lanes if lane.group is group]
        if group in (Group.QUEUE, Group.AWAITED) and lanes:
            packed = pack(by_lane[lanes[0].tid], x, gap=3)
            some = [
                Row(group, lanes[0].name if n == 0 else "", [], boxes)
                for n, boxes in enumerate(packed)
            ]
            if group is Group.QUEUE:
                queued = {box.of[0]: row for row in some[:MOST] for box in row.boxes}
                found.of_request.update(queued)
        else:
            alone = len(lanes) <= MOST and group is not Group.NOTIFICATION
            shares = [[lane] for lane in lanes] if alone else pack(lanes, x, gap=8)
            some = [Row(group, _name(share, n), share, []) for n, share in enumerate(shares)]
            for row in some[:MOST]:
                found.of_lane.update({lane.tid: row for lane in row.lanes})
                row.boxes = [box for lane in row.lanes for box in by_lane[lane.tid]]
        if len(some) > MOST:
            some[MOST - 1].name = f"... and {len(some) - MOST + 1} more rows"
        found.rows += some[:MOST]
    return found


def pack(things: Iterable[T], x: Callable[[int], float], gap: float) -> list[list[T]]:
    """Each goes into the first row whose last has ended."""
    packed: list[list[T]] = []
    ends: list[float] = []
    for one in sorted(things, key=lambda one: one.begin):
        for number, end in enumerate(ends):
            if end + gap <= x(one.begin):
                packed[number].append(one)
                ends[number] = x(one.end)
                break
        else:
            packed.append([one])
            ends.append(x(one.end))
    return packed


def _name(share: list[Lane], number: int) -> str:
    first = share[0].name
    if len(share) == 1:
        return first
    return f"{len(share)} {first.rstrip(' 0123456789')}s"
