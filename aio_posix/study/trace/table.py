"""A timeline as a table with one line for each request, in order of submission."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from aio_posix.study.console import ENDLESS, hanging
from aio_posix.study.trace.scale import duration, several
from aio_posix.study.trace.timeline import Box, Group, Kind, Timeline

MOST = 200  # lines
PHASES = (Kind.AWAITED, Kind.QUEUE, Kind.IO, Kind.NOTIFY, Kind.CALLBACK)
SEEN = (Kind.AWAITED, Kind.FLIGHT, Kind.CALLBACK)  # without strace


class Row(NamedTuple):
    cells: list[str]  # when, what, and how long in each phase
    file: str  # and its error


def text(line: Timeline, width: int = ENDLESS) -> str:
    of: dict[int, dict[Kind, Box]] = defaultdict(dict)
    for box in line.boxes:
        for serial in box.of:
            of[serial].setdefault(box.kind, box)
    seen = {box.kind for box in line.boxes}
    phases = [kind for kind in (PHASES if line.traced else SEEN) if kind in seen]
    head = Row(["at", "request", *(kind.value for kind in phases)], "file")
    rows = []
    for boxes in list(of.values())[:MOST]:
        begin = min(box.begin for box in boxes.values())
        by_kind = (boxes.get(kind) for kind in (Kind.IO, Kind.FLIGHT, Kind.AWAITED))
        first = next(filter(None, by_kind), next(iter(boxes.values())))
        cells = [_cell(boxes.get(kind)) for kind in phases]
        fd = first.label.rpartition(" ")[2]
        file = line.files.get(int(fd), "") if fd.isdecimal() else ""
        error = f"  {first.error}" if first.error else ""
        rows.append(Row([duration(begin - line.begin), first.label, *cells], f"{file}{error}"))
    table = list(_aligned([head, *rows], width)) if rows else []
    lines = []
    if len(of) > MOST:
        lines.append(f"... and {len(of) - MOST:,} more")
    count = {group: sum(lane.group is group for lane in line.lanes) for group in Group}
    parts = [
        several(len(of), "request"),
        several(count[Group.HELPER], "helper"),
        several(count[Group.NOTIFICATION], "notification thread"),
        duration(line.end - line.begin),
    ]
    lines.append(f"{line.title}: {', '.join(parts)}")
    if cached := sum(box.kind is Kind.CACHE for box in line.boxes):
        lines.append(f"{cached:,} awaited reads came from the page cache at once")
    if line.full is not None:
        after = duration(line.full - line.begin)
        lines.append(f"the recording is full: nothing after the first {after} is in it")
    if not line.traced:
        lines.append(
            "strace is missing or may not trace: "
            "queueing and I/O are not told apart, helpers are not seen"
        )
    return "\n".join([*table, *(hanging("", words, width) for words in lines)])


def _aligned(rows: list[Row], width: int) -> Iterator[str]:
    """Columns as wide as their longest cell. Names begin and durations end in the same column. If
    the table would be too wide, each phase is named beside its duration.
    """
    widths = [max(map(len, column)) for column in zip(*(row.cells for row in rows), strict=True)]
    if sum(widths) + 2 * len(widths) > width:
        _, _, *phases = rows[0].cells
        yield f"{rows[0].cells[0]:>{widths[0]}}  request"
        for (at, request, *cells), file in rows[1:]:
            took = [f"{name} {cell}" for name, cell in zip(phases, cells, strict=True)]
            yield hanging(f"{at:>{widths[0]}}  {request}  ", ", ".join([*took, file]), width)
        return
    for row in rows:
        cells = [
            f"{cell:<{wide}}" if n == 1 else f"{cell:>{wide}}"
            for n, (cell, wide) in enumerate(zip(row.cells, widths, strict=True))
        ]
        yield hanging("  ".join(cells) + "  ", row.file, width)


def _cell(box: Box | None) -> str:
    if box is None:
        return "-"
    return f"{duration(box.end - box.begin)}{' ...' if box.open else ''}"
