"""What every file of aio_posix.asyncio can do, whatever it reads and writes.

- Operations at the position have turns (sharing.py). pread, pwrite and readinto at an offset have
  none, so any number of them may run.
- What needs no waiting and would overtake nobody is done at once, without a turn.
"""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aio_posix._calls import EachLine, declined, read_now
from aio_posix.asyncio import arguments, loop
from aio_posix.asyncio.files.closing import join
from aio_posix.asyncio.files.modes import Answer
from aio_posix.asyncio.files.sharing import Shared
from aio_posix.asyncio.files.window import STRETCH, Source, Window, read_line
from aio_posix.asyncio.native import OTHERWISE

if TYPE_CHECKING:
    from aio_posix._types import ReadableBuffer, WritableBuffer

S = TypeVar("S", str, bytes)
Self = TypeVar("Self", bound="File[Any]")


class File(Generic[S]):
    """An open file whose methods are awaited. Names and meanings are those of io's files.

    ``name``, ``mode``, ``closed``, ``raw``, ``fileno()`` and ``detach()`` are at hand without
    await.
    """

    def __init__(self, shared: Shared, source: Source[S]) -> None:
        self._shared = shared
        self._source: Source[S] = source
        self._window: Window[S] = source.window
        self._order = shared.order
        self._buffer = shared.buffer
        self._opened = shared.buffer.opened

    @property
    def name(self) -> Any:
        """What was opened: the path as it was given, or the descriptor."""
        return self._opened.name

    @property
    def mode(self) -> str:
        """As the built-in open() has it."""
        return self._opened.mode.shown

    @property
    def closed(self) -> bool:
        """Whether close() has been called."""
        return self._shared.closed

    @property
    def raw(self) -> io.FileIO:
        """The built-in's unbuffered file on the same descriptor, which owns it from now on."""
        self._shared.check()
        join(self._buffer.outbox.behind)  # who has it may close it
        return self._opened.raw

    def fileno(self) -> int:
        """The descriptor. Raises ValueError after close()."""
        self._shared.check()
        self._opened.publish()
        return self._opened.fd

    def readable(self) -> Answer:
        """Whether the file was opened for reading. The answer may be awaited, and need not be."""
        self._shared.check()
        return Answer(self._opened.mode.reads)

    def writable(self) -> Answer:
        """Whether the file was opened for writing. The answer may be awaited, and need not be."""
        self._shared.check()
        return Answer(self._opened.mode.writes)

    def seekable(self) -> Answer:
        """Whether the file has positions. The answer may be awaited, and need not be."""
        self._shared.check()
        return Answer(self._opened.seekable)

    def isatty(self) -> Answer:
        """Whether the file is a terminal. The answer may be awaited, and need not be."""
        self._shared.check()
        return Answer(os.isatty(self._opened.fd))

    async def readline(self, limit: int | None = -1) -> S:
        """The next line with its end, or its first ``limit`` characters. Empty at the end of the
        file.
        """
        if limit == -1:
            line = self._window.line_now()
            if line is not None:
                return line
        limit = arguments.size(limit)
        with await self._shared.reading():
            await self._opened.courtesy()
            line = await read_line(self._source, limit)
        if not self._order.held:
            self._window.left = STRETCH
        return line

    async def readlines(self, hint: int | None = -1) -> list[S]:
        """The lines up to the end, or until they are ``hint`` long together."""
        hint = arguments.size(hint)
        with await self._shared.reading():
            if hint <= 0:
                self._window.add(await self._source.readall())
                return self._window.all_lines()
            try:
                while True:  # nothing is taken before all is there: a cancellation loses nothing
                    if (lines := self._window.take_lines(hint)) is not None:
                        return lines
                    if not await self._source.fill():
                        self._source.end()
                        return self._window.all_lines()
            finally:
                if not self._buffer.size:  # unbuffered
                    self._buffer.unread()

    async def writelines(self, lines: Iterable[Any]) -> None:
        """Writes the lines one after another, and nothing between them."""
        pieces = iter(lines)
        with await self._shared.writing():
            for line in pieces:
                await self._source.write(line)

    async def tell(self) -> int:
        """The position."""
        with await self._shared.turn():
            await self._buffer.outbox.settle()
            if not self._opened.seekable:
                raise io.UnsupportedOperation("underlying stream is not seekable")
            return self._source.tell()

    async def truncate(self, size: int | None = None) -> int:
        """Makes the file ``size`` bytes long, by default up to the position, and returns the size.

        The position stays.
        """
        with await self._shared.writing():
            return await self._buffer.truncate(size)

    async def flush(self) -> None:
        """Writes what waits to be written."""
        with await self._shared.turn(self._shared.write_order):
            await self._buffer.flush()

    async def fsync(self) -> None:
        """Does flush(), and then everything that was written is on the disk.

        C: ``int aio_fsync(O_SYNC, struct aiocb *aiocbp)``

        Raises what write() and fsync(2) raise.
        """
        with await self._shared.turn(self._shared.write_order):
            await self._buffer.flush()
            await self._opened.requests.fsync()

    async def fdatasync(self) -> None:
        """The same without the metadata that reading the data back does not need (O_DSYNC)."""
        with await self._shared.turn(self._shared.write_order):
            await self._buffer.flush()
            await self._opened.requests.fdatasync()

    async def pread(self, nbytes: int, offset: int) -> bytes:
        """Reads ``nbytes`` bytes at ``offset``. Fewer come at the end of the file only.

        The position stays, and other operations go on meanwhile. Raises io.UnsupportedOperation for
        a file that is not readable or has no positions, and ValueError for a negative size or
        offset.
        """
        data = self._opened.pread_now(nbytes, offset)
        if data is not None:
            return data
        if declined() == OTHERWISE:
            arguments.extent(nbytes, offset)
            if self._shared.behind_position(writing=False):
                await self._shared.settle_position()
            data = read_now(self._opened.fd, nbytes, offset)
            if data is not None:
                return data
        return await self._opened.requests.pread_missed(nbytes, offset)

    async def pwrite(self, data: ReadableBuffer, offset: int) -> int:
        """Writes all of ``data`` (bytes-like) at ``offset``, and returns its size.

        The position stays. A file opened to append appends, as pwrite(2) does on Linux. Raises what
        pread() raises.
        """
        view = data if type(data) is bytes else arguments.readable(data)
        arguments.not_negative("offset", arguments.position(offset))
        if self._shared.behind_position(writing=True):
            await self._shared.settle_position()
        return await self._opened.requests.pwrite(view, offset)

    async def pread_many(self, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
        """Reads ``nbytes`` bytes at ``offset`` for each (nbytes, offset), with one await.

        Returns the pieces in their order. The first error is raised when all others have ended,
        with its place in a note. Raises what pread() raises.
        """
        wanted = list(ranges)
        for nbytes, offset in wanted:
            arguments.extent(nbytes, offset)
        if self._shared.behind_position(writing=False):
            await self._shared.settle_position()
        return await self._opened.requests.pread_many(wanted)

    async def readinto_many(self, buffers: Iterable[tuple[WritableBuffer, int]]) -> list[int]:
        """Fills the buffer from ``offset`` on, as far as the file goes, for each (buffer, offset).

        One await does all, and the counts come in their order. Raises what pread_many() raises.
        """
        wanted = list(buffers)
        for buffer, offset in wanted:
            arguments.writable(buffer, "readinto").release()  # a traceback must not hold an export
            arguments.not_negative("offset", arguments.position(offset))
        if self._shared.behind_position(writing=False):
            await self._shared.settle_position()
        return await self._opened.requests.preadinto_many(wanted)

    async def pwrite_many(self, pieces: Iterable[tuple[ReadableBuffer, int]]) -> list[int]:
        """Writes ``data`` at ``offset`` for each (data, offset), with one await.

        Returns the sizes in their order. Pieces that overlap land in their order. Raises what
        pread_many() raises.
        """
        wanted = list(pieces)
        for data, offset in wanted:
            arguments.readable(data).release()
            arguments.not_negative("offset", arguments.position(offset))
        if self._shared.behind_position(writing=True):
            await self._shared.settle_position()
        return await self._opened.requests.pwrite_many(wanted)

    async def close(self) -> None:
        """Writes what waits to be written, and gives the file back.

        If the writing fails, the file is closed all the same, and the error is raised. What a
        cancelled write has left over for a pipe or socket is dropped, with a ResourceWarning that
        says how much.
        """
        await self._shared.close(hurry=False)

    def detach(self) -> Any:
        """What the built-in's detach() returns, at the position reached.

        This file is of no use afterwards. The call blocks for what waits to be written. Raises
        RuntimeError while an operation is going on.
        """
        return self._shared.detach()

    def __aiter__(self) -> AsyncIterator[S]:
        return EachLine(self._window, self.__anext__)

    async def __anext__(self) -> S:
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    async def __aenter__(self: Self) -> Self:
        self._shared.check()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is GeneratorExit:  # nothing can be awaited, so the finalizer writes what waits
            self._shared.close_now()
            return
        cancelled = kind is not None and issubclass(kind, loop.Cancelled)
        await self._shared.close(hurry=cancelled)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy would write what waits a second time."""
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __repr__(self) -> str:
        return f"<aio_posix.asyncio.{type(self).__name__} name={self.name!r} mode={self.mode!r}>"
