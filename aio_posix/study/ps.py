"""python -m aio_posix ps PID | NAME ... [--watch] [--json]: who does AIO, and what blocks it.

Facts (proc.read) -> report (reports) -> words (described) or JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict

from aio_posix.study.console import Parser, room, say, typed_number
from aio_posix.study.described import nothing, text
from aio_posix.study.proc import named, read
from aio_posix.study.reports import Report, has_aio, report
from aio_posix.study.watch import watch

AGAIN = 0.05  # seconds until a helper that is just being started is there


def main(argv: list[str]) -> int:
    parser = Parser("aio-posix ps", description="glibc's AIO threads in live processes")
    parser.add_argument(
        "which",
        nargs="+",
        metavar="PID | NAME",
        help="a process, or all of this name",
    )
    parser.add_argument(
        "--watch", action="store_true", help="look again every second until they have ended"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON for each look")
    options = parser.parse_args(argv)
    if not found(options.which):
        print(f"ps: there is no process named {' '.join(options.which)}", file=sys.stderr)
        return 1
    if options.watch:
        shows = (lambda one: say(as_json(one))) if options.json else None
        return watch(lambda: found(options.which), seen, shows)
    by_name = any(typed_number(which) is None for which in options.which)
    return 0 if look(found(options.which), options.json, by_name) else 1


def found(which: Iterable[str]) -> list[int]:
    """The processes, by number or name, each once."""
    pids: dict[int, None] = {}
    for one in which:
        pid = typed_number(one)
        pids |= dict.fromkeys(named(one) if pid is None else [pid])
    return list(pids)


def seen(pid: int) -> Report:
    """Raises ProcessLookupError, PermissionError."""
    first = report(read(pid))
    if not first.forbidden:
        return first
    time.sleep(AGAIN)
    return report(read(pid))


def as_json(one: Report) -> str:
    stats = one.stats._asdict() if one.stats else None
    return json.dumps({**asdict(one), "stats": stats})


def look(pids: list[int], json_wanted: bool, by_name: bool) -> bool:
    """Whether one has AIO threads. What cannot be shown is said, if it was asked for by number."""
    shown = False
    complaints = []
    for pid in pids:
        try:
            one = seen(pid)
        except (ProcessLookupError, PermissionError) as error:
            complaints.append(str(error))
            continue
        if json_wanted:
            say(as_json(one))
        elif has_aio(one):
            say("\n" * shown + text(one, room()))
        else:
            complaints.append(nothing(one))
            continue
        shown |= has_aio(one)
    if not (by_name and shown):
        for words in complaints:
            print(f"ps: {words}", file=sys.stderr)
    return shown
