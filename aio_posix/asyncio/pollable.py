"""Pipes, sockets, terminals: a read may wait for ever, so no helper thread of glibc waits for it,
the loop does.

- Each transfer has a duplicate of its own, so that it disturbs neither the user's add_reader nor
  other transfers.
- What the descriptor can do at once is done with RWF_NOWAIT; where the kernel cannot do that, by a
  request, once the descriptor is ready. What cannot be polled (/dev/zero) is a request at once.
- Writes of one channel follow each other.
"""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

from aio_posix._ffi import ffi
from aio_posix.asyncio.batch import READ, WRITE
from aio_posix.asyncio.channel import Channel, Lane
from aio_posix.asyncio.request import failure, request

UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EINVAL)


async def read(channel: Channel, nbytes: int) -> bytes:
    """What there is, up to nbytes; waits until there is something."""
    data = bytearray(nbytes)
    return bytes(data[: await readinto(channel, data)])


async def readinto(channel: Channel, buffer: Any) -> int:
    return await _transfer(channel, READ, buffer)


async def write(channel: Channel, data: Any) -> int:
    """All of it, after the writes that were asked for before."""
    if channel.writers is None:
        channel.writers = asyncio.Lock()
    with memoryview(data) as whole, whole.cast("B") as view:
        async with channel.writers:
            put = 0
            while put < len(view):
                with view[put:] as left:
                    put += await _transfer(channel, WRITE, left)
            return put


async def _transfer(channel: Channel, op: int, buffer: Any) -> int:
    lane = Lane(channel.lanes[0].fd, duplicate=True)
    now = True
    channel.in_flight += 1
    try:
        while True:
            if now:
                try:
                    return (os.preadv if op == READ else os.pwritev)(
                        lane.fd, [buffer], -1, os.RWF_NOWAIT
                    )
                except BlockingIOError:
                    pass
                except OSError as error:
                    if error.errno not in UNSUPPORTED:
                        raise failure(error.errno or 0, channel, op) from None
                    now = False
            if not await _ready(lane.fd, op) or not now:
                pinned = ffi.from_buffer("char[]", buffer, op == READ)
                address = int(ffi.cast("uintptr_t", pinned))
                alone = Channel(lane, channel.name)
                return await request(alone, op, address, len(pinned), 0, kept=pinned)
    finally:
        channel.in_flight -= 1


async def _ready(fd: int, op: int) -> bool:
    """Waits until the descriptor is ready; False if it cannot be polled."""
    loop = asyncio.get_running_loop()
    add, remove = (
        (loop.add_reader, loop.remove_reader)
        if op == READ
        else (loop.add_writer, loop.remove_writer)
    )
    future: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not future.done():
            future.set_result(None)

    try:
        add(fd, ready)
    except OSError:
        return False
    try:
        await future
    finally:
        remove(fd)
    return True
