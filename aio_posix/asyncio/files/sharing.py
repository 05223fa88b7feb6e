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
import warnings
from collections.abc import Coroutine
from typing import Any

from aio_posix.asyncio import exits, loop
from aio_posix.asyncio.files.buffer import Buffer
from aio_posix.asyncio.files.opened import CLOSED
from aio_posix.asyncio.files.window import Window

INHERITED = "the process that forked this one was using the file at that moment"


class Shared:
    """Owns a Buffer and what is below it."""

    __slots__ = ("__weakref__", "_closed", "_closing", "_detached", "_generation", "buffer",
                 "opened", "order", "window", "write_order")  # fmt: skip

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.opened = buffer.opened
        self.window: Window[Any] = buffer.window  # what lines are taken from
        self.order = self.write_order = loop.Line()
        if not buffer.size and not buffer.opened.seekable:
            # what comes out of a socket has nothing to do with what goes in
            self.write_order = loop.Line()
        self._closing = self._detached = False
        self._generation = loop.generation()
        self._closed = False
        exits.opened(self)

    @property
    def closed(self) -> bool:
        return (self._closed or self.opened.closed) and not self._detached

    def check(self) -> None:
        """Raises ValueError if the file is not open any more."""
        if self._detached:
            raise ValueError("the file has been detached")
        if self._closed or self.opened.closed:
            raise ValueError(CLOSED)

    # --- turns

    async def turn(self, order: loop.Line | None = None) -> loop.Turn:
        """A turn on a file that is still open when the turn comes."""
        self.check_turn()
        self.window.left = self.buffer.window.left = 0  # no line overtakes this
        line = order or self.order
        waits = bool(line.held)
        turn = await line.turn()
        if waits:
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
        mode = self.opened.mode
        if not (mode.writes if writing else mode.reads):
            raise io.UnsupportedOperation("not writable" if writing else "not readable")

    def check_turn(self) -> None:
        self.check()
        if self._closing and self.opened.stream:
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

    def close_now(self) -> bool:
        """Whether it is closed now: a regular file that was only read, if that cannot take long."""
        if self.order.held or self._closed or not self.buffer.outbox.clean:
            return False
        if not self.opened.close_now():
            return False
        self._forget()
        return True

    async def close(self, *, hurry: bool) -> None:
        """In a hurry, writes that wait for a pipe or socket end, too."""
        if self.close_now() or self.closed:
            return
        self.check()
        if self._inherited_in_use():  # the parent goes on with what waits and what is on its way
            self._forget()
            self.opened.desert()
            raise RuntimeError(INHERITED)
        self.order.check()  # before anybody is interrupted
        self.write_order.check()
        self._closing = True
        self.buffer.outbox.hurried = hurry
        self.opened.interrupt(ValueError(CLOSED))
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
        """Writes what waits and closes the file. If that fails or is cancelled it is closed all the
        same: a regular file after all is written, a pipe or socket without what waits.
        """
        if self.closed:
            return
        outbox, failure = self.buffer.outbox, None
        try:
            try:
                await outbox.last(hurry=hurry)
            except Exception as error:
                failure = error
                outbox.waiting.clear()
            await self.opened.idle()
        except BaseException:
            self._abandon()
            raise
        self._forget()
        await self.opened.close(outbox.rest())
        if failure is not None:
            raise failure

    def detach(self) -> io.FileIO:
        """The built-in's object, at the position reached."""
        self.check()
        if self._in_use():
            raise RuntimeError("an operation on the file is going on")
        self.buffer.write_out(0.0)
        raw = self.opened.raw
        self._detached = True
        self._forget()
        self.opened.let_go()
        return raw

    def publish(self) -> None:
        self.opened.publish()

    def write_out(self, seconds: float) -> None:
        self.buffer.write_out(seconds)

    def _abandon(self) -> None:
        """Closes without waiting for anything."""
        if self.opened.stream:
            self.buffer.outbox.drop_rest()
        self._forget()
        self.opened.close_later(self.buffer.outbox.rest())

    def _forget(self) -> None:
        """From here on the file is closed for callers."""
        exits.closed(self)
        self._closed = True
        self.window.clear()
        self.buffer.shut()

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        exits.closed(self)
        if self.opened.closed:
            return
        try:
            if self.opened.closefd:
                text = f"unclosed file {self.opened!r}"
                warnings.warn(text, ResourceWarning, stacklevel=2, source=self)
        finally:
            if self.buffer.outbox.busy:
                self._abandon()
            else:
                try:
                    self.write_out(0.0)
                finally:
                    self._forget()
                    self.opened.close_here()
