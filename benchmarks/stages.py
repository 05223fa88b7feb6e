"""python benchmarks/stages.py [--against DIR]: where the microseconds of an awaited file go.

- For each stage, the wall time and the processor time of the loop's thread and of all others, of
  runs in which the clocks are read before and after each stage. What reading them costs is
  subtracted.
- For each chore as a whole, the system calls (strace, a long run minus a short one), and the share
  of the samples that fell into each of them, into the interpreter and into our C (perf). The kernel
  on behalf of no system call, such as switches between threads, is a line of its own.

The file is in the page cache, on a disk (TMPDIR), and everything happens one at a time. With
--against the same is measured with the package of another checkout, which has its own .venv.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from statistics import median
from typing import Any

from machine import described

N, RUNS, SHORT, LONG = 5000, 5, 200, 1200
Clocks = tuple[int, int, int]  # nanoseconds: wall, this thread, all threads
Stamp = Callable[[str], None]


def clocks() -> Clocks:
    return time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()


class Stages:
    """Adds up what passes between two stamps."""

    def __init__(self) -> None:
        self.sums: dict[str, list[int]] = {}
        self._last = clocks()

    def stamp(self, stage: str) -> None:
        now = clocks()
        sums = self.sums.setdefault(stage, [0, 0, 0])
        for i, (new, old) in enumerate(zip(now, self._last, strict=True)):
            sums[i] += new - old
        self._last = clocks()


async def open_read_close(folder: Path, n: int, stamp: Stamp) -> None:
    from aio_posix.asyncio import open

    path = str(folder / "small")
    for _ in range(n):
        stamp("")
        file = await open(path, "rb")
        stamp("open()")
        await file.read()
        stamp("read()")
        await file.close()
        stamp("close()")


async def write_and_flush(folder: Path, n: int, stamp: Stamp) -> None:
    from aio_posix.asyncio import open

    async with open(str(folder / "log"), "ab") as file:
        line = b"x" * 58 + b"\n"
        for _ in range(n):
            stamp("")
            await file.write(line)
            stamp("write()")
            await file.flush()
            stamp("flush()")


CHORES: dict[str, Callable[[Path, int, Stamp], Coroutine[Any, Any, None]]] = {
    "open, read 3 KiB, close": open_read_close,
    "write a line, flush": write_and_flush,
}


def child(chore: str, n: int, timed: bool) -> None:
    """Prints microseconds of each stage, if it is timed, and of the whole otherwise."""
    stages = Stages()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "small").write_bytes(b"x" * 3072)
        asyncio.run(CHORES[chore](Path(folder), min(n, 200), lambda stage: None))
        begin = clocks()
        asyncio.run(CHORES[chore](Path(folder), n, stages.stamp if timed else lambda stage: None))
        whole = [(new - old) / n / 1000 for new, old in zip(clocks(), begin, strict=True)]
    nothing = stages.sums.pop("", [0, 0, 0])
    if timed:
        cost = Stages()
        for _ in range(n):
            cost.stamp("")
        nothing = cost.sums[""]
    found = {
        stage: [(its - none) / n / 1000 for its, none in zip(sums, nothing, strict=True)]
        for stage, sums in stages.sums.items()
    }
    print(json.dumps(found | {"all of it, no clocks": whole} if not timed else found))


def run(python: str, chore: str, n: int, *how: str, under: tuple[str, ...] = ()) -> Any:
    command = [*under, python, __file__, "--child", chore, "--requests", str(n), *how]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def times(python: str, chore: str) -> dict[str, list[float]]:
    """Medians: wall, the loop's thread, other threads."""
    runs = [
        json.loads(run(python, chore, N, "--timed").stdout)
        | json.loads(run(python, chore, N).stdout)
        for _ in range(RUNS)
    ]
    found = {}
    for stage in runs[0]:
        wall, here, everywhere = (median(each[stage][i] for each in runs) for i in range(3))
        found[stage] = [wall, here, max(0.0, everywhere - here)]
    return found


def system_calls(python: str, chore: str) -> dict[str, float]:
    """How many of each one operation makes."""
    counts = []
    for n in (SHORT, LONG):
        with tempfile.NamedTemporaryFile("r") as file:
            run(python, chore, n, under=("strace", "-f", "-qq", "-c", "-o", file.name))
            lines = re.findall(
                r"^ +[\d.]+ +[\d.]+ +\d+ +(\d+) .*?(\w+)$", file.read(), re.MULTILINE
            )
        counts.append({name: int(number) for number, name in lines})
    each = {name: (n - counts[0].get(name, 0)) / (LONG - SHORT) for name, n in counts[1].items()}
    return {name: n for name, n in sorted(each.items(), key=lambda item: -item[1]) if n > 0.05}


def place(stack: list[str]) -> str:
    """What a sample counts for; the stack begins with the innermost function."""
    for name in stack:
        if found := re.search(r"__(?:x64|arm64)_sys_(\w+)", name):
            return f"kernel: {found[1].removeprefix('new')}()"
    if "[kernel" in stack[0]:
        return "kernel: entry, switches, interrupts"
    inner = stack[0]
    return next(
        (told for part, told in (("_ffi.abi3", "our C"), ("python", "Python")) if part in inner),
        "C library",
    )


def samples(python: str, chore: str) -> dict[str, float]:
    """The share of each place."""
    with tempfile.NamedTemporaryFile() as file:
        perf = ("perf", "record", "-q", "-g", "-e", "cpu-clock", "-F", "9999", "-o", file.name)
        run(python, chore, 20 * N, under=perf)
        script = ["perf", "script", "-i", file.name, "-F", "ip,sym,dso"]
        text = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    stacks = [stack.strip().splitlines() for stack in text.split("\n\n") if stack.strip()]
    places = Counter(map(place, stacks))
    return {
        name: n / places.total() for name, n in places.most_common() if n > places.total() / 100
    }


def table(heading: list[str], rows: list[list[str]]) -> None:
    for row in (heading, ["---"] * len(heading), *rows):
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", metavar="DIR", type=Path, help="another checkout, with .venv")
    parser.add_argument("--child", choices=CHORES, help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=N, help=argparse.SUPPRESS)
    parser.add_argument("--timed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.requests, options.timed)
        return
    sides = {"now": sys.executable}
    if options.against is not None:
        sides = {"before": str(options.against / ".venv" / "bin" / "python"), **sides}
    print(described(), "\n")
    for chore in CHORES:
        measured = {side: times(python, chore) for side, python in sides.items()}
        columns = [
            f"{side}, {what}" for side in sides for what in ("wall", "loop", "other threads")
        ]
        stages = list(measured["now"])
        rows = [
            [stage, *(f"{n:.1f}" for side in sides for n in measured[side].get(stage, [])), ]
            for stage in stages
        ]  # fmt: skip
        table([f"{chore}: µs", *columns], rows)
        found = {}
        if shutil.which("perf"):
            for side, python in sides.items():
                _, here, others = measured[side]["all of it, no clocks"]
                shares = samples(python, chore)
                found[side] = {name: share * (here + others) for name, share in shares.items()}
            names = sorted({name for its in found.values() for name in its})
            rows = [
                [name, *(f"{found[side].get(name, 0):.1f}" for side in sides)] for name in names
            ]
            table([f"{chore}: processor time, µs", *sides], rows)
        if shutil.which("strace"):
            calls = {side: system_calls(python, chore) for side, python in sides.items()}
            for side, its in calls.items():
                print(f"{side}: " + ", ".join(f"{n:.1f} {name}" for name, n in its.items()))
            print()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
