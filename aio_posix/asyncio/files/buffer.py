"""A file's bytes at its position: what is read ahead, and what waits to be written (outbox.py).

- At most one of the two holds anything: reading first writes what waits, writing first goes back
  over what was read ahead. A pipe or socket has no position, so there both may hold something.
- A read that is cancelled or fails leaves what it had got in the window.
- Calls come one at a time; the file above sees to that. The ``..._now`` calls neither wait nor need
  a turn.
"""

from __future__ import annotations

import os
import warnings

from aio_posix.asyncio import exits
from aio_posix.asyncio.files.opened import Opened
from aio_posix.asyncio.files.outbox import Data, Outbox
from aio_posix.asyncio.files.window import byte_window, read_line
from aio_posix.asyncio.native import NOW_MOST, read_now


class Buffer:
    """``size`` bytes may wait to be written (0: none, as with buffering=0); the first read after a
    seek is ``first`` bytes, later ones up to ``most``; ``length``: how long a file of ours is.
    """

    __slots__ = (
        "__weakref__",
        "_chunk",
        "_closed",
        "_fd",
        "_first",
        "_length",
        "_most",
        "_opened",
        "_outbox",
        "_sequential",
        "ahead",
        "handle",
        "size",
        "stream",
        "window",
    )

    def __init__(self, opened: Opened, size: int, first: int, most: int, length: int) -> None:
        self._opened = opened
        self._outbox = Outbox(opened, size)
        self.handle = opened.handle
        self.stream = opened.stream
        self._fd = opened.fd
        self.window = byte_window()
        self.ahead = False  # whether the window may hold anything
        self.size = size
        self._chunk = self._first = first
        self._most = most
        self._length = length
        self._sequential = False
        self._closed = False
        exits.opened(self)

    # --- reading, without waiting

    def read_now(self, n: int) -> bytes | None:
        """``n`` bytes (fewer at the end of the file) if they are at hand."""
        if self.ahead:
            have = len(self.window)
            if have >= n:
                return self.window.take(n)
            if have:
                return None
            self.ahead = False
        at = self.handle.at
        if at < 0 or not self._outbox.clean or (self._sequential and n < self._chunk):
            return None
        data = read_now(self._fd, n, at)
        if data is not None:
            self.handle.at = at + len(data)
            self._sequential = True
        return data

    def read_all_now(self) -> bytes | None:
        """All up to the end, if it is no longer than it was when the file was opened."""
        at = self.handle.at
        if self.ahead or at < 0 or not self._outbox.clean:
            return None
        n = max(self._length - at, 0) + 1
        if n > NOW_MOST:
            return None
        data = read_now(self._fd, n, at)
        if data is None or len(data) == n:
            return None
        self.handle.at = at + len(data)
        return data

    def seek_now(self, offset: int) -> bool:
        """Whether the position is ``offset`` now."""
        if self.handle.at < 0 or not self._outbox.clean or not 0 <= offset < 1 << 63:
            return False
        if self.ahead:
            self.window.clear()
            self.ahead = False
        self.handle.at = offset
        self._chunk = self._first
        self._sequential = False
        return True

    # --- reading

    async def pull_into(self, view: memoryview) -> int:
        """One read into memory of the user's."""
        if not self.stream:
            await self.flush()
        return await self._opened.pull_into(view)

    async def fill(self, nbytes: int = 0) -> bool:
        """One read into the window, of ``nbytes`` or more; False at the end of the file."""
        if not self.stream:
            await self.flush()
        self.ahead = self._sequential = True
        data = await self._opened.pull(max(nbytes, self._chunk))
        self._chunk = min(2 * self._chunk, self._most)
        self.window.add(data)
        return bool(data)

    async def read(self, n: int) -> bytes:
        if n < 0:
            raise ValueError("read length must be non-negative or -1")
        while (have := len(self.window)) < n and await self.fill(n - have):
            pass
        return self.window.take(n)

    async def read1(self, n: int) -> bytes:
        """What is there, or else one read of ``n`` at most."""
        if n and not len(self.window):
            if not self.stream:
                await self.flush()
            return await self._opened.pull(n)
        return self.window.take(n)

    async def readall(self) -> bytes:
        """All up to the end, in reads of at least the first chunk where the size is not known."""
        chunk = self._first
        if not self.stream:
            await self.flush()
            chunk = max(chunk, self._opened.length() - self.handle.tell())
        self.ahead = True
        while data := await self._opened.pull(chunk):
            self.window.add(data)  # so a cancellation loses nothing
            chunk = min(max(2 * chunk, self._first), 1 << 20)
        return self.window.take()

    async def readline(self, limit: int = -1) -> bytes:
        return await read_line(self.window, self.fill, limit)

    async def readinto(self, view: memoryview) -> int:
        """Fills ``view`` as far as the file goes."""
        done = 0
        if len(self.window):
            data = self.window.take(len(view))
            done = len(data)
            view[:done] = data
        try:
            while done < len(view):
                got = await self.pull_into(view[done:])
                if not got:
                    break
                done += got
        except BaseException:
            self.window.add(bytes(view[:done]))
            self.ahead = True
            raise
        return done

    # --- the position

    def tell(self) -> int:
        return self.handle.tell() - len(self.window) + sum(map(len, self._outbox.waiting))

    async def seek(self, offset: int, whence: int) -> int:
        await self.flush()
        if whence == os.SEEK_CUR:
            offset -= len(self.window)
        at = await self._opened.go(offset, whence)
        self.window.clear()
        self._chunk = self._first
        self._sequential = False
        return at

    def unread(self) -> None:
        """Goes back to the position that the caller sees."""
        if self.ahead and not self.stream:
            self.handle.move(self.handle.tell() - len(self.window))
            self.window.clear()
            self.ahead = False

    # --- writing

    @property
    def room(self) -> int:
        """How much more may wait; -1: nothing."""
        return self._outbox.room

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is on its way."""
        return self._outbox.clean

    def put(self, data: bytes) -> bool:
        """Lets ``data`` wait to be written, if that needs no other operation first."""
        if self.ahead and not self.stream and len(self.window):
            return False
        return self._outbox.put(data)

    async def write(self, data: Data) -> None:
        self.unread()
        await self._outbox.write(data)

    async def flush(self) -> None:
        """Writes what waits."""
        if not self._outbox.clean or self.stream:
            await self._outbox.flush()

    async def settle(self) -> None:
        """Waits for writes that run behind, and raises what they raised."""
        await self._outbox.settle()

    async def truncate(self, size: int | None) -> int:
        await self.flush()
        self.unread()
        size = self.tell() if size is None else size
        await self._opened.truncate(size)
        return size

    # --- the end

    @property
    def closed(self) -> bool:
        return self._closed or self.handle.closed

    @property
    def busy(self) -> bool:
        """Whether a write runs behind."""
        return self._outbox.busy

    def publish(self) -> None:
        self.handle.publish()

    def interrupt(self, error: ValueError, *, hurry: bool) -> None:
        """Reads that wait for a pipe or socket raise ``error``; if it is in a hurry, writes too."""
        self._outbox.hurry(hurry)
        self._opened.interrupt(error)

    def close_now(self) -> bool:
        """Whether it is closed now: a regular file that was only read, if that cannot take long."""
        if self._closed or not self._outbox.clean or not self._opened.close_now():
            return False
        self._forget()
        return True

    async def close(self, *, hurry: bool) -> None:
        """Writes what waits and closes the file. If that fails or is cancelled it is closed all the
        same: a regular file after all is written, a pipe or socket without what waits.
        """
        failure = None
        try:
            try:
                await self._outbox.last(hurry=hurry)
            except Exception as error:
                failure = error
                self._outbox.waiting.clear()
            await self._opened.idle()
        except BaseException:
            self._abandon()
            raise
        self._forget()
        await self._opened.close(self._outbox.rest())
        if failure is not None:
            raise failure

    def _abandon(self) -> None:
        """Closes without waiting for anything."""
        if self.stream:
            self._outbox.drop_rest()
        self._forget()
        self._opened.close_later(self._outbox.rest())

    def write_out(self, seconds: float) -> None:
        """Writes what waits, for who cannot await; to a pipe or socket what goes in time."""
        self.unread()
        self._outbox.write_out(seconds)

    def desert(self) -> None:
        """In a forked child: the parent goes on with what waits and with what is on its way."""
        self._forget()
        self.handle.desert()

    def let_go(self) -> None:
        """Somebody else closes the file."""
        self._forget()
        self._opened.let_go()

    def _forget(self) -> None:
        """From here on the file is closed for callers."""
        exits.closed(self)
        self._closed = True
        self._outbox.shut()
        self._fd = -1
        if self.ahead:
            self.window.clear()
            self.ahead = False

    def __del__(self) -> None:
        if not hasattr(self, "_closed") or self.closed:
            return
        try:
            if self.handle.closefd:
                text = f"unclosed file {self.handle!r}"
                warnings.warn(text, ResourceWarning, stacklevel=2, source=self)
        finally:
            if self.busy:
                self._abandon()
            else:
                try:
                    self.write_out(0.0)
                finally:
                    self._forget()
                    self._opened.close_here()
