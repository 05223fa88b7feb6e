"""System calls for each message, counted by strace in two runs. It is what the longer has more,
divided by its messages.

So nothing of starting, accepting and ending is in it. None where strace is missing or may not
trace.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from aio_posix.study.echoes.clients import talk

FEW = 20  # rounds of the shorter run


def calls(name: str, clients: int, rounds: int) -> Counter[str] | None:
    """System calls by name that the server makes for `rounds` messages of each client."""
    if not may_trace():
        return None
    longer = counted(name, clients, FEW + rounds)
    longer.subtract(counted(name, clients, FEW))
    return longer


def may_trace() -> bool:
    strace = shutil.which("strace")
    return (
        strace is not None
        and subprocess.run([strace, "-c", "true"], capture_output=True).returncode == 0
    )


def counted(name: str, clients: int, rounds: int) -> Counter[str]:
    with tempfile.TemporaryDirectory() as directory:
        summary = Path(directory, "summary")
        talk(name, clients, rounds, ["strace", "-f", "-c", "-o", str(summary)])
        return parse(summary.read_text())


def parse(summary: str) -> Counter[str]:
    """The table of strace -c: % time, seconds, usecs/call, calls, errors if any, name."""
    rows = [line.split() for line in summary.splitlines()]
    return Counter(
        {
            row[-1]: int(row[3])
            for row in rows
            if len(row) > 4 and row[3].isdecimal() and row[-1] != "total"
        }
    )


def per_message(count: Counter[str], messages: int) -> str:
    """The most frequent come first, as recvfrom 1.0, sendto 1.0. What is rarer than one in 20
    messages is left out.
    """
    shares = [(name, number / messages) for name, number in count.most_common()]
    return ", ".join(f"{name} {share:.1f}" for name, share in shares if share >= 0.05)
