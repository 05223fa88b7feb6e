"""A file's bytes at its position. Some are read ahead, and some wait to be written (outbox.py).

- At most one of the two holds anything. Reading first writes what waits, and writing first goes
  back over what was read ahead. A pipe or socket has no position, so there both may hold something.
- A read that is cancelled or fails leaves what it had got in the window.
- Calls come one at a time, which the file above sees to. The ``..._now`` calls neither wait nor
  need a turn.
"""

from __future__ import annotations

import os
from typing import Any

from aio_posix._calls import read_now
from aio_posix.asyncio import arguments
from aio_posix.asyncio.files.opened import NEVER, SURE, Opened
from aio_posix.asyncio.files.outbox import Outbox
from aio_posix.asyncio.files.window import Window


class Buffer:
    """``size`` bytes may wait to be written (0: none, as with buffering=0); the first read after a
    seek is ``first`` bytes, later ones up to ``most``.
    """

    __slots__ = ("_most", "ahead", "opened", "outbox", "size", "stream", "window")

    def __init__(self, opened: Opened, size: int, first: int, most: int) -> None:
        self.opened = opened
        self.outbox = Outbox(opened, size)
        self.stream = opened.stream
        self.window = Window(b"")
        self.ahead = False  # whether the window may hold anything
        self.size = size
        opened.chunk = opened.first = first
        self._most = most

    # --- reading, without waiting: what Opened.read_now() and seek_now() have refused

    def read_now(self, n: int) -> bytes | None:
        """``n`` bytes (fewer at the end of the file) if they were read ahead."""
        if self.ahead:
            have = len(self.window)
            if have >= n:
                return self.window.take(n)
            if not have:
                self._behind()
                return self.opened.read_now(n)
        return None

    def seek_now(self, offset: int) -> bool:
        """Whether the position is ``offset`` now, and what was read ahead is forgotten."""
        if (
            not (self.ahead and self.outbox.clean)
            or self.opened.at < 0
            or not 0 <= offset <= max(self.opened.length, SURE)
        ):
            return False
        self._behind()
        return self.opened.seek_now(offset)

    def _behind(self) -> None:
        """Nothing is read ahead any more. What can be had at once is read at once again, unless
        something waits to be written.
        """
        if self.ahead:
            self.window.clear()
            self.ahead = False
        if self.outbox.clean and self.opened.own and self.opened.mode.reads:
            self.opened.least = 0

    # --- reading

    async def fill(self, nbytes: int = 0, *, exactly: bool = False) -> bool:
        """One read into the window, of ``nbytes`` or more; False at the end of the file."""
        opened = self.opened
        if not (self.stream or self.outbox.clean):
            await self.flush()
        self.ahead, opened.least = True, NEVER
        if not exactly:
            nbytes = max(nbytes, opened.chunk)
        if self.stream:
            data = await opened.requests.receive(nbytes)
        else:
            at = opened.tell()
            found = read_now(opened.fd, nbytes, at)
            data = await opened.requests.pread_missed(nbytes, at) if found is None else found
            opened.move(at + len(data))
        if not exactly:
            opened.chunk = min(2 * opened.chunk, self._most)
        if data:
            self.window.add(data)  # so a cancellation of the next read loses nothing
        return bool(data)

    def end(self) -> None:
        """The line that ends the file has been read."""

    async def readall(self) -> bytes:
        """All up to the end, in reads of at least the first chunk where the size is not known."""
        opened = self.opened
        if not self.stream:
            await self.flush()
        chunk = max(opened.first, self.left())
        while await self.fill(chunk, exactly=True):
            chunk = min(2 * chunk, 1 << 20)
        return self.window.take()

    def left(self) -> int:
        """How many bytes follow, as far as that is known."""
        opened = self.opened
        if self.stream:
            return 0
        # of a server's file, how long it was when it was opened
        length = os.fstat(opened.fd).st_size if opened.local else opened.length
        return length - opened.tell()

    async def readinto(self, view: memoryview) -> int:
        """Fills ``view`` as far as the file goes; unbuffered by one read."""
        done = 0
        if len(self.window):
            data = self.window.take(len(view))
            done = len(data)
            view[:done] = data
            if not self.size:
                return done
        try:
            if not self.stream:
                await self.flush()
            while done < len(view):
                got = await self.opened.pull_into(view[done:])
                done += got
                if not got or not self.size:
                    break
        except BaseException:
            self.window.add(bytes(view[:done]))
            self.ahead, self.opened.least = True, NEVER
            raise
        return done

    # --- the position

    def tell(self) -> int:
        return self.opened.tell() - len(self.window) + sum(map(len, self.outbox.waiting))

    async def seek(self, offset: int, whence: int) -> int:
        await self.flush()
        if whence == os.SEEK_CUR:
            offset -= len(self.window)
        at = await self.opened.go(offset, whence)
        self.opened.chunk = self.opened.first
        self._behind()
        return at

    def back(self, at: int) -> None:
        """Goes back to a position, and forgets what was read ahead."""
        self.opened.move(at)
        self._behind()

    def unread(self) -> None:
        """Goes back to the position that the caller sees."""
        if self.ahead and not self.stream:
            self.back(self.opened.tell() - len(self.window))

    # --- writing

    def put(self, data: bytes) -> bool:
        """Lets ``data`` wait to be written, if that needs no other operation first."""
        if self.ahead and not self.stream and len(self.window):
            return False
        return self.outbox.put(data)

    async def write(self, data: Any) -> int:
        """All of it; the size in bytes."""
        self.unread()
        if type(data) is bytes:
            await self.outbox.write(data)
            return len(data)
        view = arguments.readable(data)
        size = len(view)
        try:
            await self.outbox.write(view)
        except OSError:
            view.release()
            raise
        view.release()  # not after a cancellation: the write goes on
        return size

    async def flush(self) -> None:
        """Writes what waits."""
        if not self.outbox.clean or self.stream:
            await self.outbox.flush()
            if not self.ahead:
                self._behind()

    async def truncate(self, size: int | None) -> int:
        await self.flush()
        self.unread()
        size = self.tell() if size is None else size
        await self.opened.truncate(size)
        return size

    # --- the end

    def write_out(self, seconds: float) -> None:
        """Writes what waits, for callers that cannot await. A pipe or socket gets what goes in
        time.
        """
        self.unread()
        self.outbox.write_out(seconds)

    def shut(self) -> None:
        """Nothing is at hand any more, and nothing is taken."""
        self.outbox.shut()
        self._behind()
