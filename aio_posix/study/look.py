"""What a lesson looks at in its own process, or in one that it has started. That is glibc's helper
threads, and the moment when something has happened.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from aio_posix.study import proc, reports

LIMIT = 20  # seconds after which a lesson no longer waits for what should happen


def threads(pid: int | None = None) -> list[reports.Row]:
    """The threads that glibc's AIO has started here, helper or notification, and what each is
    doing.
    """
    return list(reports.report(proc.read(pid or os.getpid())).rows)


def helpers(pid: int | None = None) -> list[reports.Row]:
    return [row for row in threads(pid) if row.kind == "helper"]


def blocked(fd: int | None = None, *, pid: int | None = None) -> list[reports.Row]:
    """The helpers that are inside a system call of a descriptor, or of this one."""
    return [row for row in helpers(pid) if row.fd is not None and fd in (None, row.fd)]


def eventually(condition: Callable[[], object]) -> None:
    """Waits until the condition holds. Raises TimeoutError after LIMIT seconds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what the lesson waits for did not happen")
        time.sleep(0.005)


def stays(condition: Callable[[], object], seconds: float = 0.3) -> bool:
    """Whether the condition holds now and at every look for a while. No program can find out more
    about "never".
    """
    deadline = time.monotonic() + seconds
    while condition():
        if time.monotonic() > deadline:
            return True
        time.sleep(0.005)
    return False
