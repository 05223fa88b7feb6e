"""aio_posix.asyncio."""

from aio_posix.asyncio import open, read, write

__all__ = ["open", "pread", "pwrite"]

DISTRIBUTIONS = ["aio_posix"]
pread, pwrite = read, write
