"""A timeline as one SVG: rows of boxes over an axis of time, vertical arrows for who started whom.

The colours are those of Okabe and Ito, which people with any colour vision tell apart. Every kind
also has its own row, height or pattern. Text is left out where it does not fit. Each box says all
of it when the pointer is on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from aio_posix.study.trace.clip import clip
from aio_posix.study.trace.rows import Row, Rows, rows
from aio_posix.study.trace.scale import Scale, duration, unit_of
from aio_posix.study.trace.timeline import Arrow, Box, Group, Kind, Timeline

ROOM = 14  # of a request: its boxes are as wide on average, when a picture has as many as it shows
WIDTH, LEFT, RIGHT = 1400, 190, 20  # of the whole, unless told otherwise; beside the rows
# Above the rows; of a row; of a queue's row; between groups; below
TOP, ROW, QUEUED, GAP, FOOT = (110, 40, 26, 16, 66)
HIGH, SMALL, LOW = 24, 18, 11  # of a box; of one in a queue; of what is inside a callback
LETTER = 7.0  # width of a letter, on average; the font is 12 high
COLOURS = {
    Kind.SUBMIT: "#d55e00",
    Kind.AWAITED: "#8073ac",
    Kind.CACHE: "#80b1d3",
    Kind.QUEUE: "#e69f00",
    Kind.FLIGHT: "#56b4e9",
    Kind.IO: "#56b4e9",
    Kind.NOTIFY: "#cc79a7",
    Kind.CALLBACK: "#009e73",
    Kind.CALL: "#00533c",
}
LEGEND = {
    Kind.SUBMIT: "submission: aio_read ...",
    Kind.AWAITED: "awaited: a task waits",
    Kind.CACHE: "read from the page cache",
    Kind.QUEUE: "queued: no helper has taken it",
    Kind.FLIGHT: "in flight: queued, then I/O",
    Kind.IO: "I/O: a helper is in the call",
    Kind.NOTIFY: "notification: a new thread starts",
    Kind.CALLBACK: "callback: your function",
    Kind.CALL: "the program's system calls",
}
PACKED = (Group.QUEUE, Group.AWAITED)
ARROWS = {"submits": "#d55e00", "is taken": "#b87f00", "starts": "#7b8794", "notifies": "#b3548a"}
STYLE = """
    .title { font-weight: 600; font-size: 19px }
    .small { font-size: 12px; fill: #52606d }
    .box text { font-size: 12px; fill: #1f2933 }
    .box .light { fill: #fff }
    .box .inner { font-size: 10px }
    .box .error { font-size: 11px; font-weight: 600; fill: #a4161a }
    .box .error { paint-order: stroke; stroke: #f5f7fa; stroke-width: 4 }
    .grid { stroke: #e4e7eb; stroke-width: 1 }
    .life { stroke: #cbd2d9; stroke-width: 2 }
    .middle { text-anchor: middle }
    .end { text-anchor: end }
"""


def svg(line: Timeline, width: int = WIDTH) -> str:
    """Of a long timeline the beginning."""
    line = clip(line, most=width // ROOM)
    moments = [moment for box in line.boxes for moment in (box.begin, box.end)]
    scale = Scale(line.begin, line.end, moments, LEFT, width - LEFT - RIGHT)
    placed = rows(line, scale.x)
    tops, y, group = {}, TOP, Group.PROGRAM
    bands: dict[Group, list[float]] = {}
    for row in placed.rows:
        y += GAP if row.group is not group else 0
        tops[id(row)], group = y, row.group
        bands.setdefault(group, [y, y])[1] = y + high(row)
        y += high(row)
    height = y + FOOT + 18 * len(_files(line, width))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        "font-family=\"system-ui, 'DejaVu Sans', Verdana, sans-serif\" "
        'font-size="14" fill="#1f2933">',
        f"<title>{escape(line.title)}</title>",
        f"<style>{STYLE}</style>",
        PATTERN,
        f'<rect width="{width}" height="{height}" rx="10" fill="#fff"/>',
        f'<text class="title" x="{GAP}" y="36">{escape(line.title)}</text>',
        f'<text class="small end" x="{width - GAP}" y="36">{escape(summary(line))}</text>',
        *_legend(line),
        *(
            f'<rect x="8" y="{top - 4}" width="{width - 16}" height="{end - top + 8}" rx="8" '
            'fill="#f5f7fa"/>'
            for top, end in bands.values()
        ),
        *_axis(scale, y),
        *(part for row in placed.rows for part in _lives(row, scale, tops[id(row)])),
        *_arrows(line.arrows, placed, scale, tops),
        *(part for row in placed.rows for part in _boxes(row, scale, tops[id(row)])),
        *_breaks(scale, y),
        *(
            f'<text class="small" x="{LEFT}" y="{y + FOOT - 8 + 18 * n}">{escape(words)}</text>'
            for n, words in enumerate(_files(line, width))
        ),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


PATTERN = (
    '<defs><pattern id="waits" width="7" height="7" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="7" height="7" fill="#f6d48f"/>'
    '<path d="M0 0V7" stroke="#e69f00" stroke-width="5"/></pattern></defs>'
)


def high(row: Row) -> int:
    return QUEUED if row.group in PACKED else ROW


def summary(line: Timeline) -> str:
    count = {group: sum(lane.group is group for lane in line.lanes) for group in Group}
    of = {serial for box in line.boxes for serial in box.of}
    words = [f"{len(of):,} requests"]
    if line.left_out:
        words = [f"the first {len(of):,} of {len(of) + line.left_out:,} requests"]
    if line.traced:
        words += [f"{count[group]:,} {group.value}" for group in (Group.HELPER, Group.NOTIFICATION)]
    return "  ·  ".join([*words, duration(line.end - line.begin)])


def _legend(line: Timeline) -> Iterable[str]:
    kinds = {box.kind for box in line.boxes}
    x = float(GAP)
    for kind, words in LEGEND.items():
        if kind in kinds:
            fill = "url(#waits)" if kind is Kind.QUEUE else COLOURS[kind]
            yield f'<rect x="{x:.0f}" y="58" width="16" height="14" rx="3" fill="{fill}"/>'
            yield f'<text class="small" x="{x + 22:.0f}" y="70">{escape(words)}</text>'
            x += 22 + 6.5 * len(words) + 18


def _axis(scale: Scale, y: float) -> Iterable[str]:
    _, ticks = scale.ticks(apart=60)
    size, unit = unit_of(ticks[-1] - scale.begin)
    for tick in ticks:
        x = scale.x(tick)
        yield f'<path class="grid" d="M{x:.1f} {TOP - 4}V{y + 4}"/>'
        words = f"{(tick - scale.begin) / size:g}"
        yield f'<text class="small middle" x="{x:.1f}" y="{y + 22}">{words}</text>'
    yield f'<text class="small end" x="{LEFT - 20}" y="{y + 22}">time, in {unit}</text>'


def _breaks(scale: Scale, y: float) -> Iterable[str]:
    for one in scale.breaks:
        left, right = scale.x(one.begin), scale.x(one.end)
        middle = (left + right) / 2
        tall = y - TOP + 16
        yield f'<rect x="{middle - 5:.1f}" y="{TOP - 8}" width="10" height="{tall}" fill="#fff"/>'
        for edge in (middle - 5, middle + 5):
            zigzag = "l4 8l-8 8l4 8" * int((y - TOP + 16) // 24)
            yield f'<path d="M{edge:.1f} {TOP - 8}{zigzag}" fill="none" stroke="#9aa5b1"/>'
        words = f"{duration(one.end - one.begin)} left out"
        yield f'<text class="small middle" x="{middle:.1f}" y="{TOP - 12}">{words}</text>'


def _lives(row: Row, scale: Scale, y: float) -> Iterable[str]:
    name = escape(row.name)
    yield f'<text x="{LEFT - 12}" y="{y + high(row) / 2 + 5}" text-anchor="end">{name}</text>'
    for lane in row.lanes:
        left, right = scale.x(lane.begin), scale.x(lane.end)
        yield f'<path class="life" d="M{left:.1f} {y + ROW / 2}H{right:.1f}"/>'


def _boxes(row: Row, scale: Scale, y: float) -> Iterable[str]:
    noted = 0.0  # where the last note above a box ended
    for box in row.boxes:
        x, right = scale.x(box.begin), scale.x(box.end)
        width = max(right - x, 2.0)
        inner = box.kind is Kind.CALL or (
            box.kind is Kind.SUBMIT and row.group is Group.NOTIFICATION
        )
        tall = SMALL if row.group in PACKED else HIGH
        top = y + (high(row) - tall) / 2 + (tall - LOW if inner else 0)
        fill = "url(#waits)" if box.kind is Kind.QUEUE else COLOURS[box.kind]
        told = f"{box.label}, {duration(box.end - box.begin)}{' and more' if box.open else ''}"
        if box.detail:
            told += f"\n{box.detail}"
        yield f'<g class="box" data-of="{" ".join(map(str, box.of))}"><title>{escape(told)}</title>'
        size = f'width="{width:.1f}" height="{LOW if inner else tall}" rx="{1 if inner else 3}"'
        yield f'<rect x="{x:.1f}" y="{top:.1f}" {size} fill="{fill}"/>'
        from_, to = scale.longest(x, x + width)
        words = _fits(box, to - from_)
        if words:
            light = (
                "light" if box.kind in (Kind.CALL, Kind.CALLBACK, Kind.SUBMIT) else ""
            ) + " inner" * inner
            at = top + (9 if inner else 11 if box.kind is Kind.CALLBACK else tall / 2 + 4)
            yield f'<text class="{light}" x="{from_ + 5:.1f}" y="{at:.1f}">{escape(words)}</text>'
        end = x + 9 * len(box.error)
        if box.error and not inner and x > noted and scale.longest(x, end) == (x, end):
            yield f'<text class="error" x="{x + 5:.1f}" y="{y + 5:.1f}">{box.error}</text>'
            noted = end
        yield "</g>"


def _fits(box: Box, width: float) -> str:
    """The longest of what could be written in it that there is room for."""
    candidates = [box.label, box.label.rpartition("fd ")[2] if "fd " in box.label else ""]
    if box.kind in (Kind.IO, Kind.FLIGHT) and box.detail:
        what = box.detail.partition(": ")[2].rpartition(", ")[0] or box.detail
        candidates.insert(0, f"{box.label}: {what.partition(', ')[0]}")
    return next((words for words in candidates if len(words) * LETTER + 8 <= width), "")


def _arrows(
    arrows: Iterable[Arrow], placed: Rows, scale: Scale, tops: Mapping[int, float]
) -> Iterable[str]:
    for arrow in arrows:
        source, target = placed.of(arrow.source, arrow.of), placed.of(arrow.target, arrow.of)
        if source is None or target is None or source is target:
            continue
        down = 1 if tops[id(target)] > tops[id(source)] else -1
        x, start = scale.x(arrow.at), tops[id(source)] + high(source) / 2
        inside = (
            0 if arrow.what == "starts" else SMALL / 2 if target.group is Group.QUEUE else HIGH / 2
        )
        end = tops[id(target)] + high(target) / 2 - down * inside
        dash = ' stroke-dasharray="3 3"' if arrow.what == "starts" else ""
        colour = ARROWS[arrow.what]
        of, stroke = " ".join(map(str, arrow.of)), f'stroke="{colour}" stroke-width="1.2"{dash}'
        yield f'<g class="arrow" data-of="{of}"><title>{arrow.what}</title>'
        yield f'<path d="M{x:.1f} {start:.1f}V{end:.1f}" {stroke}/>'
        yield f'<path d="M{x:.1f} {end:.1f}l-3 {-6 * down}h6z" fill="{colour}"/></g>'


def _files(line: Timeline, width: int) -> list[str]:
    """What the descriptors are, in lines that fit."""
    words = [f"fd {fd}: {file}" for fd, file in sorted(line.files.items())]
    lines, most = [""], int((width - LEFT - RIGHT) / 6.7)
    for one in words[:24]:
        joined = f"{lines[-1]}  ·  {one}" if lines[-1] else one
        if len(joined) > most:
            lines.append(one)
        else:
            lines[-1] = joined
    return lines
