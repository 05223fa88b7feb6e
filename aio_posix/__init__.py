"""POSIX AIO as glibc implements it: <aio.h> with its traps taken away.

The names of C are here under the names they have in C; ``aio_posix.asyncio`` is imported by name.
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

from aio_posix.aio import (
    AIO_ALLDONE,
    AIO_CANCELED,
    AIO_NOTCANCELED,
    LIO_NOWAIT,
    LIO_WAIT,
    CancelResult,
    LioMode,
    aio_cancel,
    aio_error,
    aio_fsync,
    aio_init,
    aio_read,
    aio_return,
    aio_suspend,
    aio_write,
    lio_listio,
)
from aio_posix.aiocb import AIO_PRIO_DELTA_MAX, LIO_NOP, LIO_READ, LIO_WRITE, LioOpcode, aiocb
from aio_posix.queue import CompletionQueue
from aio_posix.sigevent import SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SigevNotify, sigevent
from aio_posix.sigwaitinfo import siginfo, sigwaitinfo

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
]
