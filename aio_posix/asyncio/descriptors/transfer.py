"""From a call on a file to its result, by as many requests as it takes.

- A read goes on to the end of the file or until it has everything, a write until all is written.
- What the page cache has not is spread over lanes, and so is what O_DIRECT reads. Everything else
  keeps to one lane.
- Memory that is allocated here for O_DIRECT is aligned, and so are the reads made into it.
"""

from __future__ import annotations

from typing import Any

from aio_posix._calls import declined, fill_now, read_now
from aio_posix.asyncio import loop
from aio_posix.asyncio.descriptors.batch import MOST, READ, WRITE
from aio_posix.asyncio.descriptors.channel import Channel
from aio_posix.asyncio.memory import ALIGNMENT, uncleared
from aio_posix.asyncio.native import ABSENT, NOW_MOST, REST

AHEAD = 4 << 20  # bytes of one request of a large read whose pages are not there yet


async def request(
    channel: Channel, op: int, buffer: Any = None, at: int = 0, nbytes: int = 0, offset: int = 0,
    spread: bool = False,
) -> int:  # fmt: skip
    """Makes one request. Returns its count, or raises its OSError."""
    future = loop.new_future()
    channel.ask(future, op, buffer, at, nbytes, offset, spread)
    try:
        n: int = await future
    except BaseException:
        channel.home.detach(future)
        raise
    if n < 0:
        raise channel.failure(op, -n)
    return n


async def read_rested(channel: Channel, nbytes: int, offset: int) -> tuple[bytes | None, int]:
    """Reads from the page cache in slices, after a rest, or says why not."""
    while True:
        data = read_now(channel.fd, nbytes, offset)
        if data is not None:
            return data, 0
        why = declined()
        if why != REST:
            return None, why
        await channel.home.turn.take()


async def read_on(channel: Channel, data: bytes, offset: int) -> bytes:
    """Fills bytes that nobody else has seen yet."""
    nbytes, got = len(data), 0
    while got < nbytes:
        n = await _fill(channel, data, got, offset + got)
        if n == 0:
            return data[:got]
        got += n
    return data


async def _fill(channel: Channel, data: bytes, got: int, offset: int) -> int:
    fd, nbytes = channel.fd, len(data) - got
    while (n := fill_now(fd, data, got, min(nbytes, NOW_MOST), offset)) is None:
        why = declined()
        if why == REST:
            await channel.home.turn.take()
            continue
        most, spread = (AHEAD, True) if why == ABSENT else (MOST, False)
        return await request(channel, READ, data, got, min(nbytes, most), offset, spread)
    return n


async def read_direct(channel: Channel, nbytes: int, offset: int) -> bytes:
    """From an O_DIRECT descriptor, at any offset and of any size."""
    before = offset % ALIGNMENT
    whole, got = before + nbytes + -(before + nbytes) % ALIGNMENT, 0
    memory = uncleared(whole)
    while got < before + nbytes:
        most = min(whole - got, MOST)
        n = await request(channel, READ, memory, got, most, offset - before + got, True)
        got += n
        if n % ALIGNMENT or n == 0:  # the end of the file
            break
    return bytes(memory[before : min(got, before + nbytes)])


async def read_into(channel: Channel, buffer: Any, nbytes: int, offset: int, spread: bool) -> int:
    """Reads into a buffer of the user, and returns what came altogether."""
    got = 0
    while True:
        most = min(nbytes - got, MOST)
        n = await request(channel, READ, buffer, got, most, offset + got, spread)
        got += n
        if n == 0 or got == nbytes:
            return got


async def write(channel: Channel, data: Any, nbytes: int, offset: int) -> int:
    """All of it. An OSError after a part says how much as ``characters_written``."""
    put = 0
    try:
        while True:
            put += await request(channel, WRITE, data, put, min(nbytes - put, MOST), offset + put)
            if put == nbytes:
                return put
    except OSError as error:
        error.characters_written = put  # type: ignore[attr-defined]  # as BlockingIOError has it
        raise


class Write:
    """A write() that has begun, and goes on whoever is cancelled. To a channel it is a future."""

    __slots__ = (
        "_channel",
        "_ended",
        "_left",
        "_put",
        "_view",
        "_waiting",
        "at",
        "data",
        "error",
        "result",
    )

    def __init__(self, channel: Channel, data: Any, view: memoryview, offset: int):
        """Releases the view in the end."""
        self._channel = channel
        self.data, self._view, self.at = data, view, offset
        self._waiting: list[loop.Future[None]] = []
        self._left = self._ended = False
        self.result: int | None = None  # how much was written, once it has ended
        self.error: OSError | None = None
        self._more(0)

    @property
    def lost(self) -> bool:
        """Whether nobody will ever say that it has ended, because its loop was closed."""
        owner = self._channel.home.loop()
        return self.result is None and (owner is None or owner.is_closed())

    def done(self) -> bool:
        """Whether it has ended. Nobody can cancel it."""
        return self._ended

    def set_result(self, n: int) -> None:
        """One request has ended. Called again if a signal handler has raised meanwhile."""
        if self.result is None:
            put = self._put + max(n, 0)
            if n >= 0 and put < len(self._view):
                self._more(put)
                return
            if n < 0:
                self.error = self._channel.failure(WRITE, -n)
                self.error.characters_written = put  # type: ignore[attr-defined]  # as in write()
            self.result = put
        self._view.release()
        if not self._left:
            self._left = True
            self._channel.home.channels.left(self._channel)
        loop.wake(self._waiting)
        self._ended = True

    def _more(self, put: int) -> None:
        self._put = put
        most = min(len(self._view) - put, MOST)
        self._channel.ask(self, WRITE, self.data, put, most, self.at + put)

    async def over(self) -> OSError | None:
        """Waits for its end; its error, if there was one, with ``characters_written``."""
        while self.result is None:
            if self._channel.home.loop() is not loop.running():
                raise RuntimeError(loop.ELSEWHERE)
            await loop.woken(self._waiting)
        return self.error
