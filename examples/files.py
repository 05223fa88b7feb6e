"""Files for asyncio have the methods of the built-in's, and read and write at an offset."""

import asyncio
import tempfile
from pathlib import Path

from aio_posix.asyncio import open


async def main(folder: Path) -> None:
    async with open(folder / "log", "w") as log:
        for i in range(1000):
            await log.write(f"event {i}\n")

    async with open(folder / "log") as log:
        lines = [line async for line in log if "99" in line]
        print(len(lines), repr(lines[-1]))
        here = await log.tell()
        with Path(folder, "log").open("a") as somebody_else:
            somebody_else.write("more\n")
        await log.seek(here)
        print(repr(await log.read()))

    async with open(folder / "log", "r+b") as file:
        # The three reads run at the same time.
        heads = await asyncio.gather(*(file.pread(5, offset) for offset in (0, 8, 16)))
        await file.pwrite(b"EVENT", 8)
        await file.fsync()  # it is on the disk
        print(heads, await file.readline(), await file.readline())

    try:
        await open(folder / "missing")
    except FileNotFoundError as error:
        print(error.strerror)


with tempfile.TemporaryDirectory() as name:
    asyncio.run(main(Path(name)))

# Output:
# 19 'event 999\n'
# 'more\n'
# [b'event', b'event', b'event'] b'event 0\n' b'EVENT 1\n'
# No such file or directory
