"""Awaited reads and files beside those of other libraries, in one run.

    python benchmarks/asyncio_files.py [--json FILE]

Needs the package with its extra [bench], and fio. What is not there costs its rows. All sides of a
group alternate, and a figure is the ratio of medians. turbofile needs Python 3.12 or newer. "c" is
what c/reads.c reaches through glibc without Python.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bars import Bar, store
from machine import described, versions
from programs import c_number

HERE = Path(__file__).resolve().parent
FILE = HERE / "build" / "asyncio-pages"
SIZE = 64 << 20  # bytes, more than processor caches hold and few enough for the page cache
WHOLE = 256 << 20  # bytes that read() reads at once
LINES = 1_000_000
LIMIT = 120  # seconds for one program
UNITS = {"whole": "MiB/s", "text": "MiB/s", "lines": "lines/s"}


class Group(NamedTuple):
    name: str
    ours: str
    in_flight: int
    how: str
    peers: dict[str, float | None]  # and the ratio that is the goal

    @property
    def unit(self) -> str:
        return UNITS.get(self.how, "reads/s")


IN_CACHE: dict[str, float | None] = {"turbofile": 1.6, "caio-uring": 3, "aiofiles": 50}
OTHERS: dict[str, float | None] = {"aiofile": None, "to_thread": None, "sync": None}
GROUPS = [
    Group("page cache, 1 in flight", "ours", 1, "", IN_CACHE | OTHERS),
    Group("page cache, 32 in flight", "ours", 32, "", IN_CACHE | OTHERS),
    Group(
        "page cache not asked, 1 in flight", "ours-aio", 1, "",
        {"caio-thread": 1, "caio-uring": None, "caio-linux": None, "c": None},
    ),
    Group(
        "page cache not asked, 32 in flight", "ours-aio", 32, "",
        {"caio-uring": 0.8, "caio-thread": 8, "caio-linux": None, "c": None},
    ),
    Group(
        "O_DIRECT, 32 in flight", "ours-file", 32, "direct",
        {"fio-posixaio": 3.3, "fio-io_uring": 0.65, "caio-linux": None, "sync": None, "c": None},
    ),
    Group(
        "one await for 32 reads, page cache not asked", "ours-many-aio", 32, "",
        {"caio-uring": 1.2, "caio-uring-gathered": None, "ours-gathered-aio": None},
    ),
    Group(
        "one await for 32 reads, page cache", "ours-many", 32, "",
        {"ours-gathered": 3, "caio-uring-gathered": None},
    ),
    Group(
        "one await for 32 reads into buffers", "ours-readinto-many", 32, "", {"ours-gathered": 3}
    ),
    Group(
        "one await for 32 writes", "ours-write-many", 32, "write",
        {"ours-write-gathered": 1, "caio-write-gathered": None},
    ),
    Group(
        "not in the page cache, 32 in flight", "ours", 32, "cold",
        {"fio-posixaio": 2.5, "caio-uring": None},
    ),
    Group("read() of 256 MiB", "ours", 1, "whole", {"builtin": 0.9, "aiofiles": None}),
    Group("read() of 256 MiB of text", "ours", 1, "text", {"builtin": 0.9, "aiofiles": None}),
    Group("1,000,000 lines", "ours", 1, "lines", {"builtin": 0.5, "aiofiles": 5}),
]  # fmt: skip


def figures(peer: str, in_flight: int, seconds: float, how: str) -> dict[str, float] | None:
    """What one program measured, or None if it could not."""
    if peer.startswith("fio-"):
        return fio(peer[4:], in_flight, seconds, direct=how == "direct")
    if peer == "c":
        rate = c_number("reads", FILE, in_flight, seconds, *how.split(), seconds=seconds)
        return {"rate": rate}
    program, file = "reads.py", FILE.with_name("asyncio-written") if "write" in how else FILE
    args = [peer, str(in_flight), str(seconds), str(file), *how.split()]
    what, *more = how.split() or [""]
    if what in UNITS:
        file = FILE.with_name("asyncio-lines" if what == "lines" else "asyncio-whole")
        program, args = "whole.py", [peer, what, str(seconds), str(file), *more]
    command = [sys.executable, str(HERE / program), *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
        result: dict[str, float] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return result


def fio(engine: str, in_flight: int, seconds: float, direct: bool) -> dict[str, float] | None:
    if shutil.which("fio") is None:
        return None
    command = ["fio", "--name=x", f"--filename={FILE}", "--rw=randread", "--bs=4k", "--readonly"]
    command += [f"--direct={direct:d}", "--invalidate=1", f"--ioengine={engine}"]
    command += [f"--iodepth={in_flight}", f"--runtime={max(1, round(seconds))}"]
    # With the page cache a second round of the file would no longer be cold.
    command += ["--time_based"] if direct else []
    command += [f"--size={SIZE}", "--output-format=json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    try:
        report = json.loads(done.stdout[done.stdout.index("{") :])
        return {"rate": report["jobs"][0]["read"]["iops"]}
    except (ValueError, KeyError):
        return None


def verdict(figure: float, goal: float | None, most: bool = False) -> str:
    if goal is None:
        return ""
    met = figure <= goal if most else figure >= goal
    return f"{'<=' if most else '>='} {goal:<5g} {'met' if met else 'MISSED'}"


SHOWN: list[list[str]] = []  # what was printed, for --markdown


def show(what: str, figure: str, ratio: str = "", judged: str = "") -> None:
    SHOWN.append([what.strip(), figure, ratio, judged.replace("  ", " ").strip()])
    print(f"{what:<38} {figure:>10}   {ratio:>7}  {judged}".rstrip(), flush=True)


def measure(group: Group, seconds: float, pairs: int) -> list[Bar]:
    rates: dict[str, list[float]] = {peer: [] for peer in (group.ours, *group.peers)}
    for _ in range(pairs):
        for peer in rates:
            measured = figures(peer, group.in_flight, seconds, group.how)
            if measured is not None and measured["rate"]:
                rates[peer].append(measured["rate"])
    if not rates[group.ours]:
        print(f"{group.name}: ours could not be measured")
        return []
    mine = median(rates[group.ours])
    show(f"{group.name}: {group.ours}", f"{mine:,.0f}", group.unit)
    for peer, goal in group.peers.items():
        if not rates[peer]:
            show(f"      {peer}", "not here")
            continue
        ratio = mine / median(rates[peer])
        show(f"      {peer}", f"{median(rates[peer]):,.0f}", f"{ratio:.2f}", verdict(ratio, goal))
    return [Bar(group.name, group.unit, peer, median(r)) for peer, r in rates.items() if r]


def courtesy(group: Group, seconds: float, pairs: int) -> None:
    """How long a turn of the loop is, and how evenly the workers are served.

    A callback watches every turn, so these runs are not those that the rates come from.
    """
    turns = f"{group.how} turns"
    for peer in (group.ours, *(p for p in group.peers if p in ("caio-uring", "turbofile"))):
        found = [
            measured
            for _ in range(pairs)
            if (measured := figures(peer, group.in_flight, seconds, turns)) is not None
        ]
        if not found:
            continue
        mine = peer == group.ours
        turn = median(f["turn"] for f in found)
        judged = verdict(turn, 10.0, most=True) if mine else ""
        show(f"      longest turn, {peer}", f"{turn:.1f} ms", "", judged)
        if group.in_flight > 1:
            share = median(f["share"] for f in found)
            judged = verdict(share, 0.5) if mine else ""
            show(f"      least of {group.in_flight} workers / mean", f"{share:.2f}", "", judged)


def line_of(pairs: int) -> None:
    """Whether a request costs more when 100,000 are outstanding; and a mere future."""
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(pairs):
        for peer, n in itertools.product(("ours-aio", "futures"), (100, 100_000)):
            measured = figures(peer, n, 0, "outstanding")
            if measured is not None:
                found.setdefault((peer, n), []).append(1e6 / measured["rate"])
    for peer, what in (("ours-aio", "a request"), ("futures", "a mere future of asyncio")):
        few, many = found.get((peer, 100)), found.get((peer, 100_000))
        if few and many:
            ratio, each = median(many) / median(few), f"{median(many):.1f} us"
            judged = verdict(ratio, 1.1, most=True) if peer != "futures" else ""
            show(f"cost of {what} with 100,000 outstanding / 100", each, f"{ratio:.2f}", judged)


def prepare() -> None:
    """The files, and their pages in the page cache."""
    FILE.parent.mkdir(exist_ok=True)
    lines = b"".join(b"%07d the quick brown fox jumps over the dog\n" % i for i in range(1000))
    for path, data, times in (
        (FILE, os.urandom(SIZE), 1),
        (FILE.with_name("asyncio-written"), bytes(SIZE), 1),
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
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="benchmarks/asyncio_files.py", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="measured time of each run (default 1)"
    )
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side (default 5)")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="groups whose name begins so"
    )
    parser.add_argument("--turns", action="store_true", help="longest turns and least served, too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the rates, for bars.py")
    options = parser.parse_args()
    prepare()
    print(described())
    bars = []
    for group in GROUPS:
        if not options.only or group.name.startswith(tuple(options.only)):
            bars += measure(group, options.seconds, options.pairs)
            if options.turns or not options.only:
                courtesy(group, options.seconds, min(3, options.pairs))
    if not options.only:
        line_of(min(3, options.pairs))
    peers = versions(["turbofile", "caio", "aiofile", "aiofiles"])
    foot = ", ".join([described(), *(f"{name} {its}" for name, its in peers.items())])
    if options.markdown:
        table = [["", "rate", "ours / theirs", "goal"], ["---"] * 4, *SHOWN]
        lines = ["| " + " | ".join(row) + " |" for row in table]
        options.markdown.write_text("\n".join([*lines, "", f"({foot})"]) + "\n")
    if options.json:
        title = "Awaited reads of 4 KiB, whole files and lines: rates, medians of one run"
        store(options.json, title, foot, bars)


if __name__ == "__main__":
    main()
