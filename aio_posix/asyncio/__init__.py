"""aio_posix.asyncio: file I/O to be awaited, on POSIX AIO."""
