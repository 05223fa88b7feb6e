"""Programs that a fact starts, for forks, exits and limits of a whole process."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from adapters import Absent, Library

from facts import Wrong

BENCHMARKS = Path(__file__).resolve().parent.parent


def ended(library: Library, body: str, limit: float) -> subprocess.CompletedProcess[str]:
    """Runs `body` with the library as `library`; it must end with status 0 within `limit` s."""
    head = f"""\
import asyncio, os, sys
sys.path.insert(0, {str(BENCHMARKS)!r})
import adapters
from adapters import Absent, settled, task
library = adapters.library({library.name!r})
def run(main):
    with asyncio.Runner(loop_factory=library.new_event_loop) as runner:
        return runner.run(main)
"""
    command = [sys.executable, "-X", "faulthandler", "-c", head + textwrap.dedent(body)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise Wrong(f"the program does not end within {limit:.0f} s") from None
    if done.returncode < 0:
        raise Wrong(f"the program is killed by {signal.Signals(-done.returncode).name}")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        if "Absent" in last or "has no attribute" in last:
            raise Absent(last)
        raise Wrong(f"exit status {done.returncode}: {last}")
    return done
