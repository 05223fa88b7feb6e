"""A row of the table has two sides measured in turn, their medians, and the goal that judges them.

- The sides alternate (before, ours, C, before ...), so that a machine that slows down slows all.
- The figure of a ratio row is median(ours) / median(C). The spread beside it is the lowest and the
  highest ratio of a single pair. A spread that crosses the goal asks for a longer measurement.
- "others" is the share of all cores that went to processes not of this run, in the worst pair. With
  more than a few per cent the row says little.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from programs import THIS, Checkout, ProgramError

Kind = Literal["rate", "time", "extra", "amount"]
AT_LEAST = ("rate", "time")


@dataclass(frozen=True)
class Row:
    """The figure of a "rate" is ours / C, and that of a "time" C / ours, at least `goal`.
    An "extra" is ours - C, at most `goal`. An "amount" is ours, at most `goal`, and stands alone.
    Without a goal the row is there to be read, and fails only when a program does.
    """

    name: str
    unit: str
    kind: Kind
    goal: float | None
    ours: Callable[[Checkout], float]
    c: Callable[[], float] | None = None
    most_pairs: int = 99


@dataclass(frozen=True)
class Result:
    row: Row
    ours: list[float]
    c: list[float]
    others: list[float]  # of each pair
    before: list[float]  # ours of another checkout
    failure: str | None = None

    @property
    def figure(self) -> float:
        return combine(self.row.kind, median(self.ours), median(self.c) if self.c else 0.0)

    @property
    def figure_before(self) -> float:
        return combine(self.row.kind, median(self.before), median(self.c) if self.c else 0.0)

    @property
    def spread(self) -> tuple[float, float]:
        others = self.c or [0.0] * len(self.ours)
        singles = [combine(self.row.kind, a, b) for a, b in zip(self.ours, others, strict=True)]
        return min(singles), max(singles)

    @property
    def met(self) -> bool:
        if self.failure is not None:
            return False
        if self.row.goal is None:
            return True
        if self.row.kind in AT_LEAST:
            return self.figure >= self.row.goal
        return self.figure <= self.row.goal


def combine(kind: Kind, ours: float, c: float) -> float:
    if kind == "rate":
        return ours / c
    if kind == "time":
        return c / ours
    return ours - c


def measure(row: Row, pairs: int, against: Checkout | None = None) -> Result:
    result = Result(row, [], [], [], [])
    try:
        for _ in range(min(pairs, row.most_pairs)):
            before = clocks()
            if against is not None:
                result.before.append(row.ours(against))
            result.ours.append(row.ours(THIS))
            if row.c is not None:
                result.c.append(row.c())
            result.others.append(others(before, clocks()))
    except ProgramError as error:
        return replace(result, failure=str(error))
    return result


def clocks() -> tuple[float, float, float]:
    """Seconds: of the clock, of all cores at work, of this process and the children it has waited
    for.
    """
    with open("/proc/stat") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # but for idle and iowait
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic(), busy, sum(usage.ru_utime + usage.ru_stime for usage in usages)


def others(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    elapsed, busy, own = (b - a for a, b in zip(before, after, strict=True))
    return max(0.0, (busy - own) / (elapsed * (os.cpu_count() or 1)))


def headings(against: bool) -> str:
    before = f" {'before':>9} {'its figure':>10}" if against else ""
    return (
        f"{'row':<22} {'ours':>9} {'C':>9}  {'unit':<13} {'figure':>7}"
        f"  {'of single pairs':<15} {'others':>6} {'goal':>7}  {'':<6}{before}"
    ).rstrip()


def line(result: Result) -> str:
    row = result.row
    if result.failure is not None:
        return f"{row.name:<22} FAILED: {result.failure}"
    low, high = result.spread
    goal = verdict = ""
    if row.goal is not None:
        goal = f"{'>=' if row.kind in AT_LEAST else '<='} {row.goal:g}"
        verdict = "met" if result.met else "MISSED"
    before = ""
    if result.before:
        before = f" {rounded(result.before)} {result.figure_before:>10.2f}"
    return (
        f"{row.name:<22} {rounded(result.ours)} {rounded(result.c)}  {row.unit:<13}"
        f" {result.figure:>7.2f}  {f'{low:.2f} .. {high:.2f}':<15} {max(result.others):>6.0%}"
        f" {goal:>7}  {verdict:<6}{before}".rstrip()
    )


def rounded(figures: list[float]) -> str:
    if not figures:
        return f"{'-':>9}"
    middle = median(figures)
    return f"{middle:>9,.{0 if middle >= 1000 else 2}f}"


def as_json(result: Result) -> dict[str, object]:
    row = result.row
    figures: dict[str, object] = {
        "row": row.name,
        "unit": row.unit,
        "kind": row.kind,
        "goal": row.goal,
    }
    figures |= {
        "ours": result.ours,
        "c": result.c,
        "before": result.before,
        "others": result.others,
        "met": result.met,
        "failure": result.failure,
    }
    if result.failure is None:
        figures |= {"figure": result.figure, "spread": result.spread}
    return figures
