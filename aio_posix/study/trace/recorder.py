"""Makes events of what the binding does, while it is switched on.

- Off, it costs nothing: C asks whether there is a watcher (flight.watch). Switching it on also
  replaces two functions (submit, submit_list) wherever a module of the package holds them;
  switching it off puts them back.
- What a program imported from aio_posix before is traced all the same: aio_read and the rest look
  these up when called.
- aio_cancel and aio_init are seen where they are called by their place in the package, or were
  imported while the recorder was on.
- At most MOST events are kept. The last says that the recorder is full.
- Requests of aio_posix.asyncio are seen (awaited.py) if it was imported before.
- Not recorded: waiting in aio_suspend.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any

from aio_posix import SIGEV_NONE, SIGEV_SIGNAL, flight, sigevent
from aio_posix._ffi import lib
from aio_posix.aio import aio_cancel, aio_init
from aio_posix.aiocb import fileno, submit
from aio_posix.listio import submit_list
from aio_posix.study.trace.awaited import Awaited
from aio_posix.study.trace.event import SLOTS, Event, What

MOST = SLOTS  # events: some 100 MB of memory
NAMES = {lib.LIO_READ: "read", lib.LIO_WRITE: "write", os.O_SYNC: "fsync", os.O_DSYNC: "fdatasync"}


class Recorder:
    """``with Recorder() as recorder: ...`` and then ``recorder.events``; or hands each event to
    `put`.

    One at a time: a second one inside raises RuntimeError.
    """

    on: Recorder | None = None

    def __init__(self, put: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self.put = put or self._keep
        self._here = threading.local()  # the serials of the submission that this thread is in
        self._replaced: list[tuple[Any, str, Any]] = []
        self._serials: dict[int, int] = {}  # of the last submission of an aiocb, by its address
        self._awaited = Awaited(self._say, file_of)
        self._before: Callable[..., None] | None = None  # who watched before

    def __enter__(self) -> Recorder:
        if Recorder.on is not None:
            raise RuntimeError("a Recorder is on already")
        Recorder.on = self
        mine: dict[Any, Any] = {
            submit: lambda cb, op: self._submission(f"aio_{NAMES[op]}", submit, cb, op),
            submit_list: partial(self._submission, "lio_listio", submit_list),
            aio_cancel: self._cancel,
            aio_init: self._pool,
        }
        for module in [
            m
            for name, m in sys.modules.items()
            if name.split(".")[0] == "aio_posix" and "study" not in name
        ]:
            for name, value in list(vars(module).items()):
                if type(value) is type(submit) and value in mine:
                    self._replaced.append((module, name, value))
                    setattr(module, name, mine[value])
        self._before = flight.watch(self._seen)
        self._awaited.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._awaited.end()
        flight.watch(self._before)
        while self._replaced:
            setattr(*self._replaced.pop())
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
        elif event == "taken":
            self._say(What.TAKEN, _serials(of))
        elif event == "returned":
            self._say(What.RETURNED, _serials(of))
        else:
            name = getattr(details[0], "__qualname__", type(details[0]).__name__)
            self._say(What.CALLBACK, _serials(of), name=name)

    def _kept(self, serial: int, cb: Any, op: int, address: int, nbytes: int) -> None:
        if (serials := getattr(self._here, "serials", None)) is not None:
            serials.append(serial)
        self._serials[id(cb)] = serial
        fd = fileno(cb.aio_fildes)
        self._say(
            What.REQUEST, [serial], address=address, nbytes=nbytes,
            name=NAMES[op], fd=fd, file=file_of(fd), told=_told(cb.aio_sigevent),
            reqprio=cb.aio_reqprio,
        )  # fmt: skip

    def _cancel(self, fd: Any, cb: Any = None) -> Any:
        at = time.time_ns()
        answer = aio_cancel(fd, cb)
        of = [] if cb is None else [self._serials.get(id(cb), 0)]
        self._say(What.CANCEL, of, at, until=time.time_ns(), fd=fileno(fd), nbytes=int(answer))
        return answer

    def _pool(self, *, aio_threads: int = 20, **more: int) -> None:
        aio_init(aio_threads=aio_threads, **more)
        self._say(What.POOL, [], nbytes=aio_threads)

    def _submission(
        self, name: str, function: Callable[..., Any], /, *args: Any, **named: Any
    ) -> Any:
        outer = getattr(self._here, "serials", None)  # a signal handler submits inside a submission
        serials: list[int] = []
        self._here.serials = serials
        at, failed = time.time_ns(), ""
        try:
            return function(*args, **named)
        except OSError as error:
            failed = errno.errorcode.get(error.errno or 0, "error")
            raise
        finally:
            self._here.serials = outer
            self._say(What.SUBMISSION, serials, at, name=name, until=time.time_ns(), error=failed)


def _serials(of: int | Iterable[int]) -> tuple[int, ...]:
    return (of,) if isinstance(of, int) else tuple(of)


def _told(sig: sigevent | None) -> str:
    if sig is None or sig.sigev_notify == SIGEV_NONE:
        return ""
    if sig.sigev_notify == SIGEV_SIGNAL:
        return "signal"
    return "callback" if sig._queue is None else "queue"


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
        # the descriptor is the program's; and a duplicate's close would be drawn as one of its
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
