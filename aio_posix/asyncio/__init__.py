"""aio_posix.asyncio: file I/O to be awaited, on POSIX AIO; nothing is needed from the kernel."""

from aio_posix.asyncio.bare import fdatasync, fsync, read, readinto, write
from aio_posix.asyncio.native import nowait
from aio_posix.asyncio.opening import open

__all__ = ["fdatasync", "fsync", "nowait", "open", "read", "readinto", "write"]
