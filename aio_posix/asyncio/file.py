"""What every file of aio_posix.asyncio can do, whatever it reads and writes.

- ``_builtin`` is the object that the built-in open() made. It owns the descriptor and knows name,
  mode and encoding; no byte is read or written through it, but it is what detach() takes apart and
  what closes a dropped file.
- Operations of several tasks on one file happen one at a time, in the order in which they were
  called. pread, pwrite and readinto at an offset do not wait for their turn: any number of them may
  run.
- close() waits for its turn, but not for a read of a pipe: that one raises ValueError.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar

from aio_posix.asyncio import arguments
from aio_posix.asyncio.buffer import Buffer
from aio_posix.asyncio.order import Order
from aio_posix.asyncio.stream import CLOSED
from aio_posix.asyncio.window import Window

S = TypeVar("S", str, bytes)
Self = TypeVar("Self", bound="File[Any]")


class File(Generic[S]):
    """An open file whose methods are awaited; the names and meanings are those of io's files.

    ``name``, ``mode``, ``closed``, ``raw``, ``fileno()`` and ``detach()`` are at hand without
    await.
    """

    def __init__(self, builtin: Any, buffer: Buffer, window: Window[S]) -> None:
        self._builtin = builtin
        self._buffer = buffer
        self._window: Window[S] = window
        self._stream = buffer.stream
        self._order = self._write_order = Order()
        self.raw = buffer.stream.raw
        self.closed = False
        self._detached = False

    @property
    def name(self) -> Any:
        """What was opened: the path as it was given, or the descriptor."""
        return self._builtin.name

    @property
    def mode(self) -> str:
        """As the built-in open() has it."""
        return str(self._builtin.mode)

    def fileno(self) -> int:
        """The descriptor; ValueError once closed."""
        return int(self._builtin.fileno())

    def readable(self) -> Answer:
        """Whether it was opened for reading; answers plainly and awaited, as the next three do."""
        self._check()
        return Answer(self.raw.readable())

    def writable(self) -> Answer:
        self._check()
        return Answer(self.raw.writable())

    def seekable(self) -> Answer:
        self._check()
        return Answer(self._stream.seekable)

    def isatty(self) -> Answer:
        self._check()
        return Answer(self.raw.isatty())

    async def readline(self, limit: int | None = -1) -> S:
        """The next line with its end, or its first ``limit``; empty at the end of the file."""
        if limit == -1:
            for line in self._window.lines:
                return line
        limit = arguments.size(limit)
        async with self._reading():
            await self._stream.courtesy()
            return await self._readline(limit)

    async def readlines(self, hint: int | None = -1) -> list[S]:
        """The lines up to the end, or until they are ``hint`` long together."""
        hint = arguments.size(hint)
        async with self._reading():
            if hint <= 0:
                return self._window.split(await self._readall())
            lines: list[S] = []
            while hint > 0 and (line := await self._readline(-1)):
                lines.append(line)
                hint -= len(line)
            return lines

    async def writelines(self, lines: Iterable[Any]) -> None:
        """Writes one after another; nothing is put between them."""
        pieces = iter(lines)
        async with self._writing():
            for line in pieces:
                await self._write(line)

    async def tell(self) -> int:
        """The position."""
        async with self._turn():
            await self._stream.settle()
            return self._tell()

    async def truncate(self, size: int | None = None) -> int:
        """Makes the file ``size`` bytes long, by default up to the position, which stays; returns
        the size.
        """
        async with self._writing():
            return await self._buffer.truncate(size)

    async def flush(self) -> None:
        """Writes what waits to be written."""
        async with self._turn():
            await self._buffer.flush()
            await self._stream.settle()

    async def fsync(self) -> None:
        """flush(), and all that was written is on the disk: int aio_fsync(O_SYNC, struct aiocb
        *).
        """
        async with self._turn():
            await self._buffer.flush()
            await self._stream.sync(data_only=False)

    async def fdatasync(self) -> None:
        """The same without the metadata that reading the data back does not need (O_DSYNC)."""
        async with self._turn():
            await self._buffer.flush()
            await self._stream.sync(data_only=True)

    async def pread(self, nbytes: int, offset: int) -> bytes:
        """``nbytes`` bytes at ``offset``, fewer only at the end of the file; the position stays.

        Raises io.UnsupportedOperation for a file that is not readable or has no positions,
        ValueError for a negative size or offset.
        """
        if arguments.size(nbytes) < 0:
            raise ValueError(f"negative size: {nbytes}")
        await self._go_to(offset, self.raw.readable)
        return await self._stream.pread(nbytes, offset)

    async def pwrite(self, data: Any, offset: int) -> int:
        """Writes all of ``data`` (bytes-like) at ``offset`` and returns its size; the position
        stays.

        A file opened to append appends, as pwrite(2) does on Linux. Raises as pread does.
        """
        await self._go_to(offset, self.raw.writable)
        return await self._stream.pwrite(data, offset)

    async def close(self) -> None:
        """flush() and give the file back; if that fails it is closed all the same, and the error
        raised.
        """
        if self.closed:
            return
        self._check()
        self._stream.interrupt()
        try:
            async with self._order:
                if self._write_order is self._order:
                    await self._close()
                else:
                    async with self._write_order:
                        await self._close()
        finally:
            self._stream.interrupted = self.closed

    async def _close(self) -> None:
        if self.closed:
            return
        try:
            await self._buffer.flush()
        finally:
            self.closed = True
            self._buffer.close()
            self._window.clear()
            await self._stream.close(self._builtin.close)

    def detach(self) -> Any:
        """What the built-in's detach() returns, at the position reached; this file is of no use
        afterwards.

        Blocks for what waits to be written. Raises RuntimeError while an operation is going on.
        """
        self._check()
        if self._order.users or self._write_order.users or self._stream.busy:
            raise RuntimeError("an operation on the file is going on")
        self._buffer.write_out()
        self._window.clear()
        self._detached = True
        self._stream.let_go()
        below = self._builtin.detach()
        below.tell()  # a BufferedReader remembers where it thinks it is
        return below

    def __aiter__(self: Self) -> Self:
        return self

    async def __anext__(self) -> S:
        for line in self._window.lines:
            return line
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
        await self.close()

    def __del__(self) -> None:
        if not (getattr(self, "closed", True) or self._detached):
            self._buffer.write_out()  # then _builtin closes itself, with its ResourceWarning

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy would write what waits a second time."""
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} of {self._builtin!r}>"

    async def _readall(self) -> S:
        raise NotImplementedError

    async def _readline(self, limit: int) -> S:
        raise NotImplementedError

    async def _write(self, data: Any) -> int:
        raise NotImplementedError

    def _tell(self) -> int:
        raise NotImplementedError

    def _turn(self) -> Turn:
        return Turn(self, self._order)

    def _reading(self) -> Turn:
        self._check(self.raw.readable, "not readable")
        return Turn(self, self._order)

    def _writing(self) -> Turn:
        self._check(self.raw.writable, "not writable")
        return Turn(self, self._write_order)

    def _check(self, can: Callable[[], bool] | None = None, otherwise: str = "") -> None:
        if self.closed:
            raise ValueError(CLOSED)
        if self._detached:
            raise ValueError("the file has been detached")
        if can is not None and not can():
            raise io.UnsupportedOperation(otherwise)

    async def _go_to(self, offset: int, can: Callable[[], bool]) -> None:
        self._check(can, "not readable" if can == self.raw.readable else "not writable")
        self._check(self.raw.seekable, "the file has no positions")
        if arguments.position(offset) < 0:
            raise ValueError(f"negative offset: {offset}")
        if self._buffer.waiting or len(self._buffer.window):
            async with self._turn():
                await self._buffer.flush()
                self._buffer.unread()


class Answer(int):
    """True or False, at once or awaited: aiofiles has both in its two kinds of files."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, bool]:
        return bool(self)
        yield  # a generator, as await wants it

    def __repr__(self) -> str:
        return repr(bool(self))


class Turn:
    """An operation's turn on a file that is still open when the turn comes."""

    __slots__ = ("_file", "_order")

    def __init__(self, file: File[Any], order: Order) -> None:
        self._file = file
        self._order = order

    async def __aenter__(self) -> None:
        self._file._check()
        await self._order.__aenter__()
        if self._file.closed or self._file._detached:
            await self._order.__aexit__(None, None, None)
            self._file._check()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._order.__aexit__(kind, error, traceback)
