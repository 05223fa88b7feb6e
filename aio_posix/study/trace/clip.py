"""The beginning of a long timeline, with as many requests as a picture can show."""

from __future__ import annotations

from dataclasses import replace

from aio_posix.study.trace.timeline import Kind, Timeline


def clip(line: Timeline, most: int) -> Timeline:
    """Until the request after so many is submitted. The timeline itself if there are no more. What
    goes on then is open.
    """
    submitted: dict[int, int] = {}
    for box in line.boxes:
        if box.kind in (Kind.QUEUE, Kind.FLIGHT):
            submitted.setdefault(box.of[0], box.begin)
    moments = sorted(submitted.values())
    if len(moments) <= most:
        return line
    end = moments[most]
    shown = {serial for serial, moment in submitted.items() if moment < end}
    if not shown:  # one list of more
        return line
    return replace(
        line,
        end=end,
        lanes=tuple(
            replace(lane, end=min(lane.end, end)) for lane in line.lanes if lane.begin < end
        ),
        boxes=tuple(
            replace(box, end=min(box.end, end), open=box.open or box.end > end)
            for box in line.boxes
            if box.begin < end and (not box.of or shown.intersection(box.of))
        ),
        arrows=tuple(arrow for arrow in line.arrows if arrow.at < end),
        left_out=len(moments) - len(shown),
    )
