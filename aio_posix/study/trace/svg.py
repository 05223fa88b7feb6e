"""A timeline as one SVG with rows of boxes over an axis of time. Vertical arrows show who started
whom.

The colours are those of Okabe and Ito, which people with any colour vision tell apart. Every kind
also has its own row, height or pattern. Text is left out where it does not fit. Each box says all
of it when the pointer is on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from xml.sax.saxutils import escape

from aio_posix.study.trace.clip import clip
from aio_posix.study.trace.rows import Row, Rows, rows
from aio_posix.study.trace.scale import Scale, duration, several, unit_of
from aio_posix.study.trace.timeline import Arrow, Box, Group, Kind, Timeline

ROOM = 14  # pixels of width for each request that the picture shows
WIDTH, LEFT, RIGHT = 1400, 190, 20  # of the picture, and beside the rows
# Above the rows, with one line of legend; a row; a queue's row; between groups; below
TOP, ROW, QUEUED, GAP, FOOT = (110, 44, 26, 16, 66)
HIGH, SMALL, LOW = 28, 18, 14  # of a box; of one in a queue; of what is inside a callback
LINE = 22  # of legend
LETTER = 7.0  # average width of a letter of 12 pixels
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


class Palette(NamedTuple):
    paper: str
    band: str  # behind the rows of a group
    ink: str
    pale: str  # small text
    grid: str
    life: str  # the line of a thread
    error: str


LIGHT = Palette("#ffffff", "#f5f7fa", "#1f2933", "#52606d", "#e4e7eb", "#cbd2d9", "#a4161a")
DARK = Palette("#0d1117", "#161b22", "#e6edf3", "#a9b4c0", "#2a313a", "#4a5560", "#ff8a8a")
# Boxes have the same colours on both papers, so the text in them does not change either.
STYLE = """
    text {{ fill: {0.ink} }}
    .title {{ font-weight: 600; font-size: 19px }}
    .small {{ font-size: 12px; fill: {0.pale} }}
    .box text {{ font-size: 12px; fill: #0b1015 }}
    .box .light {{ fill: #fff }}
    .box .error {{ font-weight: 600; fill: {0.error} }}
    .box .error {{ paint-order: stroke; stroke: {0.band}; stroke-width: 4 }}
    .paper {{ fill: {0.paper} }}
    .band {{ fill: {0.band} }}
    .grid {{ stroke: {0.grid}; stroke-width: 1 }}
    .life {{ stroke: {0.life}; stroke-width: 2 }}
    .middle {{ text-anchor: middle }}
    .end {{ text-anchor: end }}
"""


def svg(line: Timeline, width: int = WIDTH, palette: Palette = LIGHT, about: str = "") -> str:
    """The picture, of a long timeline only its beginning. `about`, such as the machine, is written
    below.
    """
    line = clip(line, most=width // ROOM)
    moments = [moment for box in line.boxes for moment in (box.begin, box.end)]
    scale = Scale(line.begin, line.end, moments, LEFT, width - LEFT - RIGHT)
    placed = rows(line, scale.x)
    legend = list(_legend(line, width))
    top = TOP + max((item.y for item in legend), default=0)
    tops, y, group = {}, top, Group.PROGRAM
    bands: dict[Group, list[float]] = {}
    for row in placed.rows:
        y += GAP if row.group is not group else 0
        tops[id(row)], group = y, row.group
        bands.setdefault(group, [y, y])[1] = y + high(row)
        y += high(row)
    notes = [*_files(line, width), *([about] if about else [])]
    height = y + FOOT + 18 * len(notes)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, \'DejaVu Sans\', Verdana, sans-serif" font-size="14">',
        f"<title>{escape(line.title)}</title>",
        f"<style>{STYLE.format(palette)}</style>",
        PATTERN,
        f'<rect class="paper" width="{width}" height="{height}" rx="10"/>',
        f'<text class="title" x="{GAP}" y="36">{escape(line.title)}</text>',
        f'<text class="small end" x="{width - GAP}" y="36">{escape(summary(line))}</text>',
        *(part for item in legend for part in item.drawn()),
        *(
            f'<rect class="band" x="8" y="{begin - 4}" width="{width - 16}" '
            f'height="{end - begin + 8}" rx="8"/>'
            for begin, end in bands.values()
        ),
        *_axis(scale, top, y),
        *(part for row in placed.rows for part in _lives(row, scale, tops[id(row)])),
        *_arrows(line.arrows, placed, scale, tops),
        *(part for row in placed.rows for part in _boxes(row, scale, tops[id(row)])),
        *_breaks(scale, top, y),
        *(
            f'<text class="small" x="{GAP}" y="{y + FOOT - 8 + 18 * n}">{escape(words)}</text>'
            for n, words in enumerate(notes)
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
    words = [several(len(of), "request")]
    if line.left_out:
        words = [f"the first {len(of):,} of {len(of) + line.left_out:,} requests"]
    if cached := sum(box.kind is Kind.CACHE for box in line.boxes):
        words.append(f"{cached:,} awaited reads from the page cache")
    if line.traced:
        for group in (Group.HELPER, Group.NOTIFICATION):
            words.append(several(count[group], group.value.removesuffix("s")))
    return "  ·  ".join([*words, duration(line.end - line.begin)])


class Item(NamedTuple):
    """Says in the legend what the boxes of one kind are."""

    kind: Kind
    x: float
    y: int  # below the first line

    def drawn(self) -> Iterable[str]:
        at = f'x="{self.x:.0f}" y="{58 + self.y}"'
        yield f'<rect {at} width="16" height="14" rx="3" fill="{filling(self.kind)}"/>'
        words = escape(LEGEND[self.kind])
        yield f'<text class="small" x="{self.x + 22:.0f}" y="{70 + self.y}">{words}</text>'


def _legend(line: Timeline, width: int) -> Iterable[Item]:
    kinds = {box.kind for box in line.boxes}
    x, y = float(GAP), 0
    for kind, words in LEGEND.items():
        if kind in kinds:
            long = 22 + 6.5 * len(words)
            if x + long > width - GAP:
                x, y = float(GAP), y + LINE
            yield Item(kind, x, y)
            x += long + 18


def filling(kind: Kind) -> str:
    return "url(#waits)" if kind is Kind.QUEUE else COLOURS[kind]


def _axis(scale: Scale, top: float, y: float) -> Iterable[str]:
    _, ticks = scale.ticks(apart=60)
    size, unit = unit_of(ticks[-1] - scale.begin)
    for tick in ticks:
        x = scale.x(tick)
        yield f'<path class="grid" d="M{x:.1f} {top - 4}V{y + 4}"/>'
        words = f"{(tick - scale.begin) / size:g}"
        yield f'<text class="small middle" x="{x:.1f}" y="{y + 22}">{words}</text>'
    yield f'<text class="small end" x="{LEFT - 20}" y="{y + 22}">time, in {unit}</text>'


def _breaks(scale: Scale, top: float, y: float) -> Iterable[str]:
    tall = y - top + 16
    for one in scale.breaks:
        left, right = scale.x(one.begin), scale.x(one.end)
        middle = (left + right) / 2
        place = f'x="{middle - 5:.1f}" y="{top - 8}" width="10" height="{tall}"'
        yield f'<rect class="paper" {place}/>'
        for edge in (middle - 5, middle + 5):
            zigzag = "l4 8l-8 8l4 8" * int(tall // 24)
            yield f'<path d="M{edge:.1f} {top - 8}{zigzag}" fill="none" stroke="#9aa5b1"/>'
        words = f"{duration(one.end - one.begin)} left out"
        yield f'<text class="small middle" x="{middle:.1f}" y="{top - 12}">{words}</text>'


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
        tip = f"{box.label}, {duration(box.end - box.begin)}{' and more' if box.open else ''}"
        if box.detail:
            tip += f"\n{box.detail}"
        yield f'<g class="box" data-of="{" ".join(map(str, box.of))}"><title>{escape(tip)}</title>'
        size = f'width="{width:.1f}" height="{LOW if inner else tall}" rx="{1 if inner else 3}"'
        yield f'<rect x="{x:.1f}" y="{top:.1f}" {size} fill="{filling(box.kind)}"/>'
        from_, to = scale.longest(x, x + width)
        words = _fits(box, to - from_)
        if words:
            light = ' class="light"' if box.kind is Kind.CALL else ""
            at = top + (11 if inner or box.kind is Kind.CALLBACK else tall / 2 + 4)
            yield f'<text{light} x="{from_ + 5:.1f}" y="{at:.1f}">{escape(words)}</text>'
        end = x + 9 * len(box.error)
        if box.error and not inner and x > noted and scale.longest(x, end) == (x, end):
            yield f'<text class="error" x="{x + 5:.1f}" y="{y + 5:.1f}">{box.error}</text>'
            noted = end
        yield "</g>"


def _fits(box: Box, width: float) -> str:
    """The longest form of the label that fits into the box."""
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
    lines, most = [""], int((width - 2 * GAP) / 6.7)
    for one in words[:24]:
        joined = f"{lines[-1]}  ·  {one}" if lines[-1] else one
        if len(joined) > most:
            lines.append(one)
        else:
            lines[-1] = joined
    return lines
