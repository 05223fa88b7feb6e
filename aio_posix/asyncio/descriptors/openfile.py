"""Who owns a descriptor. Only this module duplicates or closes one.

- A duplicate shares the open file with the user's descriptor. It keeps pipes, sockets and flocks
  alive, and closing it drops all fcntl locks of the process on the file. So it is closed as soon as
  no request needs it, but not while the process holds such a lock.
- A duplicate that may not be closed waits in one list of the process. It serves the next request
  on the same open file, and is closed by the first later look that finds no lock.
- Where a look or a close may take long (a network, a large file without a name), a thread does it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from aio_posix._calls import close_local, kind_of, lock_held, same_file
from aio_posix._ffi import lib

RETIRED_MOST = 32  # while so many wait, nothing is duplicated
FIRST = 3  # no duplicate takes the place of a closed stdin, stdout or stderr
_retired: list[int] = []


class Kind(NamedTuple):
    """What a descriptor is of."""

    stream: bool  # a read may wait for ever, offsets mean nothing
    direct: bool  # O_DIRECT


FILE = Kind(stream=False, direct=False)


def kind(fd: int) -> Kind:
    """Asks no server, because a look at a file of FUSE or NFS may wait."""
    what = kind_of(fd)
    return Kind(bool(what & lib.STREAM_KIND), bool(what & lib.DIRECT_KIND))


class OpenFile:
    """A descriptor that means the same open file as long as somebody holds this object."""

    __slots__ = ("_over", "_owned", "_then", "fd", "keeper")

    def __init__(self, fd: int, keeper: Any = None, *, owned: bool = False) -> None:
        self._owned = owned
        self._over = False
        self._then: Callable[[], object] | None = None
        self.fd = fd
        self.keeper = keeper  # an object that would close fd if it were dropped

    def finally_call(self, then: Callable[[], object]) -> None:
        """When nobody holds this any more."""
        if self._over:  # a cycle of garbage, whose finalizers run in any order
            then()
        else:
            self._then = then

    def renewed(self) -> OpenFile:
        """The same in a forked child, without what requests of the parent hold."""
        new = OpenFile(self.fd, self.keeper, owned=self._owned)
        self._owned = False
        return new

    def __del__(self) -> None:
        self._over = True
        if self._then is not None:
            self._then()
        elif self._owned:
            give_back(self.fd)


def duplicate(fd: int) -> OpenFile:
    """The open file that fd means now. OSError where no descriptor can be had."""
    if _retired:
        for old in list(_retired):
            if same_file(fd, old) == 1 and _take(old):
                return OpenFile(old, owned=True)
        for old in list(_retired):
            if _take(old):
                give_back(old)
        if len(_retired) >= RETIRED_MOST:
            text = "too many duplicates cannot be closed without dropping a lock of this process"
            raise OSError(errno.EMFILE, text)
    return OpenFile(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST), owned=True)


def give_back(fd: int) -> None:
    """Closes a duplicate, or retires it."""
    verdict = close_local(fd)
    if verdict == lib.LOCKED:
        _retired.append(fd)
    elif verdict == lib.MAY_WAIT:
        try:
            threading.Thread(target=_close_slowly, args=(fd,), daemon=True).start()
        except RuntimeError:  # a limit, or the end of the interpreter
            _close_slowly(fd)


def _close_slowly(fd: int) -> None:
    if lock_held(fd):
        _retired.append(fd)
    else:
        os.close(fd)


def _take(fd: int) -> bool:
    try:
        _retired.remove(fd)
    except ValueError:  # another thread was faster
        return False
    return True
