"""aio_posix.asyncio: file I/O to be awaited, on POSIX AIO; nothing is needed from the kernel."""

from aio_posix.asyncio.bare import fdatasync, fsync, read, readinto, write
from aio_posix.asyncio.native import nowait

__all__ = ["fdatasync", "fsync", "nowait", "read", "readinto", "write"]
