"""One open file that several tasks use. Says whose turn it is and whether it is still open, and
ends it.

- Operations at the position happen one at a time, in the order in which they were called.
- close() waits for its turn, but not for a read of a pipe, which raises ValueError. When a block is
  left because its task was cancelled, its file does not wait for the reader of a pipe either.
- A forked child goes on with files that it inherits, but for those that a task of the parent was
  using, which raise in the child.
"""

from __future__ import annotations

import io
from collections.abc import Coroutine
from typing import Any

from aio_posix.asyncio import loop
from aio_posix.asyncio.files.buffer import Buffer
from aio_posix.asyncio.files.opened import CLOSED
from aio_posix.asyncio.files.window import Window

INHERITED = "the process that forked this one was using the file at that moment"


class Shared:
    """Of a Buffer. ``window`` is what its lines are taken from."""

    __slots__ = ("_closing", "_detached", "_generation", "buffer", "order", "window",
                 "write_order")  # fmt: skip

    def __init__(self, buffer: Buffer, window: Window[Any]) -> None:
        self.buffer = buffer
        self.window = window
        self.order = self.write_order = loop.Line()
        if not buffer.size and not buffer.opened.seekable:
            # what comes out of a socket has nothing to do with what goes in
            self.write_order = loop.Line()
        self._closing = self._detached = False
        self._generation = loop.generation()

    @property
    def closed(self) -> bool:
        return self.buffer.closed and not self._detached

    def check(self) -> None:
        """Raises ValueError if the file is not open any more."""
        if self._detached:
            raise ValueError("the file has been detached")
        if self.buffer.closed:
            raise ValueError(CLOSED)

    # --- turns

    async def turn(self, order: loop.Line | None = None) -> loop.Turn:
        """A turn on a file that is still open when the turn comes."""
        self.check_turn()
        self.window.left = self.buffer.window.left = 0  # no line overtakes this
        turn = await (order or self.order).turn()
        try:
            self.check_turn()
        except BaseException as error:
            turn.leave(error)
            raise
        return turn

    def reading(self) -> Coroutine[Any, Any, loop.Turn]:
        self.check_may(writing=False)
        return self.turn()

    def writing(self) -> Coroutine[Any, Any, loop.Turn]:
        self.check_may(writing=True)
        return self.turn(self.write_order)

    def check_may(self, *, writing: bool) -> None:
        self.check()
        mode = self.buffer.opened.mode
        if not (mode.writes if writing else mode.reads):
            raise io.UnsupportedOperation("not writable" if writing else "not readable")

    def check_turn(self) -> None:
        self.check()
        if self._closing and self.buffer.stream:
            raise ValueError(CLOSED)
        if self._inherited_in_use():
            raise RuntimeError(INHERITED)

    def _in_use(self) -> bool:
        return self.order.in_use or self.write_order.in_use or self.buffer.outbox.busy

    def _inherited_in_use(self) -> bool:
        """Whether this is a forked child, and the parent was using the file."""
        if self._generation == loop.generation():
            return False
        if self._in_use():
            return True
        self._generation = loop.generation()
        return False

    def behind_position(self, *, writing: bool) -> bool:
        """Before something is read or written at an offset: whether settle_position() has to be
        awaited.
        """
        self.check_may(writing=writing)
        buffer = self.buffer
        if not buffer.opened.seekable:
            raise io.UnsupportedOperation("the file has no positions")
        if writing:
            buffer.opened.wrote = True
        return not buffer.outbox.clean or (writing and buffer.ahead)

    async def settle_position(self) -> None:
        """What waits at the position goes."""
        with await self.turn():
            await self.buffer.flush()
            self.buffer.unread()

    # --- the end

    async def close(self, *, hurry: bool) -> None:
        if not self.order.held and self.buffer.close_now():
            self.window.clear()
            return
        if self.closed:
            return
        self.check()
        if self._inherited_in_use():
            self.buffer.desert()
            raise RuntimeError(INHERITED)
        self._closing = True
        self.buffer.interrupt(ValueError(CLOSED), hurry=hurry)
        try:
            with await self.order.turn():
                if self.write_order is self.order:
                    await self._close(hurry)
                else:
                    with await self.write_order.turn():
                        await self._close(hurry)
        finally:
            self._closing = False

    async def _close(self, hurry: bool) -> None:
        if not self.closed:
            self.window.clear()
            await self.buffer.close(hurry=hurry)

    def detach(self) -> io.FileIO:
        """The built-in's object, at the position reached."""
        self.check()
        if self._in_use():
            raise RuntimeError("an operation on the file is going on")
        self.buffer.write_out(0.0)
        self.window.clear()
        raw = self.buffer.opened.raw
        self._detached = True
        self.buffer.let_go()
        return raw
