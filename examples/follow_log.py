"""follow_log.py FILE [WORD] prints the lines (with WORD in them) that a log gets from now on.

A log that is rotated (renamed, and made anew) is followed into the new file. Ctrl-C ends it.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

from aio_posix.asyncio import open

PERIOD = 0.2  # seconds between two looks


async def lines(path: str) -> AsyncIterator[str]:
    where = os.SEEK_END  # of the first file, while a new one is read from its beginning
    while True:
        async with open(path, errors="replace") as log:
            await log.seek(0, where)
            inode, begun = os.fstat(log.fileno()).st_ino, ""
            while True:
                begun += await log.readline()
                if begun.endswith("\n"):
                    yield begun
                    begun = ""
                elif await replaced(path, inode):
                    break
        where = os.SEEK_SET


async def replaced(path: str, inode: int) -> bool:
    await asyncio.sleep(PERIOD)
    try:
        return os.stat(path).st_ino != inode
    except FileNotFoundError:  # between the two steps of a rotation
        return False


async def main(path: str, word: str) -> None:
    async for line in lines(path):
        if word in line:
            print(line, end="", flush=True)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: follow_log.py FILE [WORD]")
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else ""))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"follow_log: {error}")
