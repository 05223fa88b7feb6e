"""Two workers, which are tasks of asyncio, read every other block of a file each."""

import asyncio
import os

from aio_posix.asyncio import read

BLOCK, WORKERS = 4096, 2
file = os.memfd_create("file")
os.write(file, b"x" * 10 * BLOCK + b"the end")


async def worker(offset: int) -> int:
    total = 0
    while data := await read(file, BLOCK, offset):
        total += len(data)
        offset += WORKERS * BLOCK
    return total


async def main() -> None:
    print(sum(await asyncio.gather(*(worker(i * BLOCK) for i in range(WORKERS)))))


asyncio.run(main())

# Output:
# 40967
