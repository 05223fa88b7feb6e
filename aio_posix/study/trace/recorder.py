"""Makes events of what the binding does, while it is switched on.

- Off, it costs nothing. C asks whether there is a watcher (_calls.watch). A watcher that was there
  before gets its place back.
- At most MOST events are kept. The last says that the recorder is full.
- Requests of aio_posix.asyncio are seen (awaited.py) if it was imported before.
- Waiting in aio_suspend is not recorded.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from aio_posix import SIGEV_NONE, SIGEV_SIGNAL, _calls, sigevent
from aio_posix._ffi import lib
from aio_posix.aiocb import fileno
from aio_posix.study.trace.awaited import Awaited
from aio_posix.study.trace.event import SLOTS, Event, What

MOST = SLOTS  # events, some 100 MB of memory
NAMES = {lib.LIO_READ: "read", lib.LIO_WRITE: "write", os.O_SYNC: "fsync", os.O_DSYNC: "fdatasync"}


class Recorder:
    """``with Recorder() as recorder: ...`` and then ``recorder.events``; or hands each event to
    `put`.

    One at a time. A second one inside raises RuntimeError.
    """

    on: Recorder | None = None

    def __init__(self, put: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self.put = put or self._keep
        self._awaited = Awaited(self._say, file_of)
        self._before: Callable[..., None] | None = None  # the watcher that was set before

    def __enter__(self) -> Recorder:
        if Recorder.on is not None:
            raise RuntimeError("a Recorder is on already")
        Recorder.on = self
        self._before = _calls.watch(self._seen)
        self._awaited.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._awaited.end()
        _calls.watch(self._before)
        Recorder.on = None

    def _keep(self, event: Event) -> None:
        if len(self.events) < MOST - 1:
            self.events.append(event)
        elif len(self.events) == MOST - 1:
            self.events.append(Event(What.FULL, event.at, event.tid, ()))

    def _say(self, what: What, of: Iterable[int], at: int | None = None, **more: Any) -> None:
        self.put(Event(what, at or time.time_ns(), threading.get_native_id(), tuple(of), **more))

    def _seen(self, event: str, of: int | Iterable[int], *details: Any) -> None:
        """By C, in the thread where it happens."""
        if event == "request":
            self._kept(_serials(of)[0], *details)
        elif event == "submission":
            op, began, error = details
            self._say(
                What.SUBMISSION,
                _serials(of),
                began,
                name=f"aio_{NAMES[op]}" if op in NAMES else "lio_listio",
                until=time.time_ns(),
                error=errno.errorcode.get(error, "error") if error else "",
            )
        elif event == "cancel":
            fd, began, answer = details
            until = time.time_ns()
            self._say(What.CANCEL, _serials(of), began, until=until, fd=fd, nbytes=answer)
        elif event == "pool":
            self._say(What.POOL, [], nbytes=details[0])
        elif event == "taken":
            self._say(What.TAKEN, _serials(of))
        elif event == "returned":
            self._say(What.RETURNED, _serials(of))
        else:
            name = getattr(details[0], "__qualname__", type(details[0]).__name__)
            self._say(What.CALLBACK, _serials(of), name=name)

    def _kept(self, serial: int, cb: Any, op: int, address: int, nbytes: int) -> None:
        fd = fileno(cb.aio_fildes)
        self._say(
            What.REQUEST, [serial], address=address, nbytes=nbytes,
            name=NAMES[op], fd=fd, file=file_of(fd), told=_told(cb.aio_sigevent),
            reqprio=cb.aio_reqprio,
        )  # fmt: skip


def _serials(of: int | Iterable[int]) -> tuple[int, ...]:
    return (of,) if isinstance(of, int) else tuple(of)


def _told(sig: sigevent | None) -> str:
    if sig is None or sig.sigev_notify == SIGEV_NONE:
        return ""
    if sig.sigev_notify == SIGEV_SIGNAL:
        return "signal"
    return "queue" if sig._callable is None else "callback"


def file_of(fd: int) -> str:
    """What a descriptor is, in a few words."""
    try:
        mode = os.fstat(fd).st_mode
        name = os.readlink(f"/proc/self/fd/{fd}")
        if stat.S_ISSOCK(mode):
            return _socket(fd)
    except OSError:
        return "no descriptor"
    base = os.path.basename(name.removesuffix(" (deleted)"))
    words = (
        "pipe"
        if stat.S_ISFIFO(mode)
        else "temporary file"
        if base.startswith("#")
        else base or name
    )
    return f"stdin, {words}" if fd == 0 else words


def _socket(fd: int) -> str:
    import socket  # most programs that trace files have no other use for it

    one = socket.socket(fileno=fd)
    try:
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return f"listens on {_name(one.getsockname())}"
        try:
            return f"socket to {_name(one.getpeername())}"
        except OSError:
            return "socket"
    finally:
        # the descriptor is the program's, and a duplicate's close would be drawn as one of its
        # calls
        one.detach()


def _name(address: Any) -> str:
    if isinstance(address, tuple):
        return (
            f"port {address[1]}"
            if address[0] in ("127.0.0.1", "0.0.0.0", "::", "::1")
            else f"{address[0]}:{address[1]}"
        )
    return str(address) or "its pair"
