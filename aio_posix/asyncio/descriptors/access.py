"""How a descriptor number is used: in which loop, by which channel, and until when.

- A borrowed number belongs to the user, who may close it at any moment: there is a duplicate while
  something goes on. An owned number is the file's own. It is closed only when no request needs it.
- One object may be used in one loop after another, and in a forked child, where it begins anew.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aio_posix.asyncio import loop
from aio_posix.asyncio.descriptors import ending
from aio_posix.asyncio.descriptors.channel import Channel
from aio_posix.asyncio.descriptors.openfile import Kind, OpenFile, kind
from aio_posix.asyncio.descriptors.ring import Ring, current
from aio_posix.asyncio.native import same_file

CLOSED = "I/O operation on closed file."


def _no_ring() -> Ring | None:
    return None


class Access:
    """To one number; ``file`` is None for a borrowed one. A shared number's calls keep their order
    with all others that are asked of it in this loop.
    """

    __slots__ = ("_born", "_channel", "_file", "_kind", "_ring", "_shared", "fd", "name")

    def __init__(self, fd: int, file: OpenFile | None, name: Any, *, shared: bool = False) -> None:
        self.fd = fd
        self.name = name
        self._file = file
        self._shared = shared
        self._born = loop.generation()
        self._ring: Callable[[], Ring | None] = _no_ring
        self._channel: Channel | None = None
        self._kind: Kind | None = None

    def fileno(self) -> int:
        if self.fd < 0:
            raise ValueError(CLOSED)
        return self.fd

    def known(self, ring: Ring) -> Channel | None:
        """The channel of this file in this loop, if there is one."""
        if self._shared:
            return ring.channels.of(self.fd)
        channel = self._channel
        if channel is None or self._ring() is not ring:
            return None
        if self._file is None and not (
            channel.lanes and same_file(self.fd, channel.lanes[0].fd) == 1
        ):
            return None
        return channel

    def new(self, ring: Ring) -> Channel:
        """A channel of what the number means now."""
        ending.arrange()
        fd = self.fileno()
        if self._file is None:
            channel = ring.channels.borrow(fd, self.name, shared=self._shared)
        else:
            if self._born != ring.born:  # requests of the parent may hold it for ever
                self._born = ring.born
                self._file = self._file.renewed()
            channel = Channel(self._file, self.name)
        if not self._shared:
            self._ring, self._channel = weakref.ref(ring), channel
        return channel

    def kind(self, channel: Channel | None) -> Kind:
        """What it is of."""
        if channel is not None:
            return channel.kind
        if self._file is None:  # the number may mean another file the next time
            return kind(self.fileno())
        if self._kind is None:
            self._kind = kind(self.fileno())
        return self._kind

    def interrupt(self, error: BaseException) -> None:
        """Whoever waits for this stream gets the error."""
        ring, channel = self._ring(), self._channel
        if ring is not None and channel is not None and channel.users:
            ring.poller.interrupt(channel.lanes[0].fd, error)

    async def idle(self) -> None:
        """Waits until no request is in flight here, also none that nobody awaits any more."""
        channel = self._channel
        while channel is not None and channel.in_flight and self._ring() is current():
            await channel.quiet()

    def close(self, then: Callable[[], object] | None) -> None:
        """``then`` is called when no request needs the number any more."""
        file, self._file = self._file, None
        channel = self._channel
        self._channel, self.fd = None, -1
        stale = self._born != loop.generation()  # requests of the parent may hold it for ever
        if channel is not None and not stale:
            channel.given_up = True
            if channel.idle:
                channel.lanes.clear()
        if then is not None:
            if file is None or stale:
                then()
            else:
                file.finally_call(then)


class Use:
    """The channel in this loop, while a call goes on."""

    __slots__ = ("channel", "ring")

    def __init__(self, access: Access) -> None:
        self.ring = ring = current()
        self.channel = access.known(ring) or access.new(ring)
        self.channel.users += 1

    def __enter__(self) -> tuple[Ring, Channel]:
        return self.ring, self.channel

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.ring.channels.left(self.channel)
