"""Panels of bars and lines, as text and as one SVG, light or dark. Numbers go in, and a string
comes out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from xml.sax.saxutils import escape

WIDTH, HEIGHT, GAP = 728, 250, 16  # of a panel, and between panels; a page is 760 wide
LEFT, TOP, RIGHT, BOTTOM = 76, 66, 24, 34  # inside a panel, around what is drawn
COLOURS = ("#0f8a5f", "#c77700", "#52606d")
# the colours of pages/page.css
IN_THE_DARK = {
    "#fff": "#1b242d",
    "#f5f7fa": "#222d38",
    "#cbd2d9": "#3b4956",
    "#e4e7eb": "#33404c",
    "#9aa5b1": "#7b8a99",
    "#52606d": "#9fb0c0",
    "#1f2933": "#e4e7eb",
    "#0f8a5f": "#3ecf97",
    "#c6f0dd": "#12503b",
    "#c77700": "#f0ae3c",
    "#ffe8b8": "#5c4310",
}
STYLE = """
    .panel { fill: #f5f7fa; stroke: #cbd2d9 }
    .name { font-weight: 600; font-size: 17px }
    .small { font-size: 13px; fill: #52606d }
    .axis { stroke: #9aa5b1; stroke-width: 1 }
    .grid { stroke: #e4e7eb; stroke-width: 1 }
    .end { text-anchor: end }
    .middle { text-anchor: middle }
"""


@dataclass(frozen=True)
class Bars:
    title: str
    what: str
    values: dict[str, float]

    def text(self) -> str:
        return "\n".join(
            [
                f"{self.title}: {self.what}",
                *(f"  {k:<28}{v:>12,.0f}" for k, v in self.values.items()),
            ]
        )

    def draw(self) -> list[str]:
        label = 146
        most, room = max(self.values.values()), WIDTH - label - RIGHT - 62
        step = (HEIGHT - TOP - BOTTOM + 16) / len(self.values)
        parts = []
        for n, (name, value) in enumerate(self.values.items()):
            y, width = TOP + n * step, max(2.0, room * value / most)
            middle = y + step * 0.35 + 5
            parts += [
                f'<text class="small end" x="{label - 8}" y="{middle:.0f}">{escape(name)}</text>',
                f'<rect x="{label}" y="{y:.1f}" width="{width:.1f}" height="{step * 0.7:.1f}"'
                f' rx="3" fill="{COLOURS[0] if n < len(self.values) - 1 else COLOURS[2]}"/>',
                f'<text class="small" x="{label + width + 6:.1f}" y="{middle:.0f}">'
                f"{value:,.0f}</text>",
            ]
        return parts


@dataclass(frozen=True)
class Lines:
    title: str
    what: str
    at: Sequence[int]
    series: dict[str, list[float]]
    doubling: bool = False  # the horizontal axis, where each step is twice the one before

    def text(self) -> str:
        lines = [f"{self.title}: {self.what}", f"  {'':<28}" + "".join(f"{x:>9,}" for x in self.at)]
        lines += [
            f"  {name:<28}" + "".join(f"{y:>9,.{int(y < 1000)}f}" for y in values)
            for name, values in self.series.items()
        ]
        return "\n".join(lines)

    def draw(self) -> list[str]:
        ticks = nice(max(max(values) for values in self.series.values()))
        last = len(self.at) - 1
        marked = self.at if self.doubling else [self.at[0], self.at[last // 2 + 1], self.at[last]]
        parts = [
            line
            for y in ticks
            for line in (
                f'<path class="grid" d="M{LEFT} {self.y(y, ticks):.1f}H{WIDTH - RIGHT}"/>',
                f'<text class="small end" x="{LEFT - 6}" y="{self.y(y, ticks) + 4:.1f}">'
                f"{y:,.0f}</text>",
            )
        ]
        parts += [
            f'<text class="small middle" x="{self.x(x):.1f}" y="{HEIGHT - 14}">{x:,}</text>'
            for x in marked
        ]
        parts.append(f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
        for n, (name, values) in enumerate(self.series.items()):
            points = [(self.x(x), self.y(y, ticks)) for x, y in zip(self.at, values, strict=True)]
            path = " ".join(f"{x:.1f} {y:.1f}" for x, y in points)
            parts.append(
                f'<path d="M{path}" fill="none" stroke="{COLOURS[n]}" stroke-width="2.5"/>'
            )
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[n]}"/>' for x, y in points
            ]
            at = TOP + 14 + 20 * n
            parts.append(
                f'<path d="M{LEFT + 12} {at - 4}h18" stroke="{COLOURS[n]}" stroke-width="3"/>'
            )
            parts.append(f'<text class="small" x="{LEFT + 36}" y="{at}">{escape(name)}</text>')
        return parts

    def x(self, value: float) -> float:
        low, high = (
            (log2(self.at[0]), log2(self.at[-1])) if self.doubling else (self.at[0], self.at[-1])
        )
        place = ((log2(value) if self.doubling else value) - low) / (high - low)
        return LEFT + 10 + place * (WIDTH - LEFT - RIGHT - 20)

    @staticmethod
    def y(value: float, ticks: Sequence[float]) -> float:
        return HEIGHT - BOTTOM - value / ticks[-1] * (HEIGHT - TOP - BOTTOM)


Panel = Bars | Lines


def dark(svg: str) -> str:
    """A light drawing in the colours of a dark page."""
    return re.sub(r"#[0-9a-f]{3,6}\b", lambda colour: IN_THE_DARK[colour[0]], svg)


def nice(most: float) -> list[float]:
    """Round numbers from 0 to at least `most`."""
    step = next(
        one * 10**power
        for power in range(-3, 12)
        for one in (1, 2, 5)
        if most / (one * 10**power) <= 5
    )
    return [n * step for n in range(6) if (n - 1) * step < most]


def drawing(panels: Sequence[Panel], note: str) -> str:
    width, height = WIDTH + 2 * GAP, len(panels) * (HEIGHT + GAP) + GAP + 22
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        "font-family=\"system-ui, 'DejaVu Sans', Verdana, sans-serif\" "
        'font-size="15" fill="#1f2933">',
        f"<title>{escape('; '.join(panel.title for panel in panels))}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" rx="10" fill="#fff"/>',
    ]
    for n, panel in enumerate(panels):
        parts += [
            f'<g transform="translate({GAP} {GAP + n * (HEIGHT + GAP)})">',
            f'<rect class="panel" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
            f'<text class="name" x="16" y="28">{escape(panel.title)}</text>',
            f'<text class="small" x="16" y="48">{escape(panel.what)}</text>',
            *panel.draw(),
            "</g>",
        ]
    parts.append(f'<text class="small" x="{GAP}" y="{height - 12}">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
