"""POSIX AIO as glibc implements it. The calls of <aio.h> have their own names, and are safe.

Requests
    aiocb           one read, write or sync: descriptor, buffer, offset, notification
    aio_read        start to read                aio_error       0, EINPROGRESS or an errno
    aio_write       start to write               aio_return      the number of bytes, once
    aio_fsync       start to sync                aio_suspend     wait until one is complete
    lio_listio      start a list of requests     aio_cancel      cancel what has not begun
    aio_init        size glibc's pool of threads, before the first request
How a completion is announced
    sigevent        not at all, by a signal, or by a call in a thread of glibc's
    CompletionQueue collects completions, and fileno() is readable while it has any
    sigwaitinfo     wait for a signal and get the request that it stands for
    stats           how many requests this process has in flight, and had
Awaited files
    aio_posix.asyncio    open(), read(), write() ... for asyncio, imported when first used

Names of C mean what they mean in C, so aio(7) and aio_read(3) are the manual. Errors are OSError
with the errno, TypeError or ValueError, and nothing returns -1. An example:

>>> import os
>>> from aio_posix import aio_read, aio_return, aio_suspend, aiocb
>>> file = os.open("/proc/version", os.O_RDONLY)
>>> request = aiocb(file, bytearray(5))
>>> aio_read(request)             # returns at once, and a thread of glibc's pool reads
>>> aio_suspend([request])
True
>>> aio_return(request), request.aio_buf
(5, bytearray(b'Linux'))
"""

try:
    import aio_posix._ffi  # noqa: F401 (first, for the message below)
except ModuleNotFoundError as error:
    if error.name != "aio_posix._ffi":
        raise
    raise ModuleNotFoundError(
        f"the C part of aio_posix was not built in {__path__[0]}: run `pip install -e .` in the "
        "folder above it, or start Python elsewhere if aio_posix is installed",
        name=error.name,
    ) from None
except ImportError as error:
    if "subinterpreter" not in str(error):
        raise
    raise ImportError(
        "aio_posix works in the main interpreter only: its C state is that of the process",
        name=error.name,
    ) from None

from aio_posix.aio import (
    AIO_ALLDONE,
    AIO_CANCELED,
    AIO_NOTCANCELED,
    CancelResult,
    aio_cancel,
    aio_error,
    aio_fsync,
    aio_init,
    aio_read,
    aio_return,
    aio_suspend,
    aio_write,
)
from aio_posix.aiocb import AIO_PRIO_DELTA_MAX, LIO_NOP, LIO_READ, LIO_WRITE, LioOpcode, aiocb
from aio_posix.flight import stats
from aio_posix.listio import LIO_NOWAIT, LIO_WAIT, LioMode, lio_listio
from aio_posix.queue import CompletionQueue
from aio_posix.sigevent import SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SigevNotify, sigevent
from aio_posix.sigwaitinfo import siginfo, sigwaitinfo

TYPE_CHECKING = False  # importing typing for it would take a third of our import's time

__version__ = "0.2.0"

__all__ = [
    "AIO_ALLDONE",
    "AIO_CANCELED",
    "AIO_NOTCANCELED",
    "AIO_PRIO_DELTA_MAX",
    "LIO_NOP",
    "LIO_NOWAIT",
    "LIO_READ",
    "LIO_WAIT",
    "LIO_WRITE",
    "SIGEV_NONE",
    "SIGEV_SIGNAL",
    "SIGEV_THREAD",
    "CancelResult",
    "CompletionQueue",
    "LioMode",
    "LioOpcode",
    "SigevNotify",
    "aio_cancel",
    "aio_error",
    "aio_fsync",
    "aio_init",
    "aio_read",
    "aio_return",
    "aio_suspend",
    "aio_write",
    "aiocb",
    "lio_listio",
    "sigevent",
    "siginfo",
    "sigwaitinfo",
    "stats",
]


if TYPE_CHECKING:  # a module with __getattr__ would have every attribute
    from aio_posix import asyncio as asyncio
else:

    def __getattr__(name: str) -> object:
        """The package for asyncio, when it is first asked for: it imports asyncio."""
        if name == "asyncio":
            import aio_posix.asyncio

            return aio_posix.asyncio
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*globals(), "asyncio"]
