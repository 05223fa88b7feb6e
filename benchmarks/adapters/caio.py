"""caio has requests on a descriptor, on the backend that it chooses itself."""

import asyncio
from weakref import WeakKeyDictionary

from caio import AsyncioContext

DISTRIBUTIONS = ["caio"]
contexts: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncioContext] = WeakKeyDictionary()


def context() -> AsyncioContext:
    loop = asyncio.get_running_loop()
    if loop not in contexts:
        contexts[loop] = AsyncioContext(max_requests=512)
    return contexts[loop]


async def pread(fd: int, nbytes: int, offset: int) -> bytes:
    data: bytes = await context().read(nbytes, fd, offset)
    return data


async def pwrite(fd: int, data: bytes, offset: int) -> int:
    count: int = await context().write(data, fd, offset)
    return count
