"""Lists of requests: submitted in one call, waited for together.

- A list is checked and its buffers are exported as a whole before C sees it. C checks once more,
  under its lock, that no entry is in flight, and then submits all of it.
- When glibc lacks memory or threads for some entries, those are complete with that error.
  The others run.
"""

from __future__ import annotations

import errno
from enum import IntEnum

from aio_posix import _calls, flight
from aio_posix._ffi import lib
from aio_posix.sigevent import sigevent

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from aio_posix.aiocb import aiocb


class LioMode(IntEnum):
    """Whether lio_listio waits."""

    LIO_WAIT = lib.LIO_WAIT
    LIO_NOWAIT = lib.LIO_NOWAIT


LIO_WAIT = LioMode.LIO_WAIT
LIO_NOWAIT = LioMode.LIO_NOWAIT


def lio_listio(mode: int, cbs: Iterable[aiocb | None], sig: sigevent | None = None) -> None:
    """Start all requests of a list, each as its ``aio_lio_opcode`` says.

    C: ``int lio_listio(int mode, struct aiocb *const list[], int nent, struct sigevent *sig)``

    With LIO_WAIT it waits for all of them, and ``sig`` is ignored as in C. With LIO_NOWAIT ``sig``
    announces that the whole list is complete, and its value is the list unless it has one. None and
    LIO_NOP entries are skipped. LIO_NOP is what an aiocb has if no ``aio_lio_opcode`` is given, so
    such an entry moves nothing.

    Raises OSError (EIO) with LIO_WAIT when a request failed, and OSError (EAGAIN) when glibc
    refused some. aio_error() of each entry tells which. Raises BlockingIOError or ValueError, with
    nothing submitted, if an entry is in flight, is listed twice or has no buffer. A signal handler
    that raises ends the wait and not the requests. Lists of any length work, because glibc gets
    pieces of 1,024. Source: glibc rt/lio_listio-common.c.
    """
    flight.usable()
    mode = LioMode(mode)
    if sig is not None and not isinstance(sig, sigevent):
        raise TypeError(f"sig must be a sigevent or None, not {type(sig).__name__}")
    waits = mode is LIO_WAIT
    error = _calls.listio(list(cbs), waits, None if waits else sig, cbs)
    if error and waits:
        raise OSError(errno.EIO, "a request of the list failed: aio_error of each tells which")
    if error:
        flight.refused(error)
