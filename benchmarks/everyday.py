"""What programs do with files all day, with ours and with every rival that is installed.

    python benchmarks/everyday.py

The sides of a row take turns, each in a fresh process, and a figure is a median. "ours / best" is
the ratio to the fastest rival of that row. The last two columns come from runs of their own with 32
workers, in which a callback watches every turn of the loop. With --against DIR the same is measured
with the package of another checkout, which has its own .venv, as "before".
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

import adapters
from bars import Bar, store
from chores import CHORES, Chore
from machine import described, versions
from programs import checkout

HERE = Path(__file__).resolve().parent
LIMIT = 60  # seconds for one run over its measured time
WORKERS = 32  # for the longest turn and the least served
# The goals name these four. The best of all that are here has a column of its own.
FOUR = ["turbofile", "ayafileio", "urio", "aiofiles"]
RIVALS = [name for name in adapters.NAMES if not name.startswith("ours")]


class Row(NamedTuple):
    chore: Chore
    rates: dict[str, float]  # of the sides that could be measured
    turn: float | None  # ms
    share: float | None

    def best(self, of: list[str]) -> str:
        return max(of, key=lambda name: self.rates.get(name, 0))

    def ratio(self, to: str) -> float | None:
        """ours / theirs; to a side, to the "best" of all, or to the best of the "four"."""
        other = {"best": self.best(RIVALS), "four": self.best(FOUR)}.get(to, to)
        its, mine = self.rates.get(other), self.rates.get("ours")
        return mine / its if mine and its else None


def figures(python: str, name: str, chore: Chore, workers: int, seconds: float, *how: str
            ) -> dict[str, float] | None:  # fmt: skip
    """What one run measured. None if the library does not offer it, or failed."""
    command = [python, str(HERE / "chores.py"), name, chore.name, str(workers), str(seconds), *how]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + LIMIT)
        found: dict[str, float] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return found if found.get("rate") else None


def measure(chore: Chore, sides: dict[str, str], seconds: float, pairs: int) -> Row:
    """sides: name, and the interpreter that has it; "before" is ours of another checkout."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(pairs):
        for name, python in sides.items():
            if turn and not rates[name]:
                continue
            library = "ours" if name == "before" else name
            found = figures(python, library, chore, chore.workers, seconds)
            if found is not None:
                rates[name].append(found["rate"])
    watched = [
        found
        for _ in range(min(3, pairs))
        if (found := figures(sides["ours"], "ours", chore, WORKERS, seconds, "turns"))
    ]
    return Row(
        chore,
        {name: median(its) for name, its in rates.items() if its},
        median(f["turn"] for f in watched) if watched else None,
        median(f["share"] for f in watched) if watched else None,
    )


def cells(row: Row, names: list[str]) -> list[str]:
    unit = "" if row.chore.unit == "/s" else f" ({row.chore.unit})"
    shown = [row.chore.title + unit]
    shown += [f"{row.rates[name]:,.0f}" if name in row.rates else "-" for name in names]
    for to in ["before"] * ("before" in names) + ["best"]:
        ratio = row.ratio(to)
        shown.append("-" if ratio is None else f"{ratio:.2f}")
    shown.append(", ".join(judged(row)))
    shown.append("-" if row.turn is None else f"{row.turn:.1f} ms")
    shown.append("-" if row.share is None else f"{row.share:.2f}")
    return shown


def judged(row: Row) -> list[str]:
    told = []
    for to, goal in row.chore.goals.items():
        ratio = row.ratio(to)
        if ratio is not None:
            its = f" of {to} ({ratio:.2f})"
            told.append(f"{'met' if ratio >= goal else 'MISSED'}: {goal:g}{its}")
    return told


def headings(names: list[str]) -> list[str]:
    ratios = ["ours / before"] * ("before" in names) + ["ours / best"]
    return ["per second", *names, *ratios, "goal", "longest turn", "least of 32"]


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="benchmarks/everyday.py", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run (default 1)")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side (default 5)")
    parser.add_argument("--only", metavar="ROW", action="append", help="rows that begin so")
    parser.add_argument("--library", metavar="NAME", action="append", choices=RIVALS)
    parser.add_argument("--against", metavar="DIR", type=Path, help="another checkout, with .venv")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the table to FILE")
    parser.add_argument("--json", metavar="FILE", type=Path, help="the rates, for bars.py")
    options = parser.parse_args()
    sides = {"ours": sys.executable}
    if options.against is not None:
        sides["before"] = checkout(options.against).python
    sides |= dict.fromkeys([*(options.library or RIVALS), "builtin"], sys.executable)
    chosen = [c for c in CHORES if not options.only or c.name.startswith(tuple(options.only))]

    its = versions(["turbofile", "ayafileio", "urio", "py-asyncfiles", "aiofile", "aiofiles",
                    "anyio"])  # fmt: skip
    about = ", ".join([described(), *(f"{name} {version}" for name, version in its.items())])
    print(about, flush=True)
    rows = []
    for chore in chosen:
        row = measure(chore, sides, options.seconds, options.pairs)
        rows.append(row)
        print(f"{chore.title}: {chore.unit}")
        for name, rate in row.rates.items():
            ratio = "" if name == "ours" else f"{row.rates.get('ours', 0) / rate:8.2f}"
            print(f"    {name:<12} {rate:>12,.0f} {ratio}{'  best' * (name == row.best(RIVALS))}")
        turn, share = cells(row, [])[-2:]
        print(f"    {'; '.join(judged(row))}; longest turn {turn}, least of 32 {share}", flush=True)
    if options.json is not None:
        bars = [
            Bar(row.chore.title, row.chore.unit, name, rate)
            for row in rows
            if "ours" in row.rates
            for name, rate in row.rates.items()
        ]
        title = "What programs do with files all day: rates, medians of one run"
        store(options.json, title, about, bars)
    if options.markdown is not None:
        names = [name for name in sides if any(name in row.rates for row in rows)]
        table = [headings(names), ["---"] * len(headings(names))]
        table += [cells(row, names) for row in rows]
        lines = ["| " + " | ".join(row) + " |" for row in table]
        options.markdown.write_text("\n".join([*lines, "", f"({about})"]) + "\n")


if __name__ == "__main__":
    main()
