"""Pipes, sockets, terminals: a read may wait for ever, so no helper of glibc waits for it, the loop
does.

- Bytes are taken or given only in the step in which the call returns. A cancelled call has taken
  and given nothing.
- What the descriptor can do at once is done with RWF_NOWAIT, which needs no O_NONBLOCK. Where the
  kernel has no such way (terminals), a thread of ours does it once the descriptor is ready. If its
  reader was cancelled meanwhile, what it has read goes to the next one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from aio_posix.asyncio import loop
from aio_posix.asyncio.lane import Channel
from aio_posix.asyncio.poller import READABLE, WRITABLE
from aio_posix.asyncio.ring import current
from aio_posix.asyncio.threads import offload, start

UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EINVAL)
PIECE = 4096  # bytes that a thread is given to write: they count as gone when it begins
READ_MOST = 64 << 10  # bytes that a thread reads at once


def read_at_once(fd: int, buffer: Any) -> int | None:
    """The count, None if there is nothing yet; NotImplementedError if the kernel cannot tell."""
    return _at_once(os.preadv, fd, buffer)


def write_at_once(fd: int, buffer: Any) -> int | None:
    return _at_once(os.pwritev, fd, buffer)


def _at_once(call: Callable[..., int], fd: int, buffer: Any) -> int | None:
    try:
        return call(fd, [buffer], -1, os.RWF_NOWAIT)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in UNSUPPORTED:
            raise NotImplementedError from None
        raise


async def receive(channel: Channel, buffer: memoryview) -> int:
    """What there is, after waiting until there is something."""
    fd = channel.lanes[0].fd
    poller = current().poller
    while True:
        if channel.reading is not None:
            await _over(channel)
        if channel.late:
            return _take_late(channel, buffer)
        try:
            n = read_at_once(fd, buffer)
        except NotImplementedError:
            if await poller.ready(fd, READABLE) and channel.reading is not None:
                continue  # somebody else was woken, too
            data = await _by_thread(channel, min(buffer.nbytes, READ_MOST))
            buffer[: len(data)] = data
            return len(data)
        if n is not None:
            return n
        await poller.ready(fd, READABLE)


async def send(channel: Channel, buffer: memoryview) -> int:
    """Some of it, after waiting until some can go."""
    fd = channel.lanes[0].fd
    poller = current().poller
    while True:
        try:
            n = write_at_once(fd, buffer)
        except NotImplementedError:
            await poller.ready(fd, WRITABLE)
            return await _hand_over(channel, bytes(buffer[:PIECE]))
        if n is not None:
            return n
        await poller.ready(fd, WRITABLE)


async def _over(channel: Channel) -> None:
    """Waits for the thread that reads from this stream."""
    waits = loop.new_future()
    done = channel.reading
    if done is not None:
        done.add_done_callback(lambda _: loop.settle(waits, None, None))
        await waits


def _take_late(channel: Channel, buffer: memoryview) -> int:
    n = min(len(channel.late), buffer.nbytes)
    buffer[:n] = channel.late[:n]
    channel.late = channel.late[n:]
    return n


async def _by_thread(channel: Channel, nbytes: int) -> bytes:
    lane = channel.lanes[0]
    done: loop.Future[None] = loop.new_future()
    outcome: list[Any] = []
    abandoned = False
    channel.reading = done
    post = loop.poster()
    ring = current()

    def ended(data: bytes, error: OSError | None) -> None:
        channel.reading = None
        if abandoned:
            channel.late += data
        outcome.append((data, error))
        loop.settle(done, None, None)
        if abandoned:
            ring.let_go(channel)

    def job() -> None:
        try:
            data, error = os.read(lane.fd, nbytes), None
        except OSError as raised:
            data, error = b"", raised
        post(ended, data, error)

    if not start(job):
        job()
    try:
        await _over(channel)
    except BaseException:
        if not outcome:
            abandoned = True
        else:
            channel.late += outcome[0][0]
        raise
    data, error = outcome[0]
    if error is not None:
        raise error
    return bytes(data)


async def _hand_over(channel: Channel, data: bytes) -> int:
    """To a thread. A cancelled caller cannot learn how much has gone, so it counts as gone."""
    lane = channel.lanes[0]
    written = partial(_write_all, lane, data)
    return await offload(None, written)


def _write_all(lane: Any, data: bytes) -> int:
    put = 0
    while put < len(data):
        put += os.write(lane.fd, data[put:])
    return put
