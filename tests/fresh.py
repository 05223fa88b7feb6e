"""Programs in a process of their own: for forks, exits, limits, and whatever may end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from typing import Any

LIMIT = 60  # seconds; a program that needs more hangs


def start(program: str, *flags: str, **options: Any) -> subprocess.Popen[str]:
    """Starts a program, its standard streams being pipes."""
    command = [sys.executable, "-X", "faulthandler", *flags, "-c", textwrap.dedent(program)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **options
    )


def end(
    process: subprocess.Popen[str], text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Waits for its end, and fails if it hung, crashed or had something to say about a crash."""
    try:
        out, err = process.communicate(text, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children hold the pipes, too
        raise AssertionError(f"hung: {process.communicate()}") from None
    assert process.returncode >= 0, f"killed by signal {-process.returncode}: {err}"
    assert "Fatal Python error" not in err, err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run(program: str, *flags: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return end(start(program, *flags, **options))


def output(program: str, *flags: str, **options: Any) -> str:
    """What a program printed that has to end with status 0 and nothing on stderr."""
    ended = run(program, *flags, **options)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout
