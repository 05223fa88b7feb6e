"""Pipes, sockets and terminals, where a read may wait for ever. So the loop waits for it, and no
helper of glibc.

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
from typing import Any

from aio_posix.asyncio import loop, threads
from aio_posix.asyncio.descriptors.channel import Channel
from aio_posix.asyncio.descriptors.poller import READABLE, WRITABLE
from aio_posix.asyncio.offload import offload

UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EINVAL)
PIECE = 4096  # bytes that a thread is given to write, which count as gone when it begins
READ_MOST = 64 << 10  # bytes that a thread reads at once


class naming:
    """Puts the file's name into an OSError that has none."""

    __slots__ = ("_name",)

    def __init__(self, name: Any) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._name is not None and isinstance(error, OSError) and error.filename is None:
            error.filename = self._name


def read_at_once(fd: int, buffer: memoryview) -> Any:
    """The count, or None if there is nothing yet, or NotImplemented if the kernel cannot tell."""
    return _at_once(os.preadv, fd, buffer)


def write_at_once(fd: int, buffer: memoryview) -> Any:
    """The same."""
    return _at_once(os.pwritev, fd, buffer)


def _at_once(call: Callable[..., int], fd: int, buffer: memoryview) -> Any:
    try:
        return call(fd, [buffer], -1, os.RWF_NOWAIT)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return NotImplemented
        raise


async def receive(channel: Channel, buffer: memoryview) -> int:
    """What there is, after waiting until there is something."""
    fd = channel.fd
    while True:
        if channel.reading is not None:
            await _over(channel.reading)
        elif channel.late:
            return _take_late(channel, buffer)
        else:
            n = read_at_once(fd, buffer)
            if n is NotImplemented:
                await channel.home.poller.ready(fd, READABLE)
                if channel.reading is None and not channel.late:  # or another was woken first
                    data = await _by_thread(channel, min(len(buffer), READ_MOST))
                    buffer[: len(data)] = data
                    return len(data)
            elif n is not None:
                return int(n)
            else:
                await channel.home.poller.ready(fd, READABLE)


async def send(channel: Channel, buffer: memoryview) -> int:
    """Some of it, after waiting until some can go."""
    fd = channel.fd
    while (n := write_at_once(fd, buffer)) is None:
        await channel.home.poller.ready(fd, WRITABLE)
    if n is NotImplemented:
        await channel.home.poller.ready(fd, WRITABLE)
        return await _hand_over(channel, bytes(buffer[:PIECE]))
    return int(n)


async def send_all(channel: Channel, buffer: memoryview) -> int:
    """Writes all of it, after what was asked for before. An exception says how much had gone."""
    put = 0
    if channel.writers is None:
        channel.writers = loop.Line()
    try:
        with await channel.writers.turn():
            while put < len(buffer):
                put += await send(channel, buffer[put:])
    except BaseException as error:
        if put:
            error.add_note(f"{put} of {len(buffer)} bytes had gone")
        error.characters_written = put  # type: ignore[attr-defined]  # as BlockingIOError has it
        raise
    return put


async def _over(reading: loop.Future[None]) -> None:
    """Waits for the thread that reads from this stream, without cancelling its future."""
    waits = loop.new_future()
    reading.add_done_callback(lambda _: loop.settle(waits, None, None))
    await waits


def _take_late(channel: Channel, buffer: memoryview) -> int:
    n = min(len(channel.late), len(buffer))
    buffer[:n] = channel.late[:n]
    channel.late = channel.late[n:]
    return n


async def _by_thread(channel: Channel, nbytes: int) -> bytes:
    fd = channel.fd
    kept = [channel]  # the thread may have `ended` for a moment longer than the reader waits
    done = channel.reading = loop.new_future()
    outcome: list[tuple[bytes, OSError | None]] = []
    abandoned = False
    post = loop.poster()

    def ended(data: bytes, error: OSError | None) -> None:
        channel = kept.pop()
        channel.reading = None
        if abandoned:
            channel.late += data
        else:
            outcome.append((data, error))
        loop.settle(done, None, None)
        if abandoned:
            channel.home.channels.let_go(channel)

    def job() -> None:
        try:
            data, error = os.read(fd, nbytes), None
        except OSError as raised:
            data, error = b"", raised
        post(ended, data, error)

    if not threads.start(job):
        job()
    try:
        await _over(done)
    except BaseException:
        abandoned = True
        if outcome:
            channel.late += outcome[0][0]
        raise
    data, error = outcome[0]
    if error is not None:
        raise error
    return data


async def _hand_over(channel: Channel, data: bytes) -> int:
    """To a thread. A cancelled caller cannot learn how much has gone, so it counts as gone."""
    lanes = [channel.lanes[0]]

    def write() -> int:
        lane = lanes.pop()  # which the thread has until it returns, and no longer
        put = 0
        while put < len(data):
            put += os.write(lane.fd, data[put:])
        return put

    return await offload(None, write)
