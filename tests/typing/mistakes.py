"""A program with typical mistakes, each in a line of its own that ends in "# mistake"."""

from __future__ import annotations

import aio_posix.asyncio
from aio_posix import SIGEV_THREAD, aio_read, aio_return, aio_suspend, aiocb, lio_listio, sigevent

by_path = aiocb("/etc/hosts", bytearray(10))  # mistake
text = aiocb(0, "text has no bytes")  # mistake
cb = aiocb(0, bytearray(10))
cb.aio_nbyte = 5  # mistake
cb.aio_nbytes = "5"  # mistake
aio_read(0)  # mistake
aio_suspend(cb)  # mistake
lio_listio([cb])  # mistake
data: bytes = aio_return(cb)  # mistake
event = sigevent(SIGEV_THREAD, print)  # mistake
queue = sigevent(SIGEV_THREAD, sigev_notify_function="print")  # mistake


async def awaited(fd: int) -> None:
    unawaited: bytes = aio_posix.asyncio.read(fd, 10, 0)  # mistake
    print(await aio_posix.asyncio.read(fd, 10))  # mistake
    await aio_posix.asyncio.readinto(fd, b"bytes cannot be written", 0)  # mistake
    await aio_posix.asyncio.write("path", b"", 0)  # mistake
    async with aio_posix.asyncio.open("path", "rb") as file:
        await file.write("text into a binary file")  # mistake
    print(unawaited)
