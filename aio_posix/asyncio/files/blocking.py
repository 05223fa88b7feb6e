"""Writes that block, for threads, for an exit, and for callers that cannot await."""

from __future__ import annotations

import os
import select
import time


def write_at(fd: int, data: bytes | memoryview, at: int | None) -> int:
    """All of it, at the position of the system where ``at`` is None. An OSError after a part says
    how much as ``characters_written``.
    """
    put = 0
    try:
        while put < len(data):
            rest = memoryview(data)[put:] if put else data
            put += os.write(fd, rest) if at is None else os.pwrite(fd, rest, at + put)
    except OSError as error:
        error.characters_written = put  # type: ignore[attr-defined]  # as BlockingIOError has it
        raise
    return put


def push(fd: int, pieces: list[bytes | memoryview], seconds: float) -> int:
    """Writes to a pipe, socket or terminal what it takes in time; how much is left.

    A pipe that is ready takes select.PIPE_BUF bytes without waiting.
    """
    deadline = time.monotonic() + seconds
    view = memoryview(b"".join(pieces))
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while len(view):
        left = max(0.0, deadline - time.monotonic())
        if not poll.poll(left * 1000):
            break
        view = view[os.write(fd, view[: select.PIPE_BUF]) :]
    return len(view)
