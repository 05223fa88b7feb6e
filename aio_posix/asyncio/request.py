"""One request, awaited; and the rest that a task takes between reads of the page cache."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

from aio_posix.asyncio.batch import READ, WRITE, let_go
from aio_posix.asyncio.channel import Channel
from aio_posix.asyncio.loops import current


async def request(
    channel: Channel,
    op: int,
    buffer: Any,
    nbytes: int,
    offset: int,
    spread: bool = False,
    kept: Any = None,
) -> int:
    """One request: its count, or its OSError."""
    ring = current()
    future = ring.submit(channel, op, buffer, nbytes, offset, spread, kept)
    try:
        n = await future
    except BaseException:
        if not ring.detach(future):
            let_go(kept)
        raise
    if n < 0:
        raise failure(-n, channel, op)
    return n


def failure(number: int, channel: Channel, op: int) -> OSError:
    text = os.strerror(number)
    if number == errno.EINVAL and op in (READ, WRITE) and channel.direct:
        text += ": O_DIRECT needs offset, length and memory aligned to the block size of the device"
    return OSError(number, text) if channel.name is None else OSError(number, text, channel.name)


async def rest() -> None:
    """Makes room for other tasks, and opens a slice for the next read of this one."""
    ring = current()
    await ring.turn.take(asyncio.get_running_loop())
