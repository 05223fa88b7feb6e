"""File I/O to be awaited, on POSIX AIO. Nothing is needed from the kernel.

Files
    open            a file with the methods of the built-in's, awaited
    BinaryFile      what open() gives for binary modes: read, write, seek, pread, fsync ...
    TextFile        what it gives otherwise: the same for text, and lines by ``async for``
    replacing       a new file that takes the place of an old one when the block ends well
Descriptors, at an offset
    read  readinto  write  fsync  fdatasync
Many pieces with one await
    pread_many  readinto_many  pwrite_many
Measuring
    nowait          whether reads ask the page cache first

>>> import asyncio
>>> from aio_posix.asyncio import open
>>> async def first_line(path):
...     async with open(path) as file:
...         return await file.readline()
>>> asyncio.run(first_line("/proc/version")).split()[0]
'Linux'
"""

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
