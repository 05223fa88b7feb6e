"""aio_posix.asyncio: file I/O to be awaited, on POSIX AIO; nothing is needed from the kernel."""

from typing import NoReturn

from aio_posix.asyncio.descriptors.bare import (
    fdatasync,
    fsync,
    pread_many,
    pwrite_many,
    read,
    readinto,
    readinto_many,
    write,
)
from aio_posix.asyncio.files.binary import BinaryFile
from aio_posix.asyncio.files.opening import open
from aio_posix.asyncio.files.replacing import replacing
from aio_posix.asyncio.files.text import TextFile
from aio_posix.asyncio.native import nowait

__all__ = [
    "BinaryFile",
    "TextFile",
    "fdatasync",
    "fsync",
    "nowait",
    "open",
    "pread_many",
    "pwrite_many",
    "read",
    "readinto",
    "readinto_many",
    "replacing",
    "write",
]

_STREAMS = tuple(
    f"{name}{kind}" for name in ("stdin", "stdout", "stderr") for kind in ("", "_bytes")
)


def __getattr__(name: str) -> NoReturn:
    """Says where the parts of aiofiles are that are not here."""
    text = f"module {__name__!r} has no attribute {name!r}"
    if name in ("os", "ospath", "tempfile", "threadpool", "base"):
        text += f"; of aiofiles it has open() alone: 'import aiofiles.{name}' for that part"
    elif name in _STREAMS:
        text += f"; 'open(sys.{name.partition('_')[0]}.fileno(), closefd=False)' is the same stream"
        text += f", 'from aiofiles import {name}' aiofiles' own"
    raise AttributeError(text)
