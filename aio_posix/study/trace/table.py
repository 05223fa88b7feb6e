"""A timeline as a table: one line for each request, in order of submission."""

from __future__ import annotations

from collections import defaultdict

from aio_posix.study.trace.scale import duration
from aio_posix.study.trace.timeline import Box, Group, Kind, Timeline

MOST = 200  # lines
PHASES = (Kind.QUEUE, Kind.IO, Kind.NOTIFY, Kind.CALLBACK)
SEEN = (Kind.FLIGHT, Kind.CALLBACK)  # without strace


def text(line: Timeline) -> str:
    of: dict[int, dict[Kind, Box]] = defaultdict(dict)
    for box in line.boxes:
        for serial in box.of:
            of[serial].setdefault(box.kind, box)
    phases = PHASES if line.traced else SEEN
    if any(box.kind is Kind.AWAITED for box in line.boxes):
        phases = (Kind.AWAITED, *phases)
    lines = [
        f"{'at':>10}  {'request':<16}" + "".join(f"{kind.value:>14}" for kind in phases) + "  file"
    ]
    for boxes in list(of.values())[:MOST]:
        begin = min(box.begin for box in boxes.values())
        by_kind = (boxes.get(kind) for kind in (Kind.IO, Kind.FLIGHT, Kind.AWAITED))
        first = next(filter(None, by_kind), next(iter(boxes.values())))
        cells = "".join(f"{_cell(boxes.get(kind)):>14}" for kind in phases)
        fd = first.label.rpartition(" ")[2]
        file = line.files.get(int(fd), "") if fd.isdecimal() else ""
        error = f"  {first.error}" if first.error else ""
        lines.append(f"{duration(begin - line.begin):>10}  {first.label:<16}{cells}  {file}{error}")
    if len(of) > MOST:
        lines.append(f"... and {len(of) - MOST:,} more")
    count = {group: sum(lane.group is group for lane in line.lanes) for group in Group}
    threads = f"{count[Group.HELPER]} helpers, {count[Group.NOTIFICATION]} notification threads"
    lines.append(f"{line.title}: {len(of)} requests, {threads}, {duration(line.end - line.begin)}")
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
    return "\n".join(lines)


def _cell(box: Box | None) -> str:
    if box is None:
        return "-"
    return f"{duration(box.end - box.begin)}{' ...' if box.open else ''}"
