"""numpy's arrays are buffers for type checkers, too, on every Python."""

from __future__ import annotations

import asyncio
import os

import numpy as np

from aio_posix import aio_read, aio_return, aio_suspend, aiocb
from aio_posix.asyncio import readinto, readinto_many


def called(fd: int) -> int:
    cb = aiocb(fd, np.empty(4, dtype="<i4"))
    aio_read(cb)
    aio_suspend([cb])
    return aio_return(cb)


async def awaited(fd: int) -> int:
    table = np.empty((2, 4), dtype=np.float32)
    counts = await readinto_many(fd, [(table[0], 0), (table[1], 16)])
    return sum(counts) + await readinto(fd, table, 0)


file = os.memfd_create("file")
print(called(file), asyncio.run(awaited(file)))
