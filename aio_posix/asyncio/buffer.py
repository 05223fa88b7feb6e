"""A file's bytes at its position: what is read ahead, and what waits to be written.

- At most one of the two holds anything: reading first writes what waits, writing first goes back
  over what was read ahead. A pipe or socket has no position, so there both may hold something.
- A read that is cancelled or fails leaves what it had got in the window.
- Writes of a regular file may run behind their callers (``behind``). They go on when a task is
  cancelled; settle() waits for them and raises what they raised, and everything that depends on
  them settles first. What failed waits again, in front.
- A write to a pipe or socket never runs behind. When it is cancelled, what has not gone waits.
  Until a later write or flush gets all of it through, the buffer is ``stuck`` and close() drops the
  rest.
- Calls come one at a time; the file above sees to that.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

from aio_posix.asyncio import exits, loop, threads
from aio_posix.asyncio.descriptor import Descriptor
from aio_posix.asyncio.handle import PUBLIC, Handle
from aio_posix.asyncio.memory import ALIGNMENT, aligned, pin
from aio_posix.asyncio.native import NOW_MOST, REST, declined, may_now, read_now
from aio_posix.asyncio.offload import offload
from aio_posix.asyncio.ring import rest
from aio_posix.asyncio.together import SMALL, Small, put
from aio_posix.asyncio.transfer import Write
from aio_posix.asyncio.window import byte_window, read_line

Data = bytes | memoryview
BEHIND = 2 << 20  # bytes that may be on their way; half of them wake the loop up together


class Behind(NamedTuple):
    """A write of a regular file that goes on by itself."""

    write: Write | Small
    data: Data
    at: int
    loop: loop.Loop

    @property
    def lost(self) -> bool:
        """Whether nobody will ever say that it has ended, because its loop was closed."""
        return self.write.result is None and self.loop.is_closed()


def join(behind: list[Behind]) -> None:
    """Blocks until the small ones are written."""
    for each in behind:
        if isinstance(each.write, Small):
            each.write.join()


class Buffer:
    """``size`` bytes may wait to be written (0: none, as with buffering=0); the first read after a
    seek is ``first`` bytes, later ones up to ``most``; ``length`` is what a
    regular file of ours had when it was opened, else None; ``local``: the file system answers at
    once.
    """

    __slots__ = (
        "__weakref__",
        "_behind_bytes",
        "_chunk",
        "_closed",
        "_descriptor",
        "_direct",
        "_executor",
        "_first",
        "_hurried",
        "_length",
        "_local",
        "_most",
        "_sequential",
        "ahead",
        "behind",
        "clean",
        "fd",
        "handle",
        "room",
        "size",
        "stream",
        "stuck",
        "waiting",
        "window",
        "wrote",
    )

    def __init__(
        self,
        handle: Handle,
        size: int,
        first: int,
        most: int,
        executor: Executor | None,
        length: int | None,
        local: bool,
    ) -> None:
        self.handle = handle
        self.fd = handle.fd if handle.mode.reads and length is not None else -1
        self.window = byte_window()
        self.ahead = False  # whether the window may hold anything
        self.size = size
        self.room = size if handle.mode.writes else -1  # -1: nothing may wait
        # False: something may wait or be on its way, or the file is closed
        self.clean = True
        self.waiting: list[Data] = []
        self.behind: list[Behind] = []
        self._behind_bytes = 0
        self.stuck = self.wrote = False
        self._chunk = self._first = first
        self._most = most
        self._sequential = False
        self._executor = executor
        self._length = length or 0
        self._local = local
        self._hurried = False
        self._descriptor: Descriptor | None = None
        self.stream = self._direct = False
        if length is None:
            descriptor = self.descriptor
            self.stream, self._direct = descriptor.stream, descriptor.direct
        self._closed = False
        exits.opened(self)

    @property
    def descriptor(self) -> Descriptor:
        """What requests go through; made for the first of them."""
        if self._descriptor is None:
            handle = self.handle
            name = handle.name if isinstance(handle.name, (str, bytes)) else None
            self._descriptor = (
                Descriptor.owning(handle.fd, handle, name)
                if handle.closefd
                else Descriptor.borrowing(handle.fd, name)
            )
        return self._descriptor

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
        if at < 0 or not self.clean or (self._sequential and n < self._chunk):
            return None
        data = read_now(self.fd, n, at)
        if data is not None:
            self.handle.at = at + len(data)
            self._sequential = True
        return data

    def read_all_now(self) -> bytes | None:
        """All up to the end, if it is no longer than it was when the file was opened."""
        at = self.handle.at
        if self.ahead or at < 0 or not self.clean:
            return None
        n = max(self._length - at, 0) + 1
        if n > NOW_MOST:
            return None
        data = read_now(self.fd, n, at)
        if data is None or len(data) == n:
            return None
        self.handle.at = at + len(data)
        return data

    def seek_now(self, offset: int) -> bool:
        """Whether the position is ``offset`` now."""
        if self.handle.at < 0 or not self.clean or not 0 <= offset < 1 << 63:
            return False
        if self.ahead:
            self.window.clear()
            self.ahead = False
        self.handle.at = offset
        self._chunk = self._first
        self._sequential = False
        return True

    # --- reading

    async def pull(self, nbytes: int) -> bytes:
        """One read at the position: ``nbytes``, of a pipe or socket what there is."""
        if self.stream:
            return await self.descriptor.receive(nbytes)
        await self.settle()
        handle = self.handle
        at = handle.tell()
        data = read_now(self.fd, nbytes, at)
        if data is None:
            data = await self.descriptor.pread(nbytes, at)
        handle.move(at + len(data))
        return data

    async def pull_into(self, view: memoryview) -> int:
        """One read into memory of the user's."""
        if self.stream:
            return await self.descriptor.receive_into(view)
        await self.settle()
        at = self.handle.tell()
        if self._direct and (at | len(view) | pin(view)[1]) % ALIGNMENT:
            data = await self.descriptor.pread(len(view), at)
            got = len(data)
            view[:got] = data
        else:
            got = await self.descriptor.preadinto(view, at)
        self.handle.move(at + got)
        return got

    async def fill(self, nbytes: int = 0) -> bool:
        """One read into the window, of ``nbytes`` or more; False at the end of the file."""
        if not self.stream:
            await self.flush()
        self.ahead = self._sequential = True
        data = await self.pull(max(nbytes, self._chunk))
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
            return await self.pull(n)
        return self.window.take(n)

    async def readall(self) -> bytes:
        """All up to the end, in reads of at least the first chunk where the size is not known."""
        chunk = self._first
        if not self.stream:
            await self.flush()
            # a server may take its time to say how long the file is now
            length = os.fstat(self.handle.fd).st_size if self._local else self._length
            chunk = max(chunk, length - self.handle.tell())
        self.ahead = True
        while data := await self.pull(chunk):
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
                if not self.stream:
                    await self.flush()
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
        return self.handle.tell() - len(self.window) + sum(map(len, self.waiting))

    async def seek(self, offset: int, whence: int) -> int:
        await self.flush()
        if whence == os.SEEK_CUR:
            offset -= len(self.window)
        at = await self._go(offset, whence)
        self.window.clear()
        self._chunk = self._first
        self._sequential = False
        return at

    async def _go(self, offset: int, whence: int) -> int:
        """Moves the position below the window."""
        handle = self.handle
        at = handle.near(offset, whence)
        if at is None:
            at = (
                handle.far(offset, whence)
                if self._local or self.stream
                else await offload(self._executor, handle.far, offset, whence)
            )
        if handle.at != PUBLIC:
            handle.at = at
        return at

    def unread(self) -> None:
        """Goes back to the position that the caller sees."""
        if self.ahead and not self.stream:
            self.handle.move(self.handle.tell() - len(self.window))
            self.window.clear()
            self.ahead = False

    # --- writing

    def put(self, data: bytes) -> bool:
        """Lets ``data`` wait to be written, if that needs no other operation first."""
        if len(data) > self.room or (self.ahead and len(self.window) and not self.stream):
            return False
        if data:
            self.clean = False
            self.waiting.append(data)
            self.room -= len(data)
        return True

    async def write(self, data: Data) -> None:
        self.unread()
        size = len(data)
        if size > self.room:
            await (self._send() if self.stream else self._begin())
        if size < max(self.size, 1):
            self.put(bytes(data))
        elif self.stream:
            await self._send_all(data)
        else:
            await self._make_way(size)
            self._start(data)
            if type(data) is not bytes or not self.size:
                await self.settle()  # the memory is the caller's, or the file unbuffered

    async def flush(self) -> None:
        """Writes what waits."""
        if self.stream:
            await self._send()
        while not self.stream and not self.clean:
            await self._begin()
            await self.settle()
            self.clean = not self.waiting and not self._closed

    async def _begin(self) -> None:
        """Starts to write what waits."""
        if self.waiting:
            await self._make_way(self.size - self.room)
            data = self.waiting[0] if len(self.waiting) == 1 else b"".join(self.waiting)
            self.waiting.clear()
            self.room = self.size
            self._start(data)

    async def _make_way(self, nbytes: int) -> None:
        """Waits until so much more may run behind. What is appended has to wait for all before it:
        nobody could tell where the hole of a failed write is.
        """
        if self.handle.mode.appends:
            await self.settle()
        elif self._behind_bytes + nbytes > BEHIND:
            while self.behind and self._behind_bytes > BEHIND // 2:
                first = self.behind[0]
                if first.lost or await first.write.over() is not None:
                    await self.settle()
                    return
                self.behind.pop(0)
                self._behind_bytes -= len(first.data)

    def _start(self, data: Data) -> None:
        handle = self.handle
        self.wrote, self.clean = True, False
        at = 0 if handle.mode.appends else handle.tell()
        if self._direct and pin(data)[1] % ALIGNMENT:
            data = aligned(data)
        write: Write | Small
        if self._local and len(data) <= SMALL and type(data) is bytes and not self._direct:
            write = put(handle, data, at)
        else:
            write = self.descriptor.put(data, at)
        self.behind.append(Behind(write, data, at, loop.running()))
        self._behind_bytes += len(data)
        if not handle.mode.appends:
            handle.move(at + len(data))

    async def settle(self) -> None:
        """Waits for the writes that run behind, and raises what the first that failed raised."""
        for i, each in enumerate(tuple(self.behind)):
            if each.lost:
                self._write_again(i)
                break
            await each.write.over()
        behind, self.behind, self._behind_bytes = self.behind, [], 0
        for i, each in enumerate(behind):
            error = each.write.error
            if error is not None:
                self._take_back(behind[i:], getattr(error, "characters_written", 0))
                if self.handle.mode.appends:
                    await self._go(0, os.SEEK_END)
                raise error
        if behind and self.handle.mode.appends:
            await self._go(0, os.SEEK_END)

    def _write_again(self, i: int) -> None:
        """The loop that these writes began in was closed, and with it went their results. What
        has a place is written there once more; what was appended has to be taken for written.
        """
        if not self.handle.mode.appends:
            self._take_back(self.behind[i:], 0)
        del self.behind[i:]

    def _take_back(self, failed: list[Behind], gone: int) -> None:
        """Lets it wait again, in front: what was not written, and what was written after that."""
        handle = self.handle
        pieces = [bytes(each.data) for each in failed]  # no copy of bytes
        if handle.mode.appends:
            pieces[0] = pieces[0][gone:]
        else:
            handle.move(failed[0].at)
        if self.size:
            self.waiting[:0] = pieces
            self.room -= sum(map(len, pieces))

    async def _send(self) -> None:
        """Writes what waits to a pipe or socket."""
        while self.waiting:
            data = self.waiting[0] if len(self.waiting) == 1 else b"".join(self.waiting)
            self.waiting = [data]
            gone = await self._send_some(data)
            self.waiting = [memoryview(data)[gone:]] if gone < len(data) else []
        self.room = self.size
        self.stuck = False

    async def _send_all(self, data: Data) -> None:
        view = memoryview(data)
        while len(view):
            try:
                view = view[await self._send_some(view) :]
            except loop.Cancelled:
                self.waiting.append(bytes(view))
                self.room -= len(view)
                raise

    async def _send_some(self, data: Data) -> int:
        while True:
            try:
                return await self.descriptor.send(data)
            except ValueError:  # close() has woken up whoever waits here
                if self._hurried:
                    raise
            except loop.Cancelled:
                self.stuck = True
                raise

    # --- without the position

    async def courtesy(self) -> None:
        """Gives the loop its turn when the slice (turn.py) of this task is over."""
        # so much that the clock is asked each time: lines cost more than reads
        while not may_now(self.fd, NOW_MOST) and declined() == REST:
            await rest()

    async def pwrite(self, data: Data, offset: int) -> int:
        self.wrote = True
        return await self.descriptor.pwrite(data, offset)

    async def pwrite_many(self, pieces: list[tuple[memoryview, int]]) -> list[int]:
        self.wrote = True
        return await self.descriptor.pwrite_many(pieces)

    async def truncate(self, size: int | None) -> int:
        await self.flush()
        self.unread()
        size = self.tell() if size is None else size
        self.wrote = True
        await offload(self._executor, self.handle.truncate, size)
        return size

    async def sync(self, *, data_only: bool) -> None:
        """All that was written is on the disk."""
        await self.flush()
        await (self.descriptor.fdatasync() if data_only else self.descriptor.fsync())

    # --- the end

    def interrupt(self, error: ValueError, *, hurry: bool) -> None:
        """Reads that wait for a pipe or socket raise ``error``; if it is in a hurry, writes too."""
        self._hurried = hurry
        if self.stream and self._descriptor is not None:
            self._descriptor.interrupt(error)

    def publish(self) -> None:
        self.handle.publish()

    @property
    def closed(self) -> bool:
        return self._closed or self.handle.closed

    @property
    def busy(self) -> bool:
        """Whether a write runs behind."""
        return any(each.write.result is None for each in self.behind)

    def close_now(self) -> bool:
        """Whether it is closed now: a regular file that was only read, if that cannot take long."""
        if self._descriptor is not None or self.wrote or self.waiting or self._closed:
            return False
        if not self._local or self.stream or not self.handle.close_at_once():
            return False
        self._forget()
        return True

    async def close(self, *, hurry: bool) -> None:
        """Writes what waits and closes the file. If that fails or is cancelled it is closed all the
        same: a regular file after all is written, a pipe or socket without what waits.
        """
        handle, failure = self.handle, None
        try:
            try:
                if not self.stream:
                    await self.settle()
                elif hurry or self.stuck:
                    self._drop_rest()
                else:
                    await self._send()
            except Exception as error:
                failure = error
                self.waiting.clear()
            if self._descriptor is not None:
                await self._descriptor.idle()
        except BaseException:
            self._abandon()
            raise
        pieces = self._forget()
        if self._descriptor is not None:
            self._descriptor.close()
        may_wait = bool(pieces) or self.wrote or self.stream or not self._local
        if may_wait or not handle.close_at_once():
            await offload(self._executor, self._finishing(pieces))
        if failure is not None:
            raise failure

    def _abandon(self) -> None:
        """Closes without waiting for anything, as soon as no request uses the number any more."""
        if self.stream:
            self._drop_rest()
        job = self._finishing(self._forget())

        def then() -> None:
            if not threads.start(job):
                job()

        if self._descriptor is None:
            then()
        else:
            self._descriptor.close(then)

    def _finishing(self, pieces: list[Data]) -> Callable[[], None]:
        """The rest of a close, which an exit waits for."""
        handle, direct, behind = self.handle, self._direct, self.behind

        def finish() -> None:
            join(behind)
            try:
                handle.write(pieces, direct=direct)
            finally:
                handle.close()

        return exits.Job(finish, f"close of {handle.name!r}")

    def _drop_rest(self) -> None:
        left, self.waiting = self.handle.push(self.waiting, 0.0), []
        if left:
            text = f"{left} bytes written to {self.handle.name!r} are dropped: nobody takes them"
            warnings.warn(text, ResourceWarning, stacklevel=4)

    def write_out(self, seconds: float) -> None:
        """Writes what waits, for who cannot await; to a pipe or socket what goes in time."""
        join(self.behind)
        self.unread()
        pieces, self.waiting = self.waiting, []
        self.room = -1
        if self.stream and pieces:
            self.handle.push(pieces, seconds)
        elif pieces:
            self.handle.write(pieces, direct=self._direct)

    def let_go(self) -> None:
        """Somebody else closes the file."""
        self._forget()
        if self._descriptor is not None:
            self._descriptor.close()
        self.handle.let_go()

    def _forget(self) -> list[Data]:
        """From here on the file is closed for callers; what waited."""
        exits.closed(self)
        self._closed, self.clean = True, False
        self.fd = self.room = -1
        if self.ahead:
            self.window.clear()
            self.ahead = False
        pieces, self.waiting = self.waiting, []
        return pieces

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
                    if self._descriptor is None:
                        self.handle.close()
                    else:
                        self._descriptor.close(self.handle.close)  # reads may be in flight
