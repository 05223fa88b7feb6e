"""A program with typical mistakes, each in a line of its own that ends in "# mistake"."""

from __future__ import annotations

import aio_posix.asyncio
from aio_posix import SIGEV_THREAD, aio_read, aio_return, aio_suspend, aiocb, lio_listio, sigevent

cb = aiocb(0, bytearray(10))
aio_read(0)  # mistake
aio_suspend(cb)  # mistake
lio_listio([cb])  # mistake
data: bytes = aio_return(cb)  # mistake
event = sigevent(SIGEV_THREAD, print)  # mistake
queue = sigevent(SIGEV_THREAD, sigev_notify_function="print")  # mistake


async def awaited(fd: int) -> None:
    print(await aio_posix.asyncio.read(fd, 10))  # mistake
