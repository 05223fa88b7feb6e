"""python benchmarks/asyncio_files.py [--svg FILE]: awaited reads and files beside those of the
peers, in one run.

Needs the package and its extra [bench]; fio for its rows; a peer that is not there costs its rows.
All sides of a group alternate; a figure is the ratio of medians. turbofile needs Python 3.12 or
newer.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from bars import svg

HERE = Path(__file__).resolve().parent
FILE = HERE / "build" / "asyncio-pages"
SIZE = 64 << 20  # bytes: larger than processor caches, small enough to stay in the page cache
WHOLE = 256 << 20  # bytes that read() reads at once
LINES = 1_000_000
LIMIT = 120  # seconds for one program

# group: how it is called, ours, requests in flight, what is special, and the peers with their goals
GROUPS: list[tuple[str, str, int, str, dict[str, float | None]]] = [
    ("hot, 1 in flight", "ours", 1, "",
     {"turbofile": 1.5, "caio-uring": 2, "aiofiles": 30, "aiofile": None, "to_thread": None, "sync": None}),
    ("hot, 32 in flight", "ours", 32, "",
     {"turbofile": 1.5, "caio-uring": 2, "aiofiles": 30, "aiofile": None, "to_thread": None, "sync": None}),
    ("fast path off, 32", "ours-aio", 32, "", {"caio-uring": 1, "caio-thread": 3, "caio-linux": None}),
    ("O_DIRECT, 32", "ours-descriptor", 32, "direct",
     {"fio-posixaio": 3, "fio-io_uring": 0.5, "caio-linux": None, "sync": None}),
    ("read() of 256 MiB", "ours", 1, "whole", {"builtin": 0.9, "aiofiles": None}),
    ("read() of 256 MiB of text", "ours", 1, "text", {"builtin": 0.9, "aiofiles": None}),
    ("1,000,000 lines", "ours", 1, "lines", {"aiofiles": 5, "builtin": None}),
]  # fmt: skip
UNITS = {"whole": "MiB/s", "text": "MiB/s", "lines": "lines/s"}


def figures(peer: str, in_flight: int, seconds: float, how: str) -> dict[str, float] | None:
    """What one program measured; None if it could not."""
    if peer.startswith("fio-"):
        return fio(peer[4:], in_flight, seconds)
    if how in UNITS:
        file = FILE.with_name("asyncio-lines" if how == "lines" else "asyncio-whole")
        args = [str(HERE / "python" / "asyncio_whole.py"), peer, how, str(seconds), str(file)]
    else:
        args = [
            str(HERE / "python" / "asyncio_reads.py"),
            peer,
            str(in_flight),
            str(seconds),
            str(FILE),
        ]
        args += filter(None, [how])
    command = [sys.executable, *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
        result: dict[str, float] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return result


def fio(engine: str, in_flight: int, seconds: float) -> dict[str, float] | None:
    if shutil.which("fio") is None:
        return None
    command = ["fio", "--name=x", f"--filename={FILE}", "--rw=randread", "--bs=4k", "--direct=1", "--readonly",
               f"--ioengine={engine}", f"--iodepth={in_flight}", f"--runtime={max(1, round(seconds))}", "--time_based",
               f"--size={SIZE}", "--output-format=json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    try:
        return {
            "rate": json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]["read"]["iops"]
        }
    except (ValueError, KeyError):
        return None


def verdict(figure: float, goal: float | None, most: bool = False) -> str:
    if goal is None:
        return ""
    met = figure <= goal if most else figure >= goal
    return f"{'<=' if most else '>='} {goal:<5g} {'met' if met else 'MISSED'}"


def group(name: str, ours: str, in_flight: int, how: str, peers: dict[str, float | None], seconds: float, pairs: int
          ) -> list[tuple[str, str, str, float]]:  # fmt: skip
    rates: dict[str, list[float]] = {peer: [] for peer in (ours, *peers)}
    for _ in range(pairs):
        for peer in rates:
            measured = figures(peer, in_flight, seconds, how)
            if measured is not None and measured["rate"]:
                rates[peer].append(measured["rate"])
    if not rates[ours]:
        print(f"{name}: ours could not be measured")
        return []
    mine = median(rates[ours])
    print(f"{name + ': ' + ours:<38} {mine:>10,.0f} {UNITS.get(how, 'reads/s')}")
    for peer, goal in peers.items():
        if not rates[peer]:
            print(f"{'':<6}{peer:<32} {'not here':>10}")
            continue
        its = median(rates[peer])
        print(
            f"{'':<6}{peer:<32} {its:>10,.0f}   {mine / its:>7.2f}  {verdict(mine / its, goal)}".rstrip(),
            flush=True,
        )
    unit = UNITS.get(how, "reads/s")
    return [(name, unit, peer, median(found)) for peer, found in rates.items() if found]


def courtesy(seconds: float, pairs: int) -> None:
    """How long a turn of the loop is, and how evenly 32 workers are served."""
    for peer, goal in (
        ("ours", 10.0),
        ("ours-aio", 10.0),
        ("caio-uring", None),
        ("turbofile", None),
    ):
        found = [f for _ in range(pairs) if (f := figures(peer, 32, seconds, "turns")) is not None]
        if found:
            turn, share = median(f["turn"] for f in found), median(f["share"] for f in found)
            print(
                f"longest turn, {peer:<24} {turn:>10.1f} ms          {verdict(turn, goal, most=True)}".rstrip()
            )
            goal_of_share = None if goal is None else 0.5
            judged = verdict(share, goal_of_share)
            print(
                f"least of 32 workers / mean, {peer:<10} {share:>10.2f}             {judged}".rstrip()
            )


def line_of(pairs: int) -> None:
    """Whether a request costs more when 100,000 are outstanding."""
    few: list[float] = []
    many: list[float] = []
    for _ in range(pairs):
        for found, n in ((few, 100), (many, 100_000)):
            measured = figures("ours-aio", n, 0, "outstanding")
            if measured is not None:
                found.append(measured["rate"])
    if few and many:
        ratio = median(few) / median(many)
        print(
            f"cost with 100,000 outstanding / with 100 {ratio:>8.2f}             {verdict(ratio, 1.2, most=True)}"
        )


def prepare() -> None:
    """The files, and their pages in the page cache."""
    FILE.parent.mkdir(exist_ok=True)
    lines = b"".join(b"%07d the quick brown fox jumps over the dog\n" % i for i in range(1000))
    for path, data, times in (
        (FILE, os.urandom(SIZE), 1),
        (FILE.with_name("asyncio-whole"), bytes(range(32, 96)) * (1 << 14), WHOLE >> 20),
        (FILE.with_name("asyncio-lines"), lines, LINES // 1000),
    ):
        if not path.exists() or path.stat().st_size != len(data) * times:
            with open(path, "wb") as file:
                for _ in range(times):
                    file.write(data)
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks/asyncio_files.py", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="measured time of each run (default 1)"
    )
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side (default 5)")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="groups whose name begins so"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the rates")
    options = parser.parse_args()
    prepare()
    print(f"python {sys.version.split()[0]}, kernel {os.uname().release}, {os.cpu_count()} cpus")
    bars = []
    for name, ours, in_flight, how, peers in GROUPS:
        if not options.only or name.startswith(tuple(options.only)):
            bars += group(name, ours, in_flight, how, peers, options.seconds, options.pairs)
    if not options.only:
        courtesy(options.seconds, options.pairs)
        line_of(min(3, options.pairs))
    if options.svg:
        title = "Awaited reads of 4 KiB, whole files and lines: rates, medians of one run"
        options.svg.write_text(svg(title, bars))


if __name__ == "__main__":
    main()
