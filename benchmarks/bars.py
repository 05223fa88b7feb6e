"""Groups of bars as an SVG: the rate of each side, the longest bar being the fastest of its group.

The colours follow the reader's light or dark scheme, and a line at the foot names the machine.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple
from xml.sax.saxutils import escape

ROW, GAP, LABEL, WIDTH, RIGHT = 21, 34, 150, 460, 170  # pixels

# Blue and grey stay apart for colour-blind eyes too.
STYLE = """\
rect.paper{fill:#fff}rect.ours{fill:#0072b2}rect.theirs{fill:#c4c9d0}
text{fill:#1f2933}.pale{fill:#616e7c}.name{font-size:13px;font-weight:bold}
.end{text-anchor:end}.title{font-size:17px;font-weight:bold}.note{font-weight:normal}
@media (prefers-color-scheme:dark){rect.paper{fill:#0d1117}rect.ours{fill:#56b4e9}
rect.theirs{fill:#4a5560}text{fill:#e6edf3}.pale{fill:#9aa5b1}}"""


class Bar(NamedTuple):
    """Bars of one group stand together; a side whose name begins with "ours" stands out."""

    group: str
    unit: str
    side: str
    rate: float


def text(x: float, y: float, words: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.0f}" y="{y}"{kind} xml:space="preserve">{words}</text>'


def pale(words: str) -> str:
    return f'<tspan class="pale note">{words}</tspan>'


def svg(title: str, foot: str, bars: list[Bar]) -> str:
    out = [text(16, 28, escape(title), "title")]
    y = 40
    for (group, unit), members in groupby(bars, key=lambda bar: (bar.group, bar.unit)):
        sides = list(members)
        mine = next(bar.rate for bar in sides if bar.side.startswith("ours"))
        most = max(bar.rate for bar in sides)
        heading = escape(group) + pale(f"&#160; {escape(unit)}, and ours / theirs")
        out.append(text(16, y + 22, heading, "name"))
        y += GAP
        for bar in sides:
            ours = bar.side.startswith("ours")
            width = max(1, bar.rate / most * WIDTH)
            rate = f"{bar.rate:,.0f}" + ("" if ours else pale(f"  {mine / bar.rate:.2f}"))
            out += [
                text(LABEL - 8, y + 12, escape(bar.side), "end"),
                f'<rect class="{"ours" if ours else "theirs"}" x="{LABEL}" y="{y}"'
                f' width="{width:.0f}" height="15" rx="2"/>',
                text(LABEL + width + 6, y + 12, rate),
            ]
            y += ROW
    out.append(text(16, y + 22, escape(foot), "pale"))
    width, height = LABEL + WIDTH + RIGHT, y + 36
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        f'<style>{STYLE}</style><rect class="paper" width="100%" height="100%"/>{"".join(out)}'
        "</svg>\n"
    )
