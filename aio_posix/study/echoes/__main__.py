"""python -m aio_posix.study.echoes [--markdown FILE]: the table of all eight servers.

Messages/s, as the median of several runs in which the servers take turns. System calls, for one
client alone and for many.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from aio_posix.study import syscalls
from aio_posix.study.echoes.clients import MESSAGE, talk
from aio_posix.study.echoes.counting import calls, per_message
from aio_posix.study.echoes.servers import SERVERS
from aio_posix.study.machine import machine

MANY = 16  # clients, fewer than glibc's 20 threads, so that every design works without aio_init too
MESSAGES = 3200  # of one run
COUNTED = 320  # messages of a run under strace


@dataclass(frozen=True)
class Row:
    name: str
    alone: float  # messages/s of one client
    many: float  # messages/s of all together
    calls_alone: str  # system calls per message, empty where they cannot be counted
    calls_many: str
    which: str


def measure(repeat: int) -> list[Row]:
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(repeat):
        for name in SERVERS:
            for clients in (1, MANY):
                rates.setdefault((name, clients), []).append(
                    talk(name, clients, MESSAGES // clients)
                )
    return [
        Row(
            name,
            statistics.median(rates[name, 1]),
            statistics.median(rates[name, MANY]),
            *counts(name),
        )
        for name in SERVERS
    ]


def counts(name: str) -> tuple[str, str, str]:
    alone, many = calls(name, 1, COUNTED), calls(name, MANY, COUNTED // MANY)
    if alone is None or many is None:
        return "", "", ""
    return (
        f"{alone.total() / COUNTED:.1f}",
        f"{many.total() / COUNTED:.1f}",
        per_message(alone, COUNTED),
    )


def table(rows: list[Row]) -> list[list[str]]:
    head = ["server", "messages/s, 1 client", f"messages/s, {MANY} clients"]
    head += ["system calls, 1 client", f"system calls, {MANY} clients", "which, 1 client"]
    cells = [
        [
            row.name,
            f"{row.alone:,.0f}",
            f"{row.many:,.0f}",
            row.calls_alone,
            row.calls_many,
            row.which,
        ]
        for row in rows
    ]
    keep = len(head) if any(row.which for row in rows) else 3
    return [line[:keep] for line in [head, *cells]]


def text(rows: list[Row]) -> str:
    lines = table(rows)
    head = f"{'':14}{'messages/s':>18}{'system calls per message':>28}\n"
    head += f"{'':14}{'1':>9}{MANY:>9}{'1':>14}{MANY:>14}  clients\n"
    body = [
        f"{line[0]:<14}{line[1]:>9}{line[2]:>9}"
        + "".join(f"{cell:>14}" for cell in line[3:5])
        + "  "
        + "".join(line[5:])
        for line in lines[1:]
    ]
    return head + "\n".join(body) + "\n"


def markdown(rows: list[Row], repeat: int) -> str:
    lines = table(rows)
    lines.insert(1, ["---"] + ["---:"] * min(4, len(lines[0]) - 1) + ["---"] * (len(lines[0]) > 5))
    package = "the package libaio" if syscalls.library() is not syscalls else "bare system calls"
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"""# The same echo, eight times

Written by `python -m aio_posix.study.echoes --markdown docs/study/echoes.md`. Lesson 10 says what
to see in it.

{drawn}

Messages of {MESSAGE} bytes over loopback, every byte checked. Clients: all send, then all wait, so
with {MANY} a server finds up to {MANY} messages at once. Rates: {MESSAGES} messages to a fresh
server, the servers in turn, median of {repeat}. The load generator is Python too and shares the
cores. System calls: strace -f -c, all threads of the server, {COUNTED} messages. Under strace
everything is slower, so the batches are other than at full speed. What is rarer than one in 20
messages is not listed.

{machine()}; libaio through {package}.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        "aio_posix.study.echoes", description="the same echo server, eight times"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table as a page too"
    )
    parser.add_argument(
        "--repeat", type=int, default=5, metavar="N", help="runs of which the median is taken"
    )
    options = parser.parse_args()
    rows = measure(options.repeat)
    print(text(rows))
    if options.markdown:
        options.markdown.write_text(markdown(rows, options.repeat))
    return 0


if __name__ == "__main__":
    sys.exit(main())
