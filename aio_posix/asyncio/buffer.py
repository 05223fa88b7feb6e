"""Read-ahead and write-behind of a Stream: what io.BufferedRandom is to io.FileIO.

- At most one of the two holds anything: reading first writes what waits, writing first goes back
  over what was read ahead.
- A read that is cancelled or fails leaves what it had got in the window: nothing is lost.
- Like the Stream it does not take the Order.
"""

from __future__ import annotations

import os

from aio_posix.asyncio.stream import Stream
from aio_posix.asyncio.window import byte_window, read_line


class Buffer:
    """``size`` bytes may wait to be written; the first read after a seek is ``chunk``, the next
    ones up to ``most``.
    """

    def __init__(self, stream: Stream, size: int, chunk: int, most: int) -> None:
        self.stream = stream
        self.window = byte_window()
        self.size = size
        self.room = size if stream.raw.writable() else -1  # -1: nothing may wait
        self._first = self._chunk = chunk
        self._most = most
        self.waiting: list[bytes] = []

    def put(self, data: bytes) -> bool:
        """Lets ``data`` wait to be written, if that needs no other operation first."""
        if len(data) > self.room or len(self.window):
            return False
        if data:
            self.waiting.append(data)
            self.room -= len(data)
        return True

    async def write(self, data: bytes | memoryview) -> None:
        self.unread()
        if len(data) > self.room:
            await self.flush()
        if len(data) >= max(self.size, 1):
            await self.stream.write(data)
        elif data:
            self.put(bytes(data))

    async def flush(self) -> None:
        if self.waiting:
            await self.stream.settle()  # cancelled here, nothing has left yet
            data, room = b"".join(self.waiting), self.room
            self.waiting.clear()
            self.room = self.size
            try:
                await self.stream.write(data)
            except OSError:
                if (
                    self.stream.seekable and not self.stream.append
                ):  # else half of it may be there twice
                    self.waiting, self.room = [data, *self.waiting], room
                raise

    async def fill(self, nbytes: int = 0) -> bool:
        """One read into the window, of ``nbytes`` or more; False at the end of the file."""
        await self.flush()
        data = await self.stream.read(max(nbytes, self._chunk))
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
            await self.flush()
            return await self.stream.read(n)
        return self.window.take(n)

    async def readall(self) -> bytes:
        await self.flush()
        rest = await self.stream.readall(self._first)
        return self.window.take() + rest if len(self.window) else rest

    async def readline(self, limit: int = -1) -> bytes:
        return await read_line(self.window, self.fill, limit)

    async def readinto(self, view: memoryview) -> int:
        """Fills ``view`` as far as the file goes."""
        await self.flush()
        done = 0
        if len(self.window):
            data = self.window.take(len(view))
            done = len(data)
            view[:done] = data
        while done < len(view):
            got = await self.stream.readinto(view[done:])
            if not got:
                break
            done += got
        return done

    def tell(self) -> int:
        return self.stream.raw.tell() - len(self.window) + sum(map(len, self.waiting))

    async def seek(self, offset: int, whence: int) -> int:
        await self.flush()
        await self.stream.settle()
        if whence == os.SEEK_CUR:
            offset -= len(self.window)
        at = self.stream.seek(offset, whence)
        self.window.clear()
        self._chunk = self._first
        return at

    def unread(self) -> None:
        """Goes back to the position that the caller sees."""
        if len(self.window):
            self.stream.back(self.window.take())

    async def truncate(self, size: int | None) -> int:
        await self.flush()
        self.unread()
        return await self.stream.truncate(self.tell() if size is None else size)

    def close(self) -> None:
        """Forgets everything."""
        self.window.clear()
        self.waiting.clear()
        self.room = -1

    def write_out(self) -> None:
        """What waits, written without the loop: for who cannot await."""
        self.unread()
        while self.waiting:
            data = self.waiting.pop(0)
            if (put := self.stream.raw.write(data) or 0) < len(data):
                self.waiting.insert(0, data[put:])
        self.room = -1
