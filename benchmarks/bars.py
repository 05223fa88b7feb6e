"""Groups of bars as an SVG: the rate of each side, the longest bar being the fastest of its
group.
"""

from __future__ import annotations

from itertools import groupby
from xml.sax.saxutils import escape

ROW, GAP, LABEL, WIDTH, RIGHT = 21, 34, 150, 460, 170  # pixels
OURS, THEIRS, INK, PALE = (
    "#0072b2",
    "#c4c9d0",
    "#1f2933",
    "#616e7c",
)  # for colour-blind eyes, too


def svg(title: str, bars: list[tuple[str, str, str, float]]) -> str:
    """bars: group, unit, side, rate, those of a group together; sides that begin with "ours" stand
    out.
    """
    out = [
        f'<text x="16" y="28" font-size="17" font-weight="bold" fill="{INK}">{escape(title)}</text>'
    ]
    y = 40
    for (group, unit), members in groupby(bars, key=lambda bar: bar[:2]):
        sides = [(side, rate) for _, _, side, rate in members]
        mine, most = (
            next(rate for side, rate in sides if side.startswith("ours")),
            max(rate for _, rate in sides),
        )
        out.append(
            f'<text x="16" y="{y + 22}" font-size="13" font-weight="bold" fill="{INK}">{escape(group)}'
            f'<tspan font-weight="normal" fill="{PALE}">&#160; {unit}, and ours / theirs</tspan></text>'
        )
        y += GAP
        for side, rate in sides:
            ours, end = side.startswith("ours"), LABEL + max(1, rate / most * WIDTH)
            colour = OURS if ours else THEIRS
            ratio = "" if ours else f'<tspan fill="{PALE}">  {mine / rate:.2f}</tspan>'
            out += [
                f'<text x="{LABEL - 8}" y="{y + 12}" text-anchor="end" fill="{INK}">{escape(side)}</text>',
                f'<rect x="{LABEL}" y="{y}" width="{end - LABEL:.0f}" height="15" rx="2" fill="{colour}"/>',
                f'<text x="{end + 6:.0f}" y="{y + 12}" fill="{INK}" xml:space="preserve">{rate:,.0f}{ratio}</text>',
            ]
            y += ROW
    width, height = LABEL + WIDTH + RIGHT, y + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>{"".join(out)}</svg>\n'
    )
