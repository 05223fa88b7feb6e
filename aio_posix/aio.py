"""<aio.h>: the calls.  Here C's errno becomes OSError, and every wait is one that a signal handler
can interrupt.

- Arguments are checked before anything is submitted; a list is submitted whole or (EINPROGRESS,
  ValueError) not at all.
- Waiting is done in slices of aio_suspend, never in LIO_WAIT: glibc leaves pointers into a dead
  stack frame behind when a signal interrupts that, and aborts on a timeout it does not like.
"""

from __future__ import annotations

import errno
import math
import os
import time
from enum import IntEnum

from aio_posix import flight
from aio_posix._ffi import ffi, lib
from aio_posix.aiocb import (
    LIO_NOP,
    LIO_READ,
    LIO_WRITE,
    aiocb,
    collect,
    fileno,
    land_list,
    refused,
    submit,
)
from aio_posix.flight import COMPLETE, IN_FLIGHT, STATE, look, usable
from aio_posix.listio import SLICE, submit_list, wait_for_all
from aio_posix.sigevent import address, sigevent

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


class CancelResult(IntEnum):
    """What aio_cancel found."""

    AIO_CANCELED = lib.AIO_CANCELED
    AIO_NOTCANCELED = lib.AIO_NOTCANCELED
    AIO_ALLDONE = lib.AIO_ALLDONE


class LioMode(IntEnum):
    """Whether lio_listio waits."""

    LIO_WAIT = lib.LIO_WAIT
    LIO_NOWAIT = lib.LIO_NOWAIT


AIO_CANCELED = CancelResult.AIO_CANCELED
AIO_NOTCANCELED = CancelResult.AIO_NOTCANCELED
AIO_ALLDONE = CancelResult.AIO_ALLDONE
LIO_WAIT = LioMode.LIO_WAIT
LIO_NOWAIT = LioMode.LIO_NOWAIT

LONG_SLICE = 0.01  # of a list that can only be watched piece by piece
AIO_NUM_MAX = 1 << 20  # slots of 56 bytes; glibc reports EAGAIN for ever if it cannot allocate them
NOT_DUE = "the request was never submitted, or its result has been returned"
FOREVER = 1e9  # seconds; larger timeouts overflow glibc's clock arithmetic into "at once"


def aio_read(cb: aiocb) -> None:
    """Start reading ``aio_nbytes`` at ``aio_offset`` into ``aio_buf``.

    C: ``int aio_read(struct aiocb *aiocbp)``

    Raises BlockingIOError (EINPROGRESS) for a request in flight, OSError (EAGAIN) when glibc has no
    memory or cannot start its first helper thread. A bad descriptor shows in aio_error, not here
    (POSIX allows both). Source: glibc rt/aio_read.c, rt/aio_misc.c.
    """
    submit(cb, LIO_READ)


def aio_write(cb: aiocb) -> None:
    """Start writing ``aio_nbytes`` from ``aio_buf`` at ``aio_offset`` (at the end with O_APPEND).

    C: ``int aio_write(struct aiocb *aiocbp)``

    Raises as aio_read does. At most 0x7ffff000 bytes are written: aio_return tells. A write waits
    behind a read of the same descriptor. Source: glibc rt/aio_write.c.
    """
    submit(cb, LIO_WRITE)


def aio_fsync(op: int, cb: aiocb) -> None:
    """Start syncing what was written to ``aio_fildes`` before: os.O_SYNC as fsync, os.O_DSYNC as
    fdatasync.

    C: ``int aio_fsync(int op, struct aiocb *aiocbp)``

    Raises ValueError for another op, OSError (EBADF) for a bad descriptor, and as aio_read does.
    glibc drops the request's priority, so it may overtake writes with aio_reqprio > 0. Source:
    glibc rt/aio_fsync.c.
    """
    if op not in (os.O_SYNC, os.O_DSYNC):
        raise ValueError(f"op must be os.O_SYNC or os.O_DSYNC, not {op!r}")
    submit(cb, op)


def _checked(cb: aiocb) -> aiocb:
    if not isinstance(cb, aiocb):
        raise TypeError(f"expected an aiocb, not {type(cb).__name__}")
    return cb


def aio_error(cb: aiocb) -> int:
    """The state of a request: 0, EINPROGRESS, ECANCELED or the errno it failed with.

    C: ``int aio_error(const struct aiocb *aiocbp)``

    Never raises for a failed operation, nor returns -1. Raises OSError (EINVAL) for a request never
    submitted or already returned, where glibc gives a number all the same. Source: glibc
    rt/aio_error.c.
    """
    usable()
    state = look(_checked(cb)._request) & STATE
    if state == COMPLETE:
        return int(cb._request.error)
    if state == IN_FLIGHT:
        return errno.EINPROGRESS
    raise OSError(errno.EINVAL, NOT_DUE)


def aio_return(cb: aiocb) -> int:
    """The result of a completed request, once: how many bytes were moved.

    C: ``ssize_t aio_return(struct aiocb *aiocbp)``

    Raises the request's own OSError if it failed; BlockingIOError (EINPROGRESS) while it runs, and
    nothing is lost; OSError (EINVAL) the second time or before submission, where glibc gives a
    number all the same. Source: glibc rt/aio_return.c.
    """
    count = collect(cb)
    if count is not None:
        return count
    usable()
    request = cb._request
    word = lib.request_return(request)
    if word & STATE == COMPLETE:
        flight.in_flight.pop(word >> 2, None)
        if request.error:
            raise OSError(request.error, os.strerror(request.error))
        return int(lib.request_result(request))
    if word & STATE == IN_FLIGHT:
        raise BlockingIOError(errno.EINPROGRESS, "the request is in flight")
    raise OSError(errno.EINVAL, NOT_DUE)


def seconds(timeout: float | None) -> float | None:
    """A timeout as a number of seconds that every C interface accepts; None waits for ever."""
    if timeout is None:
        return None
    if not timeout >= 0:  # nan is not
        raise ValueError(
            f"timeout must be a non-negative number of seconds or None, not {timeout!r}"
        )
    return None if timeout >= FOREVER else float(timeout)


def _listed(cbs: Iterable[aiocb | None]) -> list[aiocb]:
    return [cb if type(cb) is aiocb else _checked(cb) for cb in cbs if cb is not None]


def aio_suspend(cbs: Iterable[aiocb | None], timeout: float | None = None) -> bool:
    """Wait until at least one of the requests is complete; False when the timeout (seconds) ends
    first.

    C: ``int aio_suspend(const struct aiocb *const list[], int nent, const struct timespec
    *timeout)``

    Signal handlers run during the wait, which then goes on (PEP 475). Raises ValueError if there is
    nothing to wait for (glibc: success at once) or the timeout is negative or nan (glibc: abort),
    OSError (EINVAL) for a request never submitted or already returned. A list of more than 1,024 is
    watched in pieces, within 10 ms of a completion. Source: glibc rt/aio_suspend.c.
    """
    usable()
    limit = seconds(timeout)
    listed = _listed(cbs)
    if not listed:
        raise ValueError("nothing to wait for: the list has no requests")
    words = [look(cb._request) for cb in listed]
    states = {word & STATE for word in words}
    if not states <= {IN_FLIGHT, COMPLETE}:
        raise OSError(errno.EINVAL, NOT_DUE)
    if COMPLETE in states:
        return True
    n = len(listed)
    array = ffi.new("struct request *[]", [cb._request for cb in listed])
    serials = ffi.new(
        "uint64_t[]", [word >> 2 for word in words]
    )  # a callback may submit a request again
    deadline = None if limit is None else time.monotonic() + limit
    longest = SLICE if n <= lib.PIECE else LONG_SLICE
    while True:
        left = longest if deadline is None else min(longest, deadline - time.monotonic())
        if left > 0:
            lib.list_suspend(array, n, math.ceil(left * 1e9))
        if lib.list_any(array, serials, n):
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False


def aio_cancel(fd: Any, cb: aiocb | None = None) -> CancelResult:
    """Cancel a request, or all requests of a descriptor, that no helper thread has taken yet.

    C: ``int aio_cancel(int fd, struct aiocb *aiocbp)``

    AIO_CANCELED: aio_error will be ECANCELED, and the notification comes as for any completion.
    AIO_NOTCANCELED: it is running and will end by itself (shutdown(2) ends a blocked read of a
    socket; close(2) does not). AIO_ALLDONE. Raises OSError: EBADF for a bad descriptor, EINVAL for
    a request never submitted or of another descriptor. glibc strands the requests behind a
    cancelled head; here they go on. Source: glibc rt/aio_cancel.c.
    """
    usable()
    number = fileno(fd)
    if cb is None:
        rc = lib.fildes_cancel(number)
    else:
        if _checked(cb)._request.word == 0:
            raise OSError(errno.EINVAL, "the request was never submitted")
        rc = lib.request_cancel(number, cb._request)
        look(cb._request)
    if rc == -errno.EINVAL:
        raise OSError(-rc, f"the request was not submitted for descriptor {number}")
    if rc < 0:
        raise OSError(-rc, os.strerror(-rc))
    return CancelResult(rc)


def lio_listio(mode: int, cbs: Sequence[aiocb | None], sig: sigevent | None = None) -> None:
    """Start all requests of a list, each as its ``aio_lio_opcode`` says; LIO_WAIT waits for all of
    them.

    C: ``int lio_listio(int mode, struct aiocb *const list[], int nent, struct sigevent *sig)``

    None and LIO_NOP entries are skipped. With LIO_NOWAIT ``sig`` announces that the whole list is
    complete (its value defaults to the list); with LIO_WAIT it is ignored, as in C. Raises OSError:
    EIO (LIO_WAIT) when a request failed, EAGAIN when glibc refused some: aio_error of each entry
    tells; BlockingIOError or ValueError with nothing submitted if an entry is in flight or listed
    twice. A signal handler that raises ends the wait, not the requests. Lists of any length work:
    glibc gets pieces of 1,024. Source: glibc rt/lio_listio-common.c.
    """
    usable()
    mode = LioMode(mode)
    if sig is not None and not isinstance(sig, sigevent):
        raise TypeError(f"sig must be a sigevent or None, not {type(sig).__name__}")
    listed = [cb for cb in _listed(cbs) if cb.aio_lio_opcode is not LIO_NOP]
    listing, error = submit_list(
        listed, cbs, sig if mode is LIO_NOWAIT else None, waits=mode is LIO_WAIT
    )
    if mode is LIO_WAIT:
        wait_for_all(listing, len(listed))
        if land_list(address(listing)):
            raise OSError(errno.EIO, "a request of the list failed: aio_error of each tells which")
    elif error:
        refused(error)


def aio_init(*, aio_threads: int = 20, aio_num: int = 64, aio_idle_time: int = 1) -> None:
    """Size glibc's pool of helper threads; before the first request of the process.

    C: ``void aio_init(const struct aioinit *init)`` (a GNU extension)

    aio_threads: the most helpers at a time, so also the most reads that can block at once before
    every other request of the process, files included, waits behind them. aio_num: slots allocated
    at first, not a limit. aio_idle_time: seconds an idle helper stays; 0 keeps the former value,
    less than 0 lets it go at once. Raises ValueError for what glibc would silently change or choke
    on, OSError (EBUSY) after the first request, when glibc would ignore the call. Source: glibc
    rt/aio_misc.c.
    """
    usable()
    for name, number, low, high in (
        ("aio_threads", aio_threads, 1, 2**31 - 1),
        ("aio_num", aio_num, 1, AIO_NUM_MAX),
        ("aio_idle_time", aio_idle_time, -(2**31), 2**31 - 1),
    ):
        if not isinstance(number, int):
            raise TypeError(f"{name} must be an int, not {type(number).__name__}")
        if not low <= number <= high:
            raise ValueError(f"{name} must be in {low}..{high}, not {number}")
    if lib.requests_used():
        raise OSError(
            errno.EBUSY, "aio_init comes too late: glibc fixes the pool's size at the first request"
        )
    lib.pool_init(aio_threads, aio_num, aio_idle_time)
