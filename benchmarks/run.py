"""Ours and C side by side, alternating, as medians and beside the goals.

    python benchmarks/run.py

Needs the package installed and gcc. README.md beside this file says how to read the table.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import sys
from pathlib import Path

import costs
import echo
import loops
from comparison import Row, as_json, headings, line, measure
from machine import described, machine
from programs import checkout


def chosen(rows: list[Row], wanted: list[str]) -> list[Row]:
    """The rows that the words name. A word that names none stands for all that begin with it."""
    names = [row.name for row in rows]
    picked = set[str]()
    for word in wanted:
        found = [word] if word in names else [name for name in names if name.startswith(word)]
        if not found:
            raise SystemExit(
                f"no row is called, or begins with, {word!r}; the rows are {', '.join(names)}"
            )
        picked.update(found)
    return [row for row in rows if not wanted or row.name in picked]


def raise_the_limit_of_open_files() -> None:
    """For the servers of the silent rows, which inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", metavar="ROW", action="append", default=[], help="row, or how rows begin"
    )
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="measured time of each run (default 2)"
    )
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side (default 5)")
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="write every single figure to FILE"
    )
    parser.add_argument(
        "--against",
        metavar="DIR",
        type=Path,
        help="another checkout, with .venv: its figures too, by default of the rows with a goal",
    )
    options = parser.parse_args()
    if not 0.1 <= options.seconds <= 60 or not 1 <= options.pairs <= 99:
        parser.error("--seconds is 0.1 to 60, --pairs 1 to 99")

    everything = [*loops.rows(options.seconds), *echo.rows(options.seconds), *costs.rows()]
    rows = chosen(everything, options.only)
    against = None
    if options.against is not None:
        against = checkout(options.against)
        if not options.only:
            rows = [row for row in rows if row.goal is not None]
    if importlib.util.find_spec("aio_posix") is None:
        raise SystemExit(f"aio_posix is not installed for {sys.executable}")
    raise_the_limit_of_open_files()

    print(described())
    print(headings(against is not None))
    results = []
    for row in rows:
        results.append(measure(row, options.pairs, against))
        print(line(results[-1]), flush=True)
    if options.json is not None:
        figures = {
            "machine": machine(),
            "seconds": options.seconds,
            "rows": [as_json(r) for r in results],
        }
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if any(result.failure for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
