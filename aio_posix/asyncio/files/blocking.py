"""Writes that block: for threads, for an exit, and for whoever cannot await."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable

from aio_posix.asyncio.files.opened import PUBLIC, Opened
from aio_posix.asyncio.memory import ALIGNMENT, aligned, pin


def write_at(opened: Opened, data: bytes | memoryview, at: int) -> int:
    """All of it, at the end of a file that is opened to append; an OSError after a part says how
    much as ``characters_written``.
    """
    put = 0

    def write(fd: int) -> None:
        nonlocal put
        while put < len(data):
            rest = memoryview(data)[put:] if put else data
            put += os.write(fd, rest) if opened.mode.appends else os.pwrite(fd, rest, at + put)

    try:
        opened.held(write)
    except OSError as error:
        error.characters_written = put  # type: ignore[attr-defined]  # as BlockingIOError has it
        raise
    return put


def write(opened: Opened, pieces: Iterable[bytes | memoryview]) -> None:
    """Writes all of them at the position, for the last who uses the file."""
    for piece in pieces:
        apart = opened.direct and pin(piece)[1] % ALIGNMENT
        view = memoryview(aligned(piece) if apart else piece)
        while len(view):
            if opened.at != PUBLIC and not opened.mode.appends:
                put = os.pwrite(opened.fd, view, opened.at)
                opened.at += put
            else:
                put = os.write(opened.fd, view)
            view = view[put:]


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
