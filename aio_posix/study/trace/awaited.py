"""Makes events of what aio_posix.asyncio does, while the recorder is on.

Its requests go to C by a way of their own, in lists. Where it asks, starts a list, gives a request
to a thread of its own, and hands out a result, it tells the watcher that is put into
`descriptors.batch.seam`. Only what reads the page cache is replaced by functions that tell of it.
Numbers of awaited requests are negative, and those of other requests are not.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from aio_posix._ffi import lib as constants
from aio_posix.study.trace.event import What

if TYPE_CHECKING:
    from aio_posix.asyncio.descriptors.batch import Entry

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
        self._at = 0  # when the submission that goes on began
        self._replaced: list[tuple[Any, str, Any]] = []

    def begin(self) -> None:
        """Nothing, if the program has not imported aio_posix.asyncio."""
        if f"{PACKAGE}.descriptors.batch" not in sys.modules:
            return
        from aio_posix.asyncio.descriptors.batch import seam

        seam.watcher = self
        for name, module in list(sys.modules.items()):
            if name.startswith(f"{PACKAGE}."):
                for function in AT_ONCE:
                    if function in vars(module):
                        self._replace(module, function, self._at_once)

    def end(self) -> None:
        if f"{PACKAGE}.descriptors.batch" in sys.modules:
            from aio_posix.asyncio.descriptors.batch import seam

            seam.watcher = None
        while self._replaced:
            setattr(*self._replaced.pop())

    def _replace(self, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
        before = getattr(owner, name)
        self._replaced.append((owner, name, before))

        def instead(*args: Any) -> Any:
            return wrapper(before, *args)

        setattr(owner, name, instead)

    # --- what the ring tells: asyncio/descriptors/batch.py, class Watcher

    def asked(self, entry: Entry) -> None:
        serial = self._serials[id(entry.future)] = -next(self._next)
        fd = entry.channel.fd if entry.channel.lanes else -1
        name, file = OPS[entry.op], self._file_of(fd)
        self._say(What.ASKED, [serial], name=name, fd=fd, nbytes=entry.nbytes, file=file)

    def submitting(self) -> None:
        self._at = time.time_ns()

    def submitted(self, entries: Sequence[Entry], addresses: Sequence[int], flies: bool) -> None:
        of = []
        for entry, address in zip(entries, addresses, strict=False):  # none, if it does not fly
            serial = self._serials.get(id(entry.future))
            if serial is not None:
                of.append(serial)
                self._say(
                    What.REQUEST, [serial], self._at, name=OPS[entry.op], fd=entry.fd,
                    file=self._file_of(entry.fd), address=address, nbytes=entry.nbytes,
                    told="await",
                )  # fmt: skip
        until, error = time.time_ns(), "" if flies else "EAGAIN"
        self._say(What.SUBMISSION, of, self._at, name="lio_listio", until=until, error=error)

    def errand(self, entry: Entry) -> None:
        serial = self._serials.get(id(entry.future))
        if serial is not None:
            self._say(What.ERRAND, [serial], name=OPS[entry.op], fd=entry.fd)

    def given(self, entry: Entry, result: Any) -> None:
        serial = self._serials.pop(id(entry.future), None)
        if serial is not None:
            n = len(result) if isinstance(result, bytes) else result
            error = errno.errorcode.get(-n, "error") if n < 0 else ""
            self._say(What.GIVEN, [serial], nbytes=max(0, n), error=error)

    def detached(self, future: Any) -> None:
        serial = self._serials.pop(id(future), None)
        if serial is not None:
            self._say(What.GIVEN, [serial], error="cancelled")

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
