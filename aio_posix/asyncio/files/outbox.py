"""What was written and is not yet in the file.

- It waits, then it is on its way. Writes of a regular file run behind their callers (``behind``).
  They go on when a task is cancelled. settle() waits for them and raises what they raised, and
  everything that depends on them settles first. What failed waits again, in front.
- A write to a pipe or socket never runs behind. When it is cancelled, what has not gone waits.
  Until a later write or flush gets all of it through, the outbox is ``stuck`` and close() drops the
  rest.
"""

from __future__ import annotations

import os
import warnings

from aio_posix.asyncio import loop
from aio_posix.asyncio.files import blocking
from aio_posix.asyncio.files.closing import Behind, Data, Rest
from aio_posix.asyncio.files.opened import LAST, NEVER, Opened, jobs
from aio_posix.asyncio.files.together import SMALL, put
from aio_posix.asyncio.memory import ALIGNMENT, aligned, pin

BEHIND = 2 << 20  # bytes that may be on their way, half of which wake the loop up together


class Outbox:
    """``size`` bytes may wait (0: none, as with buffering=0)."""

    __slots__ = ("_behind_bytes", "_follows", "_opened", "behind", "clean", "hurried", "room",
                 "size", "stuck", "waiting")  # fmt: skip

    def __init__(self, opened: Opened, size: int) -> None:
        self._opened = opened
        self.size = size
        self.room = size if opened.mode.writes else -1  # -1: nothing may wait
        # False: something may wait or be on its way, or the file is closed
        self.clean = True
        self.waiting: list[Data] = []
        self.behind: list[Behind] = []
        self._behind_bytes = 0
        self.stuck = self.hurried = False  # hurried: a send that close() wakes up gives up
        self._follows = False  # what a closed loop has left in glibc's queue

    @property
    def busy(self) -> bool:
        """Whether a write runs behind."""
        return any(each.result is None for each in self.behind)

    def put(self, data: bytes) -> bool:
        """Lets ``data`` wait, if there is room."""
        if len(data) > self.room:
            return False
        if data:
            self.clean = False
            self._opened.least = NEVER
            self.waiting.append(data)
            self.room -= len(data)
        return True

    async def write(self, data: Data) -> None:
        stream, size = self._opened.stream, len(data)
        if size > self.room:
            await (self._send() if stream else self._begin())
        if size < max(self.size, 1):
            self.put(bytes(data))
        elif stream:
            await self._send_all(data)
        else:
            await self._make_way(size)
            self._start(data)
            if type(data) is not bytes or not self.size:
                await self.settle()  # the memory is the caller's, or the file unbuffered

    async def flush(self) -> None:
        """Writes what waits."""
        if self._opened.stream:
            await self._send()
        while not self._opened.stream and (self.waiting or self.behind):
            await self._begin()
            await self.settle()
        self.clean = self.room >= 0

    # --- regular files

    async def _begin(self) -> None:
        """Starts to write what waits."""
        if self.waiting:
            await self._make_way(self.size - self.room)
            data = self.waiting[0] if len(self.waiting) == 1 else b"".join(self.waiting)
            self.waiting.clear()
            self.room = self.size
            self._start(data)

    async def _make_way(self, nbytes: int) -> None:
        """Waits until so much more may run behind. What is appended has to wait for all before it,
        because nobody could tell where the hole of a failed write is. Many writes that run behind
        would give the loop no turn, so it gets one here when the task's slice is over.
        """
        if self.behind:
            await self._opened.courtesy()
        if self._opened.mode.appends:
            await self.settle()
        elif self._behind_bytes + nbytes > BEHIND:
            while self.behind and self._behind_bytes > BEHIND // 2:
                first = self.behind[0]
                if first.lost or await first.over() is not None:
                    await self.settle()
                    return
                self.behind.pop(0)
                self._behind_bytes -= len(first.data)

    def _start(self, data: Data) -> None:
        opened = self._opened
        opened.wrote, self.clean = True, False
        opened.least = NEVER
        at = 0 if opened.mode.appends else opened.tell()
        if opened.direct and pin(data)[1] % ALIGNMENT:
            data = aligned(data)
        write: Behind
        small = len(data) <= SMALL and not opened.direct and not self._follows
        if small and type(data) is bytes and opened.undisturbed:
            place = -1 if opened.mode.appends else at
            write = put(jobs(), opened.fd, opened.name, data, at, place)
        else:
            write = opened.requests.put(data, at)
        self.behind.append(write)
        self._behind_bytes += len(data)
        if not opened.mode.appends:
            opened.move(min(at + len(data), LAST))  # beyond it the write fails

    async def settle(self) -> None:
        """Waits for the writes that run behind, and raises what the first that failed raised."""
        for i, each in enumerate(tuple(self.behind)):
            if each.lost:
                self._write_again(i)
                break
            await each.over()
        behind, self.behind, self._behind_bytes = self.behind, [], 0
        appends = self._opened.mode.appends
        for i, each in enumerate(behind):
            error = each.error
            if error is not None:
                self._take_back(behind[i:], getattr(error, "characters_written", 0))
                if appends:
                    await self._opened.go(0, os.SEEK_END)
                raise error
        if behind and appends:
            await self._opened.go(0, os.SEEK_END)

    def _write_again(self, i: int) -> None:
        """The loop that these writes began in was closed, and with it went their results. What
        has a place is written there once more. What was appended has to be taken for written, and
        what is appended from now on goes behind it into the same queue.
        """
        if self._opened.mode.appends:
            self._follows = True
        else:
            self._take_back(self.behind[i:], 0)
        del self.behind[i:]

    def _take_back(self, failed: list[Behind], gone: int) -> None:
        """Lets what was not written, and what was written after that, wait again in front."""
        pieces = [bytes(each.data) for each in failed]  # no copy of bytes
        if self._opened.mode.appends:
            pieces[0] = pieces[0][gone:]
        else:
            self._opened.move(failed[0].at)
        if self.size:
            self.waiting[:0] = pieces
            self.room -= sum(map(len, pieces))

    # --- pipes and sockets

    async def _send(self) -> None:
        """Writes what waits."""
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
            except (loop.Cancelled, GeneratorExit):
                self.waiting.append(bytes(view))
                self.room -= len(view)
                raise

    async def _send_some(self, data: Data) -> int:
        while True:
            try:
                return await self._opened.requests.send(data)
            except ValueError:  # close() has woken up whoever waits here
                if self.hurried:
                    raise
            except (loop.Cancelled, GeneratorExit):
                self.stuck = True
                raise

    # --- the end

    async def last(self, *, hurry: bool) -> None:
        """What has to be done before a close, but for what can be written by it."""
        if not self._opened.stream:
            await self.settle()
            if self._follows:
                await self.flush()
        elif hurry or self.stuck:
            self.drop_rest()
        else:
            await self._send()

    def drop_rest(self) -> None:
        """Writes what a pipe or socket takes at once, and drops the rest."""
        opened = self._opened
        left, self.waiting = blocking.push(opened.fd, self.waiting, 0.0), []
        if left:
            text = f"{left} bytes written to {opened.name!r} are dropped: nobody takes them"
            warnings.warn(text, ResourceWarning, stacklevel=6)

    def shut(self) -> None:
        """Takes nothing more."""
        self.clean = False
        self._opened.least = NEVER
        self.room = -1

    def rest(self) -> Rest | None:
        """What is left of a regular file's, if anything is."""
        pieces, self.waiting = self.waiting, []
        return Rest(self._opened, self.behind, pieces) if pieces or self.behind else None

    def write_out(self, seconds: float) -> None:
        """Writes what waits, for callers that cannot await. A pipe or socket gets what goes in
        time.
        """
        if self._opened.stream:
            if self.waiting:
                blocking.push(self._opened.fd, self.waiting, seconds)
            self.waiting = []
        elif rest := self.rest():
            rest()
        self.shut()
