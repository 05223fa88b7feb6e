"""Draws the bars of FILE.json as FILE.svg and FILE-dark.svg.

    python benchmarks/bars.py FILE.json ...

A file holds the rates of one run in groups, and names its machine. The longest bar of a group is
its fastest side. Drawing needs no new measurement.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

ROW, GAP, LABEL, WIDTH, RIGHT = 21, 34, 170, 440, 150  # pixels, 760 in all as pages show them
SIDES = {  # what a side is called in a picture where its name says little
    "ours": "aio_posix",
    "ours-aio": "aio_posix",
    "ours-file": "aio_posix",
    "ours-many": "pread_many",
    "ours-many-aio": "pread_many",
    "ours-readinto-many": "readinto_many",
    "ours-write-many": "pwrite_many",
    "ours-gathered": "asyncio.gather of ours",
    "ours-gathered-aio": "asyncio.gather of ours",
    "ours-write-gathered": "asyncio.gather of ours",
    "before": "aio_posix before",
    "builtin": "built-in open()",
    "sync": "os.pread, no await",
    "to_thread": "asyncio.to_thread",
    "caio-uring": "caio on io_uring",
    "caio-linux": "caio on libaio",
    "caio-thread": "caio on threads",
    "caio-uring-gathered": "caio, gathered",
    "caio-write-gathered": "caio, gathered",
    "c": "glibc, from C",
    "fio-posixaio": "fio, posixaio",
    "fio-io_uring": "fio, io_uring",
}


class Palette(NamedTuple):
    paper: str
    ours: str
    theirs: str
    ink: str
    pale: str


# Blue and grey stay apart for colour-blind eyes too.
LIGHT = Palette("#ffffff", "#0072b2", "#c4c9d0", "#1f2933", "#52606d")
DARK = Palette("#0d1117", "#56b4e9", "#4a5560", "#e6edf3", "#a9b4c0")
STYLE = (
    "rect.paper{{fill:{0.paper}}}rect.ours{{fill:{0.ours}}}rect.theirs{{fill:{0.theirs}}}"
    "text{{fill:{0.ink}}}.pale{{fill:{0.pale}}}.name{{font-size:13px;font-weight:bold}}"
    ".end{{text-anchor:end}}.title{{font-size:17px;font-weight:bold}}.note{{font-weight:normal}}"
)


class Bar(NamedTuple):
    """Bars of one group stand together, and the first is ours."""

    group: str
    unit: str
    side: str
    rate: float


def store(path: Path, title: str, machine: str, bars: list[Bar]) -> None:
    held = {"title": title, "machine": machine, "bars": [bar._asdict() for bar in bars]}
    path.write_text(json.dumps(held, indent=1) + "\n")


def draw(path: Path) -> None:
    held = json.loads(path.read_text())
    bars = [Bar(**bar) for bar in held["bars"]]
    for suffix, palette in ((".svg", LIGHT), ("-dark.svg", DARK)):
        picture = svg(held["title"], held["machine"], bars, palette)
        path.with_name(path.stem + suffix).write_text(picture)


def text(x: float, y: float, words: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.0f}" y="{y}"{kind} xml:space="preserve">{words}</text>'


def pale(words: str) -> str:
    return f'<tspan class="pale note">{words}</tspan>'


def svg(title: str, machine: str, bars: Iterable[Bar], palette: Palette) -> str:
    out = [text(16, 28, escape(title), "title")]
    y = 40
    for (group, unit), members in groupby(bars, key=lambda bar: (bar.group, bar.unit)):
        sides = list(members)
        mine, most = sides[0].rate, max(bar.rate for bar in sides)
        heading = escape(group) + pale(f"&#160; {escape(unit)}, and ours / theirs")
        out.append(text(16, y + 22, heading, "name"))
        y += GAP
        for bar in sides:
            width = max(1, bar.rate / most * WIDTH)
            rate = f"{bar.rate:,.0f}" + (
                "" if bar is sides[0] else pale(f"  {mine / bar.rate:.2f}")
            )
            kind = "ours" if bar.side.startswith("ours") else "theirs"
            out += [
                text(LABEL - 8, y + 12, escape(SIDES.get(bar.side, bar.side)), "end"),
                f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{width:.0f}" height="15"/>',
                text(LABEL + width + 6, y + 12, rate),
            ]
            y += ROW
    width = LABEL + WIDTH + RIGHT
    for line in lines(machine, width // 7):
        out.append(text(16, y + 22, escape(line), "pale"))
        y += 18
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 18}"'
        f' viewBox="0 0 {width} {y + 18}" font-family="sans-serif" font-size="12">',
        f"<style>{STYLE.format(palette)}</style>",
        '<rect class="paper" width="100%" height="100%" rx="10"/>',
        *out,
        "</svg>\n",
    ])  # fmt: skip


def lines(words: str, most: int) -> list[str]:
    """The parts of a list with commas, in lines of at most so many characters."""
    found = [""]
    for part in words.split(", "):
        joined = f"{found[-1]}, {part}" if found[-1] else part
        if len(joined) > most:
            found.append(part)
        else:
            found[-1] = joined
    return found


if __name__ == "__main__":
    for name in sys.argv[1:]:
        draw(Path(name))
