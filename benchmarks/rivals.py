"""Where the libraries for awaited files are right, and where not.

    python benchmarks/rivals.py

Each fact of facts/ is tried with each library of adapters/, in a process and a directory of its
own, with a time limit. The table goes to docs/rivals.md, with versions and the date. A library that
is not installed costs its column; those that pip brings are
    pip install aiofiles anyio aiofile caio turbofile ayafileio py-asyncfiles urio uvloop
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import adapters
from adapters import Library
from facts import LIMIT, LONGER, Fact, facts
from machine import described

HERE = Path(__file__).resolve().parent
CELLS = HERE / "build" / "rivals.json"  # what was found last, for runs of a few cells
TABLE = HERE.parent / "docs" / "rivals.md"
LONGEST = max(LONGER.values())
WIDTH = 120  # characters of what happened in a cell
SIGNS = {"right": "yes", "wrong": "**no**", "error": "error", "hangs": "**hangs**",
         "crash": "**crash**", "absent": "-"}  # fmt: skip
# From good to bad. The worst of several runs counts.
RANK = ["absent", "right", "error", "wrong", "hangs", "crash"]
DOUBTFUL = ("right", "error")  # kinds that another run may make worse


class Outcome(NamedTuple):
    kind: str
    words: str


def tried(name: str, fact: Fact) -> Outcome:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as after:
        after.callback(unmounted, Path(folder))
        command = [sys.executable, "-X", "faulthandler", str(HERE / "fact.py"), name, fact.name]
        with subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=fact.limit)
            except subprocess.TimeoutExpired:
                killed(process)
                return Outcome("hangs", f"no verdict after {fact.limit} s")
            killed(process)
    if process.returncode < 0:
        return Outcome("crash", signal.Signals(-process.returncode).name)
    try:
        return Outcome(*json.loads(out.splitlines()[-1]))
    except (IndexError, ValueError):
        if process.returncode == 3:
            return Outcome("hangs", "stopped after 6 s")
        last = (err.strip().splitlines() or ["nothing said"])[-1]
        return Outcome("error", f"exit status {process.returncode}: {last}")


def killed(process: subprocess.Popen[str]) -> None:
    """Ends the fact, and with its session whatever it has started and left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def unmounted(folder: Path) -> None:
    """A file system of the fact, whose server was killed before it could unmount it."""
    for mount in Path("/proc/self/mounts").read_text().splitlines():
        if (where := Path(mount.split()[1])).is_relative_to(folder):
            subprocess.run(["umount", "-l", str(where)], check=True)


def worst(outcomes: list[Outcome]) -> Outcome:
    return max(outcomes, key=lambda outcome: RANK.index(outcome.kind))


def installed(names: list[str]) -> list[Library]:
    found = []
    for name in names:
        try:
            found.append(adapters.library(name))
        except ImportError as error:
            print(f"{name}: not here ({error})")
    return found


def document(libraries: list[Library], rows: dict[Fact, dict[str, Outcome]]) -> str:
    """The table as Markdown, and below it what went wrong, cell by cell."""
    titles = [library.name for library in libraries]
    out = [
        "# Right and wrong, library by library",
        "",
        f"Made by `python benchmarks/rivals.py` on {datetime.date.today()}: {described()}.",
        "",
        "Each row is something that a program which awaits files relies on. Each cell is the",
        "result of a small program of `benchmarks/facts/` that runs in a process of its own. Some",
        "results depend on timing, so a cell that is right is tried several times, and the worst",
        "run counts.",
        "",
        "| sign | meaning |",
        "|---|---|",
        "| yes | The row is true. |",
        "| **no** | The result was wrong, or something was lost. |",
        "| error | The library raised an exception where the built-in raises none. |",
        f"| **hangs** | The program did not end within {LIMIT} s (rows of 3 GiB: {LONGEST} s),"
        " or the event loop stood still. |",
        "| **crash** | A signal killed the process. |",
        "| - | The library does not offer the call. |",
        "",
        "Not every library promises every row. aiofiles and anyio run the built-in's files in",
        "threads, and a thread that is blocked cannot be cancelled. That decides the rows about",
        "cancelling for them.",
        "",
        "| library | versions |",
        "|---|---|",
    ]
    for library in libraries:
        its = ", ".join(f"{name} {version}" for name, version in library.versions.items())
        out.append(f"| {library.name} | {its} |")
    out += ["", "| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for fact, cells in rows.items():
        signs = [SIGNS[cells[name].kind] for name in titles]
        out.append(f"| {fact.title} | " + " | ".join(signs) + " |")
    right = [sum(cells[name].kind == "right" for cells in rows.values()) for name in titles]
    bad = [
        sum(cells[name].kind not in ("right", "absent") for cells in rows.values())
        for name in titles
    ]
    out.append("| *right* | " + " | ".join(map(str, right)) + " |")
    out.append("| *not right* | " + " | ".join(map(str, bad)) + " |")
    out += ["", "## What went wrong", ""]
    out += ["The name in brackets is that of the program in `benchmarks/facts/`.", ""]
    for fact, cells in rows.items():
        alike: dict[Outcome, list[str]] = {}
        for name in titles:
            if cells[name].kind not in ("right", "absent"):
                alike.setdefault(cells[name], []).append(name)
        if alike:
            out += [f"{fact.title} (`{fact.name}`):", ""]
            out += [
                f"- {', '.join(who)}: {one.kind}, {shown(one.words)}" for one, who in alike.items()
            ]
            out.append("")
    return "\n".join(out).rstrip() + "\n"


def known() -> dict[str, dict[str, Outcome]]:
    """The cells of earlier runs."""
    if not CELLS.exists():
        return {}
    found = json.loads(CELLS.read_text())
    return {
        fact: {name: Outcome(*outcome) for name, outcome in cells.items()}
        for fact, cells in found.items()
    }


def shown(words: str) -> str:
    """One short line that Markdown leaves alone and that names no path of this machine."""
    words = re.sub(r"/\S*/", "", " ".join(words.split()))
    words = words.replace("`", "'").replace("|", "/").replace("](", "] (")
    return f"`{words[:WIDTH]}`"


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="benchmarks/rivals.py", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--only", metavar="FACT", action="append", help="facts whose name begins so"
    )
    parser.add_argument("--library", metavar="NAME", action="append", choices=adapters.NAMES)
    parser.add_argument("--times", type=int, default=3, help="runs of each cell (default 3)")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="with --only or --library: the other cells are those of earlier runs",
    )
    options = parser.parse_args()
    chosen = [f for f in facts() if not options.only or f.name.startswith(tuple(options.only))]
    libraries = installed(options.library or adapters.NAMES)
    target = options.write or (None if options.only or options.library else TABLE)

    cells, wrong = known(), False
    for fact in chosen:
        print(f"\n{fact.title} ({fact.name})")
        for library in libraries:
            outcomes = [tried(library.name, fact)]
            while len(outcomes) < options.times and worst(outcomes).kind in DOUBTFUL:
                outcomes.append(tried(library.name, fact))
            outcome = worst(outcomes)
            cells.setdefault(fact.name, {})[library.name] = outcome
            print(f"  {library.name:<12} {outcome.kind:<7} {outcome.words}", flush=True)
            wrong |= library.name.startswith("ours") and outcome.kind not in ("right", "absent")
    CELLS.parent.mkdir(exist_ok=True)
    CELLS.write_text(json.dumps(cells, indent=1))
    if target is not None:
        columns = installed(adapters.NAMES)
        rows = {fact: cells.get(fact.name, {}) for fact in facts()}
        missing = [f.name for f in rows if any(c.name not in rows[f] for c in columns)]
        if missing:
            raise SystemExit(f"not tried yet with every library: {', '.join(missing)}")
        target.write_text(document(columns, rows))
        print(f"\nwritten: {target}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
