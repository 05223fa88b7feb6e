"""Makes events of what aio_posix.asyncio does, while the recorder is on.

Its requests go to C by a way of their own, in lists. Where it asks, starts a list, gives a request
to a thread of its own, and hands out a result, functions of it are replaced by ones that tell of it
first. Numbers of awaited requests are negative: those of other requests are not.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from aio_posix._ffi import ffi
from aio_posix._ffi import lib as constants
from aio_posix.study.trace.event import What

PACKAGE = "aio_posix.asyncio"
OPS = {
    constants.LIO_READ: "read",
    constants.LIO_WRITE: "write",
    os.O_SYNC: "fsync",
    os.O_DSYNC: "fdatasync",
}
AT_ONCE = ("read_now", "fill_now")  # functions of C that read what is in the page cache


class Awaited:
    """say: Recorder._say; file_of: what a descriptor is."""

    def __init__(self, say: Callable[..., None], file_of: Callable[[int], str]) -> None:
        self._say = say
        self._file_of = file_of
        self._serials: dict[int, int] = {}  # by the identity of the future
        self._next = count(1)
        self._replaced: list[tuple[Any, str, Any]] = []

    def begin(self) -> None:
        """Nothing, if the program has not imported aio_posix.asyncio."""
        if f"{PACKAGE}.descriptors.ring" not in sys.modules:
            return
        from aio_posix.asyncio.descriptors.errands import Errands
        from aio_posix.asyncio.descriptors.lists import Lists
        from aio_posix.asyncio.descriptors.ring import Ring

        if hasattr(Ring, "ask"):
            self._replace(Ring, "ask", self._ask)
        else:
            self._replace(Ring, "submit", self._submit)
        self._replace(Lists, "start", self._start)
        self._replace(Errands, "do", self._do)
        self._replace(Ring, "_deliver", self._deliver)
        self._replace(Ring, "detach", self._detach)
        for name, module in list(sys.modules.items()):
            if name.startswith(f"{PACKAGE}."):
                for function in AT_ONCE:
                    if function in vars(module):
                        self._replace(module, function, self._at_once)

    def end(self) -> None:
        while self._replaced:
            setattr(*self._replaced.pop())

    def _replace(self, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
        before = getattr(owner, name)
        self._replaced.append((owner, name, before))

        def instead(*args: Any) -> Any:
            return wrapper(before, *args)

        setattr(owner, name, instead)

    def _asked(self, future: Any, channel: Any, op: int, nbytes: int) -> None:
        serial = self._serials[id(future)] = -next(self._next)
        fd = channel.lanes[0].fd if channel.lanes else -1
        self._say(What.ASKED, [serial], name=OPS[op], fd=fd, nbytes=nbytes, file=self._file_of(fd))

    def _submit(self, before: Any, ring: Any, channel: Any, op: int, *rest: Any) -> Any:
        future = before(ring, channel, op, *rest)
        self._asked(future, channel, op, rest[1])
        return future

    def _ask(self, before: Any, ring: Any, channel: Any, future: Any, op: int, *rest: Any) -> None:
        self._asked(future, channel, op, rest[1])
        before(ring, channel, future, op, *rest)

    def _start(self, before: Any, lists: Any, entries: Sequence[Any]) -> Any:
        of = []
        for entry in entries:
            serial = self._serials.get(id(entry.future))
            if serial is not None:
                of.append(serial)
                self._say(
                    What.REQUEST, [serial], name=OPS[entry.op], fd=entry.fd,
                    file=self._file_of(entry.fd), address=_address(entry.buffer),
                    nbytes=entry.nbytes, told="await",
                )  # fmt: skip
        at = time.time_ns()
        try:
            return before(lists, entries)
        finally:
            error = "" if lists.flies(entries) else "EAGAIN"
            self._say(What.SUBMISSION, of, at, name="lio_listio", until=time.time_ns(), error=error)

    def _do(self, before: Any, errands: Any, entry: Any) -> Any:
        serial = self._serials.get(id(entry.future))
        if serial is not None:
            self._say(What.ERRAND, [serial], name=OPS[entry.op], fd=entry.fd)
        return before(errands, entry)

    def _deliver(self, before: Any, ring: Any, entry: Any, n: int) -> Any:
        serial = self._serials.pop(id(entry.future), None)
        if serial is not None:
            error = errno.errorcode.get(-n, "error") if n < 0 else ""
            self._say(What.GIVEN, [serial], nbytes=max(0, n), error=error)
        return before(ring, entry, n)

    def _detach(self, before: Any, ring: Any, future: Any) -> Any:
        serial = self._serials.pop(id(future), None)
        if serial is not None:
            self._say(What.GIVEN, [serial], error="cancelled")
        return before(ring, future)

    def _at_once(self, before: Any, fd: Any, *rest: Any) -> Any:
        at = time.time_ns()
        found = before(fd, *rest)
        if found is not None:
            number = fd if isinstance(fd, int) else -1
            nbytes = found if isinstance(found, int) else len(found)
            self._say(
                What.CACHED, [], at, name="read", fd=number, nbytes=nbytes, until=time.time_ns()
            )
        return found


def _address(buffer: Any) -> int:
    if buffer is None or isinstance(buffer, int):
        return buffer or 0
    return int(ffi.cast("uintptr_t", ffi.from_buffer(buffer)))
