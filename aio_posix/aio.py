"""<aio.h>: the calls for one request, and aio_suspend. Here C's errno becomes OSError.

- Arguments are checked before anything is submitted.
- Waiting is done in slices of aio_suspend. When a signal interrupts LIO_WAIT, glibc leaves pointers
  into a dead stack frame behind. Timeouts are checked first, because glibc aborts on a bad one.
"""

from __future__ import annotations

import errno
import math
import os
from enum import IntEnum

from aio_posix import _calls
from aio_posix._ffi import lib
from aio_posix.aiocb import LIO_NOP, LIO_READ, LIO_WRITE, aiocb, fileno
from aio_posix.flight import usable

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from aio_posix._types import FileDescriptor


class CancelResult(IntEnum):
    """What aio_cancel found."""

    AIO_CANCELED = lib.AIO_CANCELED
    AIO_NOTCANCELED = lib.AIO_NOTCANCELED
    AIO_ALLDONE = lib.AIO_ALLDONE


AIO_CANCELED = CancelResult.AIO_CANCELED
AIO_NOTCANCELED = CancelResult.AIO_NOTCANCELED
AIO_ALLDONE = CancelResult.AIO_ALLDONE

AIO_NUM_MAX = 1 << 20  # slots of 56 bytes; glibc reports EAGAIN for ever if it cannot allocate them
NOT_DUE = "the request was never submitted, or its result has been returned"
FOREVER = 1e9  # seconds; larger timeouts overflow glibc's clock arithmetic into "at once"


def aio_read(cb: aiocb) -> None:
    """Start reading ``aio_nbytes`` bytes at ``aio_offset`` into ``aio_buf``.

    C: ``int aio_read(struct aiocb *aiocbp)``

    Returns at once. Raises BlockingIOError (EINPROGRESS) for a request in flight, ValueError
    without a buffer, and OSError (EAGAIN) when glibc has no memory or cannot start its first helper
    thread. A bad descriptor shows in aio_error() and not here. POSIX allows both. Source: glibc
    rt/aio_read.c, rt/aio_misc.c.
    """
    _calls.start(cb, LIO_READ)


def aio_write(cb: aiocb) -> None:
    """Start writing ``aio_nbytes`` bytes from ``aio_buf`` at ``aio_offset``.

    C: ``int aio_write(struct aiocb *aiocbp)``

    Returns at once. With O_APPEND the bytes go to the end of the file. Raises what aio_read()
    raises. At most 0x7ffff000 bytes are written, and aio_return() tells how many it was. A write
    waits behind a read of the same descriptor. Source: glibc rt/aio_write.c.
    """
    _calls.start(cb, LIO_WRITE)


def aio_fsync(op: int, cb: aiocb) -> None:
    """Start syncing what was written to ``aio_fildes`` before.

    C: ``int aio_fsync(int op, struct aiocb *aiocbp)``

    ``op`` is os.O_SYNC (as fsync) or os.O_DSYNC (as fdatasync). Raises ValueError for another one,
    OSError (EBADF) for a bad descriptor, and what aio_read() raises. glibc drops the priority of
    the request, so it may overtake writes with ``aio_reqprio`` > 0. Source: glibc rt/aio_fsync.c.
    """
    if op not in (os.O_SYNC, os.O_DSYNC):
        raise ValueError(f"op must be os.O_SYNC or os.O_DSYNC, not {op!r}")
    _calls.start(cb, op)


def aio_error(cb: aiocb) -> int:
    """The state of a request: 0, EINPROGRESS, ECANCELED, or the errno with which it failed.

    C: ``int aio_error(const struct aiocb *aiocbp)``

    A failed request raises nothing here, and -1 is never returned. Raises OSError (EINVAL) for a
    request that was never submitted or whose result was returned. glibc gives a number for those.
    Source: glibc rt/aio_error.c.
    """
    return _calls.error(cb)


def aio_return(cb: aiocb) -> int:
    """The number of bytes that a completed request moved. It can be asked for once.

    C: ``ssize_t aio_return(struct aiocb *aiocbp)``

    Raises the request's own OSError if it failed. Raises BlockingIOError (EINPROGRESS) while it
    runs, and nothing is lost. Raises OSError (EINVAL) the second time, and before submission. glibc
    gives a number in those cases. Source: glibc rt/aio_return.c.
    """
    return _calls.return_(cb)


def not_due(cb: aiocb) -> None:
    """Raises the reason why C found the request neither in flight nor complete."""
    usable()
    if cb.aio_lio_opcode is LIO_NOP and _calls.state(cb) == lib.UNSUBMITTED:
        raise OSError(
            errno.EINVAL,
            "the request was never submitted; lio_listio skips entries whose aio_lio_opcode is "
            "LIO_NOP, the default",
        )
    raise OSError(errno.EINVAL, NOT_DUE)


def failed(cb: aiocb, error: int) -> None:
    """Raises the error of a request, and says why where the errno alone would not."""
    if error == errno.EINPROGRESS:
        raise BlockingIOError(error, "the request is in flight")
    text = os.strerror(error)
    if error == errno.EAGAIN and _flags(cb) & os.O_NONBLOCK:
        text += ": the descriptor is non-blocking (a socket with a timeout is) and was not ready"
    elif error == errno.EAGAIN:
        text += (
            ": the descriptor was not ready, or Linux could not queue the signal (the data moved)"
        )
    elif error == errno.EINVAL and _flags(cb) & os.O_DIRECT:
        text += ": O_DIRECT needs buffer, offset and length aligned to the device's blocks"
    raise OSError(error, text)


def _flags(cb: aiocb) -> int:
    import fcntl  # for error messages alone

    try:
        return fcntl.fcntl(fileno(cb.aio_fildes), fcntl.F_GETFL)
    except (OSError, ValueError):  # closed by now
        return 0


def seconds(timeout: float | None) -> float | None:
    """A timeout as a number of seconds that every C interface accepts; None waits for ever."""
    if timeout is None:
        return None
    try:
        valid = timeout >= 0
    except TypeError:
        kind = type(timeout).__name__
        raise TypeError(f"timeout must be a number of seconds or None, not {kind}") from None
    if not valid:  # nan is not
        raise ValueError(
            f"timeout must be a non-negative number of seconds or None, not {timeout!r}"
        )
    return None if timeout >= FOREVER else float(timeout)


def aio_suspend(cbs: Iterable[aiocb | None], timeout: float | None = None) -> bool:
    """Wait until at least one of the requests is complete. False if ``timeout`` seconds pass first.

    C: ``int aio_suspend(const struct aiocb *const list[], int nent, const struct timespec
    *timeout)``

    None entries are skipped. Signal handlers run during the wait, which then goes on (PEP 475).
    Raises ValueError if there is nothing to wait for (glibc returns success at once) and for a
    timeout that is negative or nan (glibc aborts). Raises OSError (EINVAL) for a request that was
    never submitted or whose result was returned. A list of more than 1,024 is watched in pieces,
    and its end is noticed within 10 ms. Source: glibc rt/aio_suspend.c.
    """
    usable()
    limit = seconds(timeout)
    listed = [cb for cb in cbs if cb is not None]
    if not listed:
        raise ValueError("nothing to wait for: the list has no requests")
    return _calls.suspend(listed, -1 if limit is None else math.ceil(limit * 1e9))


def aio_cancel(fd: FileDescriptor, cb: aiocb | None = None) -> CancelResult:
    """Cancel a request, or all requests of a descriptor, that no helper thread has taken yet.

    C: ``int aio_cancel(int fd, struct aiocb *aiocbp)``

    AIO_CANCELED
        They are cancelled. aio_error() gives ECANCELED, and the notification comes as for every
        completion.
    AIO_NOTCANCELED
        At least one is running and ends by itself. shutdown(2) ends a blocked read of a socket,
        close(2) does not.
    AIO_ALLDONE
        All were complete already.

    Raises OSError: EBADF for a bad descriptor, EINVAL for a request that was never submitted or
    belongs to another descriptor. glibc strands the requests behind a cancelled head. Here they go
    on. Source: glibc rt/aio_cancel.c.
    """
    usable()
    number = fileno(fd)
    if cb is not None and _calls.state(cb) == lib.UNSUBMITTED:
        raise OSError(errno.EINVAL, "the request was never submitted")
    rc = _calls.cancel(number, cb)
    if rc == -errno.EINVAL:
        raise OSError(-rc, f"the request was not submitted for descriptor {number}")
    if rc < 0:
        raise OSError(-rc, os.strerror(-rc))
    return CancelResult(rc)


def aio_init(*, aio_threads: int = 20, aio_num: int = 64, aio_idle_time: int = 1) -> None:
    """Size glibc's pool of helper threads, before the first request of the process.

    C: ``void aio_init(const struct aioinit *init)`` (a GNU extension)

    aio_threads
        How many helpers there are at most. When so many reads are blocked, every other request of
        the process waits, files included.
    aio_num
        How many slots for requests are allocated at first. It is no limit.
    aio_idle_time
        For how many seconds an idle helper stays. 0 keeps the value that held before, and a
        negative number ends the helper at once.

    Raises ValueError for what glibc would change in silence or choke on. Raises OSError (EBUSY)
    after the first request, when glibc would ignore the call. Source: glibc rt/aio_misc.c.
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
    _calls.tell_pool(aio_threads)
