"""A timeline as one page of HTML without anything to load, with time line, scrubber, and the
replay.

Everything that needs to be known about glibc is worked out here. The page draws, and applies the
changes of the moments one after another. pages/ has what the browser runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from aio_posix.study.page import filled, read, script
from aio_posix.study.replay import Moment, Replay, replay
from aio_posix.study.trace.rows import rows
from aio_posix.study.trace.scale import duration
from aio_posix.study.trace.summary import Phase, Starved, advice, phases, starved
from aio_posix.study.trace.svg import LEGEND, summary
from aio_posix.study.trace.table import text
from aio_posix.study.trace.timeline import Box, Timeline

WIDE = 100_000  # units in which things that do not touch get a row together
SPANS = 20  # starved moments that are listed, the longest


def html(line: Timeline) -> str:
    found = replay(line.flights, line.lives, line.aio_threads, line.traced)
    spans = starved(found, line.end)
    table = phases(line.flights, found.heads)
    # aio_posix.asyncio makes lanes and lists by itself, so advice is for callers of aio_read
    ours = phases([one for one in line.flights if one.owner != "await"], found.heads)
    parts = {
        "TITLE": escape(line.title),
        "SUMMARY": escape(summary(line)),
        "NOTES": _notes(line, found, spans, advice(ours, spans)),
        "PHASES": _phases(table),
        "TABLE": escape(text(line)),
        "STYLE": read("page.css"),
        "SCRIPT": read("model.js") + read("trace.js"),
        "DATA": script(data(line, found, spans)),
    }
    return filled(read("trace.html"), parts)


def data(line: Timeline, found: Replay, spans: list[Starved]) -> dict[str, Any]:
    """Times are nanoseconds since the first request. A text is a place in `words`."""
    begin, long = line.begin, max(1, line.end - line.begin)
    placed = rows(line, lambda moment: (moment - begin) / long * WIDE)
    words: dict[str, int] = {}

    def place(text: str) -> int:
        return words.setdefault(text, len(words))

    def boxed(box: Box) -> list[Any]:
        texts = [place(text) for text in (box.kind.value, box.label, box.detail, box.error)]
        kind, label, detail, error = texts
        span = box.begin - begin, box.end - begin
        return [kind, *span, label, box.of, detail, error, int(box.open), box.tid]

    def told(moment: Moment) -> list[Any]:
        changes = [(place(c.what), c.key, c.of, c.at, place(c.state)) for c in moment.changes]
        what, wrong = place(moment.words), place(moment.contradiction)
        return [moment.at - begin, what, moment.of, changes, wrong]

    return {
        "end": long,
        "traced": line.traced,
        "threads": line.aio_threads,
        "legend": {kind.value: meaning for kind, meaning in LEGEND.items()},
        "rows": [
            {
                "group": row.group.value,
                "name": row.name,
                "lives": [(one.begin - begin, one.end - begin) for one in row.lanes],
                "boxes": [boxed(box) for box in row.boxes],
            }
            for row in placed.rows
        ],
        "requests": {
            one.serial: (one.fd, one.name, line.files.get(one.fd, "")) for one in line.flights
        },
        "moments": [told(moment) for moment in found.moments],
        "starved": [(one.begin - begin, one.end - begin, one.waiting) for one in spans],
        "words": list(words),
    }


def _notes(line: Timeline, found: Replay, spans: list[Starved], hints: list[str]) -> str:
    notes = [f"<li>{escape(hint)}</li>" for hint in hints]
    for one in sorted(spans, key=lambda one: one.begin - one.end)[:SPANS]:
        many = f"{one.waiting} request{'s' * (one.waiting != 1)}"
        ends = f"What ended it: {one.ended_by}." if one.ended_by else "Nothing ended it."
        notes.append(
            f'<li class="starved"><button data-at="{one.begin - line.begin}">'
            f"{duration(one.begin - line.begin)}</button> For {duration(one.end - one.begin)} "
            f"{_busy(one.helpers, many)}. "
            f"{escape(ends)}</li>"
        )
    wrong = [moment for moment in found.moments if moment.contradiction]
    for moment in wrong[:SPANS]:
        at = moment.at - line.begin
        notes.append(
            f'<li class="wrong"><button data-at="{at}">{duration(at)}</button> The recording '
            f"contradicts the model: {escape(moment.contradiction)}.</li>"
        )
    if not line.traced:
        notes.append(
            "<li>strace is missing or may not trace: nobody saw the helpers. A request is drawn in "
            "its queue until the program was told, and whether it ran meanwhile is unknown.</li>"
        )
    if line.full is not None:
        after = duration(line.full - line.begin)
        notes.append(f"<li>The recording is full: nothing after the first {after} is in it.</li>")
    return "\n".join(notes)


def _busy(helpers: int, many: str) -> str:
    if helpers == 1:
        return f"the only helper was busy, and up to {many} waited for it"
    return f"all {helpers} helpers were busy, and up to {many} waited for one"


def _phases(table: Iterable[Phase]) -> str:
    lines = [
        f"<tr><th>{escape(one.name)}</th><td>{one.requests:,}</td><td>{duration(one.median)}</td>"
        f"<td>{duration(one.p99)}</td><td>{duration(one.total)}</td></tr>"
        for one in table
    ]
    return "\n".join(lines)
