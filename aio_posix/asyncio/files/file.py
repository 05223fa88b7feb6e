"""What every file of aio_posix.asyncio can do, whatever it reads and writes.

- Operations of several tasks on one file happen one at a time, in the order in which they were
  called. pread, pwrite and readinto at an offset do not wait for their turn: any number of them may
  run.
- What needs no waiting and would overtake nobody is done at once, without a turn.
- close() waits for its turn, but not for a read of a pipe: that one raises ValueError. When a block
  is left because its task was cancelled, its file does not wait for the reader of a pipe either.
- A forked child goes on with files that it inherits, but for those that a task of the parent was
  using: in the child they raise.
"""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aio_posix.asyncio import arguments, loop
from aio_posix.asyncio.files.buffer import Buffer
from aio_posix.asyncio.files.opened import CLOSED, Opened
from aio_posix.asyncio.files.window import STRETCH, Window
from aio_posix.asyncio.native import EachLine, read_now

if TYPE_CHECKING:
    from aio_posix._types import ReadableBuffer, WritableBuffer

S = TypeVar("S", str, bytes)
Self = TypeVar("Self", bound="File[Any]")


INHERITED = "the process that forked this one was using the file at that moment"


class Answer(int):
    """True or False, at once or awaited, because aiofiles has both in its two kinds of files."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, bool]:
        return bool(self)
        yield  # a generator, as await wants it

    def __repr__(self) -> str:
        return repr(bool(self))


class File(Generic[S]):
    """An open file whose methods are awaited. Names and meanings are those of io's files.

    ``name``, ``mode``, ``closed``, ``raw``, ``fileno()`` and ``detach()`` are at hand without
    await.
    """

    def __init__(self, buffer: Buffer, opened: Opened, window: Window[S]) -> None:
        self._buffer = buffer
        self._opened = opened
        self._window: Window[S] = window
        self._order = self._write_order = loop.Line()
        self._closing = self._detached = False
        self._generation = loop.generation()

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
        return self._buffer.closed and not self._detached

    @property
    def raw(self) -> io.FileIO:
        """The built-in's unbuffered file on the same descriptor, which owns it from now on."""
        self._check()
        return self._opened.raw

    def fileno(self) -> int:
        """The descriptor. Raises ValueError after close()."""
        self._check()
        self._opened.publish()
        return self._opened.fd

    def readable(self) -> Answer:
        """Whether the file was opened for reading. The answer may be awaited, and need not be."""
        self._check()
        return Answer(self._opened.mode.reads)

    def writable(self) -> Answer:
        """Whether the file was opened for writing. The answer may be awaited, and need not be."""
        self._check()
        return Answer(self._opened.mode.writes)

    def seekable(self) -> Answer:
        """Whether the file has positions. The answer may be awaited, and need not be."""
        self._check()
        return Answer(self._opened.seekable)

    def isatty(self) -> Answer:
        """Whether the file is a terminal. The answer may be awaited, and need not be."""
        self._check()
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
        async with self._reading():
            await self._opened.courtesy()
            line = await self._readline(limit)
        if not self._order.users:
            self._window.left = STRETCH
        return line

    async def readlines(self, hint: int | None = -1) -> list[S]:
        """The lines up to the end, or until they are ``hint`` long together."""
        hint = arguments.size(hint)
        async with self._reading():
            if hint <= 0:
                self._window.add(await self._readall())
                return self._window.all_lines()
            while True:  # nothing is taken before all is there: a cancellation loses nothing
                if (lines := self._window.take_lines(hint)) is not None:
                    return lines
                if not await self._more():
                    return self._window.all_lines()

    async def writelines(self, lines: Iterable[Any]) -> None:
        """Writes the lines one after another, and nothing between them."""
        pieces = iter(lines)
        async with self._writing():
            for line in pieces:
                await self._write(line)

    async def tell(self) -> int:
        """The position."""
        async with self._turn():
            await self._buffer.settle()
            return self._tell()

    async def truncate(self, size: int | None = None) -> int:
        """Makes the file ``size`` bytes long, by default up to the position, and returns the size.

        The position stays.
        """
        async with self._writing():
            return await self._buffer.truncate(size)

    async def flush(self) -> None:
        """Writes what waits to be written."""
        async with self._turn(self._write_order):
            await self._buffer.flush()

    async def fsync(self) -> None:
        """Does flush(), and then everything that was written is on the disk.

        C: ``int aio_fsync(O_SYNC, struct aiocb *aiocbp)``

        Raises what write() and fsync(2) raise.
        """
        async with self._turn(self._write_order):
            await self._buffer.flush()
            await self._opened.requests.fsync()

    async def fdatasync(self) -> None:
        """The same without the metadata that reading the data back does not need (O_DSYNC)."""
        async with self._turn(self._write_order):
            await self._buffer.flush()
            await self._opened.requests.fdatasync()

    async def pread(self, nbytes: int, offset: int) -> bytes:
        """Reads ``nbytes`` bytes at ``offset``. Fewer come at the end of the file only.

        The position stays, and other operations go on meanwhile. Raises io.UnsupportedOperation for
        a file that is not readable or has no positions, and ValueError for a negative size or
        offset.
        """
        arguments.not_negative("size", arguments.size(nbytes))
        arguments.not_negative("offset", arguments.position(offset))
        if self._behind_position(writing=False):
            await self._settle_position()
        data = read_now(self._opened.fd, nbytes, offset)
        if data is None:
            return await self._opened.requests.pread_missed(nbytes, offset)
        return data

    async def pwrite(self, data: ReadableBuffer, offset: int) -> int:
        """Writes all of ``data`` (bytes-like) at ``offset``, and returns its size.

        The position stays. A file opened to append appends, as pwrite(2) does on Linux. Raises what
        pread() raises.
        """
        view = data if type(data) is bytes else arguments.readable(data)
        arguments.not_negative("offset", arguments.position(offset))
        if self._behind_position(writing=True):
            await self._settle_position()
        self._opened.wrote = True
        return await self._opened.requests.pwrite(view, offset)

    async def pread_many(self, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
        """Reads ``nbytes`` bytes at ``offset`` for each (nbytes, offset), with one await.

        Returns the pieces in their order. The first error is raised when all others have ended,
        with its place in a note. Raises what pread() raises.
        """
        wanted = list(ranges)
        for nbytes, offset in wanted:
            arguments.not_negative("size", arguments.size(nbytes))
            arguments.not_negative("offset", arguments.position(offset))
        if self._behind_position(writing=False):
            await self._settle_position()
        return await self._opened.requests.pread_many(wanted)

    async def readinto_many(self, buffers: Iterable[tuple[WritableBuffer, int]]) -> list[int]:
        """Fills the buffer from ``offset`` on, as far as the file goes, for each (buffer, offset).

        One await does all, and the counts come in their order. Raises what pread_many() raises.
        """
        wanted = list(buffers)
        for buffer, offset in wanted:
            arguments.writable(buffer, "readinto").release()  # a traceback must not hold an export
            arguments.not_negative("offset", arguments.position(offset))
        if self._behind_position(writing=False):
            await self._settle_position()
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
        if self._behind_position(writing=True):
            await self._settle_position()
        self._opened.wrote = True
        return await self._opened.requests.pwrite_many(wanted)

    async def close(self) -> None:
        """Writes what waits to be written, and gives the file back.

        If the writing fails, the file is closed all the same, and the error is raised. What a
        cancelled write has left over for a pipe or socket is dropped, with a ResourceWarning that
        says how much.
        """
        await self._close(hurry=False)

    async def _close(self, *, hurry: bool) -> None:
        if not self._order.users and self._buffer.close_now():
            self._window.clear()
            return
        if self.closed:
            return
        self._check()
        if self._inherited_in_use():
            self._buffer.desert()
            raise RuntimeError(INHERITED)
        self._closing = True
        self._buffer.interrupt(ValueError(CLOSED), hurry=hurry)
        try:
            async with self._order:
                if self._write_order is self._order:
                    await self._close_now(hurry)
                else:
                    async with self._write_order:
                        await self._close_now(hurry)
        finally:
            self._closing = False

    async def _close_now(self, hurry: bool) -> None:
        if not self.closed:
            self._window.clear()
            await self._buffer.close(hurry=hurry)

    def detach(self) -> Any:
        """What the built-in's detach() returns, at the position reached.

        This file is of no use afterwards. The call blocks for what waits to be written. Raises
        RuntimeError while an operation is going on.
        """
        self._check()
        if self._order.users or self._write_order.users or self._buffer.busy:
            raise RuntimeError("an operation on the file is going on")
        self._buffer.write_out(0.0)
        self._window.clear()
        raw = self._opened.raw
        self._detached = True
        self._buffer.let_go()
        return self._detached_from(raw)

    def _detached_from(self, raw: io.FileIO) -> Any:
        return raw

    def __aiter__(self) -> AsyncIterator[S]:
        return EachLine(self._window, self.__anext__)

    async def __anext__(self) -> S:
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    async def __aenter__(self: Self) -> Self:
        self._check()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is GeneratorExit:  # nothing can be awaited; what waits is written by the finalizer
            self._buffer.close_now()
            return
        cancelled = kind is not None and issubclass(kind, loop.Cancelled)
        await self._close(hurry=cancelled)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy would write what waits a second time."""
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __repr__(self) -> str:
        return f"<aio_posix.asyncio.{type(self).__name__} name={self.name!r} mode={self.mode!r}>"

    async def _more(self) -> bool:
        """One read into the window; False at the end of the file."""
        raise NotImplementedError

    async def _readall(self) -> S:
        raise NotImplementedError

    async def _readline(self, limit: int) -> S:
        raise NotImplementedError

    async def _write(self, data: Any) -> int:
        raise NotImplementedError

    def _tell(self) -> int:
        raise NotImplementedError

    def _turn(self, order: loop.Line | None = None) -> Turn:
        return Turn(self, self._order if order is None else order)

    def _reading(self) -> Turn:
        self._check()
        if not self._opened.mode.reads:
            raise io.UnsupportedOperation("not readable")
        return Turn(self, self._order)

    def _writing(self) -> Turn:
        self._check()
        if not self._opened.mode.writes:
            raise io.UnsupportedOperation("not writable")
        return Turn(self, self._write_order)

    def _check(self) -> None:
        if self._detached:
            raise ValueError("the file has been detached")
        if self._buffer.closed:
            raise ValueError(CLOSED)

    def _check_turn(self) -> None:
        self._check()
        if self._closing and self._buffer.stream:
            raise ValueError(CLOSED)
        if self._inherited_in_use():
            raise RuntimeError(INHERITED)

    def _inherited_in_use(self) -> bool:
        """Whether this is a forked child, and the parent was using the file."""
        if self._generation == loop.generation():
            return False
        if self._order.users or self._write_order.users or self._buffer.busy:
            return True
        self._generation = loop.generation()
        return False

    def _behind_position(self, *, writing: bool) -> bool:
        """Before something is read or written at an offset: whether _settle_position() has to be
        awaited.
        """
        self._check()
        if not (self._opened.mode.writes if writing else self._opened.mode.reads):
            raise io.UnsupportedOperation("not writable" if writing else "not readable")
        if not self._opened.seekable:
            raise io.UnsupportedOperation("the file has no positions")
        buffer = self._buffer
        return not buffer.idle or (writing and buffer.ahead)

    async def _settle_position(self) -> None:
        """What waits at the position goes."""
        async with self._turn():
            await self._buffer.flush()
            self._buffer.unread()


class Turn:
    """An operation's turn on a file that is still open when the turn comes."""

    __slots__ = ("_file", "_order")

    def __init__(self, file: File[Any], order: loop.Line) -> None:
        self._file = file
        self._order = order

    async def __aenter__(self) -> None:
        self._file._check_turn()
        self._file._window.left = 0
        await self._order.__aenter__()
        try:
            self._file._check_turn()
        except BaseException:
            await self._order.__aexit__(None, None, None)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._order.__aexit__(kind, error, traceback)
