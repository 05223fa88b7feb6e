"""A program written for aiofiles: copies a tree, counts its words, follows a log, edits a file in
place.

aiofiles_program.py SOURCE TARGET
"""

import asyncio
import collections
import json
import os
import sys
from pathlib import Path

import aiofiles

CHUNK = 64 * 1024
AT_ONCE = 20


async def copy(source, target, limit):
    async with limit, aiofiles.open(source, "rb") as reader, aiofiles.open(target, "wb") as writer:
        total = 0
        while chunk := await reader.read(CHUNK):
            total += await writer.write(chunk)
        await writer.flush()
        assert total == await writer.tell()
        return total


async def copy_tree(source, target):
    limit = asyncio.Semaphore(AT_ONCE)
    copies = []
    for folder, _, names in os.walk(source):
        to = Path(target, os.path.relpath(folder, source))
        to.mkdir(parents=True, exist_ok=True)
        copies += [copy(Path(folder, name), to / name, limit) for name in names]
    return sum(await asyncio.gather(*copies))


async def count(path, words):
    async with aiofiles.open(path, encoding="utf-8", errors="replace") as file:
        async for line in file:
            words.update(line.split())


async def follow(path, started):
    seen = []
    async with aiofiles.open(path) as log:
        await log.seek(0, os.SEEK_END)
        started.set()
        while True:
            line = await log.readline()
            if not line:
                await asyncio.sleep(0.001)
                continue
            seen.append(line.rstrip("\n"))
            if line == "end\n":
                return seen


async def log(path, started):
    await started.wait()
    async with aiofiles.open(path, "a") as file:
        for i in range(50):
            await file.write(f"event {i}\n")
            await file.flush()
            await asyncio.sleep(0)
        await file.writelines(["last\n", "end\n"])


async def edit(path):
    file = await aiofiles.open(path, "r+")
    try:
        first = await file.readline()
        here = await file.tell()
        rest = await file.readlines()
        await file.seek(here)
        await file.write("".join(reversed(rest)))
        await file.truncate()
        await file.seek(0)
        return [
            first,
            here,
            (await file.read())[-20:],
            file.name == str(path),
            file.mode,
            file.closed,
        ]
    finally:
        await file.close()


async def missing(path):
    try:
        async with aiofiles.open(path):
            pass
    except FileNotFoundError as error:
        return str(error)


async def main(source, target):
    words = collections.Counter()
    copied = await copy_tree(source, target)
    texts = sorted(path for path in Path(target).rglob("*") if path.is_file())
    await asyncio.gather(*(count(path, words) for path in texts))
    journal = Path(target, "journal.log")
    async with aiofiles.open(journal, "x") as file:
        await file.write("before\n")
    started = asyncio.Event()
    seen, _ = await asyncio.gather(follow(journal, started), log(journal, started))
    edited = await edit(texts[-1])
    print(json.dumps([copied, sorted(words.items()), seen, edited, await missing("not there")]))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
