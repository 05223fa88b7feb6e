"""From time to place in a picture. It is linear, with breaks where nothing begins or ends for a
long time.

The longest gaps between two moments are broken. A gap is long if it is longer than a third of all
that is shown, and twice as long as the next. A break keeps its width whatever it stands for, and
says how long it was.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

BREAK, MOST = 34.0, 8  # width of a break, and how many
SHARE, JUMP = 3, 2
# Of what is shown, the time on each side of the breaks together that is left as it is.
MARGIN = 0.06
UNITS = ((1, "ns"), (1000, "µs"), (1_000_000, "ms"), (1_000_000_000, "s"))


def several(number: int, noun: str) -> str:
    """1 request, 2 requests."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


@dataclass(frozen=True)
class Break:
    begin: int
    end: int


class Scale:
    def __init__(
        self, begin: int, end: int, moments: Iterable[int], left: float, width: float
    ) -> None:
        self.begin, self.end, self.left, self.width = begin, max(end, begin + 1), left, width
        times = sorted({begin, self.end, *(moment for moment in moments if begin <= moment <= end)})
        gaps = sorted(((b - a, a, b) for a, b in itertools.pairwise(times)), reverse=True)
        lengths = [gap for gap, _, _ in gaps]
        many, rest = 0, self.end - begin
        for number in range(1, min(MOST + 1, len(gaps))):
            shown = sum(lengths[number:])
            if (
                lengths[number - 1] >= JUMP * lengths[number]
                and lengths[number - 1] * SHARE > shown
            ):
                many, rest = number, shown
        margin = int(MARGIN * rest / max(many, 1))
        broken = [Break(first + margin, last - margin) for _, first, last in gaps[:many]]
        shown = rest + 2 * margin * many
        self.breaks = sorted(broken, key=lambda one: one.begin)
        self.per_ns = (width - BREAK * len(self.breaks)) / shown
        self.knots = [(begin, left)]  # where a straight piece begins
        for one in self.breaks:
            start, x = self.knots[-1]
            x += (one.begin - start) * self.per_ns
            self.knots += [(one.begin, x), (one.end, x + BREAK)]

    def x(self, moment: int) -> float:
        moment = min(max(moment, self.begin), self.end)
        number = bisect_right(self.knots, moment, key=lambda knot: knot[0]) - 1
        start, x = self.knots[number]
        if number % 2:  # inside a break
            one = self.breaks[number // 2]
            return x + (moment - start) / (one.end - one.begin) * BREAK
        return x + (moment - start) * self.per_ns

    def longest(self, left: float, right: float) -> tuple[float, float]:
        """The longest stretch between two places that no break cuts."""
        edges = [left, *(self.x(at) for one in self.breaks for at in (one.begin, one.end)), right]
        inside = [min(max(edge, left), right) for edge in edges]
        return max(
            zip(inside[::2], inside[1::2], strict=True), key=lambda piece: piece[1] - piece[0]
        )

    def ticks(self, apart: float) -> tuple[int, list[int]]:
        """The step, and the moments that get a mark, at least so far apart: so many steps from the
        beginning.
        """
        step = next(
            n * 10**p for p in range(12) for n in (1, 2, 5) if n * 10**p * self.per_ns >= apart
        )
        places, last = [], float("-inf")
        pieces = [
            self.begin,
            *(moment for one in self.breaks for moment in (one.begin, one.end)),
            self.end,
        ]
        for first, end in zip(pieces[::2], pieces[1::2], strict=True):
            at = self.begin - (self.begin - first) // step * step
            for moment in range(at, end + 1, step):
                if moment >= first and self.x(moment) - last >= apart * 0.7:
                    places.append(moment)
                    last = self.x(moment)
        return step, places


def duration(ns: float) -> str:
    """In the largest unit that leaves a number of at least 1, as 12 µs, 1.3 ms, 20 s."""
    size, unit = next((one for one in reversed(UNITS) if abs(ns) >= one[0]), UNITS[0])
    number = ns / size
    return (
        f"{number:.0f} {unit}" if number >= 10 or number == int(number) else f"{number:.1f} {unit}"
    )


def unit_of(longest: int) -> tuple[int, str]:
    """The unit for the marks of an axis, whose last is so far from the first."""
    return next((one for one in reversed(UNITS) if longest >= 2 * one[0]), UNITS[0])
