"""asyncio_reads.py PEER IN_FLIGHT SECONDS FILE [direct|cold|turns|outstanding]: random 4 KiB reads;
prints JSON.

Workers read one file in closed loops. rate: reads/s; share: the least served worker's part of the
mean; turn: the longest turn of the loop in ms (with `turns`, where a callback watches every turn).
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import mmap
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

PAGE = 4096
CHECK = 16  # reads between two looks at the clock
Reader = Callable[[int], Awaitable[Any]]


async def turbofile(path: str, flags: int) -> Reader:
    import turbofile as peer

    file = await peer.open(path, "rb")
    return lambda offset: file.read_at(offset, PAGE)


async def aiofiles(path: str, flags: int) -> Reader:
    import aiofiles as peer

    files = [await peer.open(path, "rb") for _ in range(64)]

    async def read(offset: int) -> bytes:
        file = files.pop()
        await file.seek(offset)
        data: bytes = await file.read(PAGE)
        files.append(file)
        return data

    return read


async def aiofile(path: str, flags: int) -> Reader:
    import aiofile as peer

    file = peer.AIOFile(path, "rb")
    await file.open()
    return lambda offset: file.read_bytes(PAGE, offset)


def caio(kind: str) -> Callable[[str, int], Awaitable[Reader]]:
    async def peer(path: str, flags: int) -> Reader:
        context = importlib.import_module(f"caio.{kind}_asyncio").AsyncioContext(max_requests=64)
        fd = os.open(path, os.O_RDONLY | flags)
        return lambda offset: context.read(PAGE, fd, offset)

    return peer


async def to_thread(path: str, flags: int) -> Reader:
    fd = os.open(path, os.O_RDONLY)
    return lambda offset: asyncio.to_thread(os.pread, fd, PAGE, offset)


async def synchronous(path: str, flags: int) -> Reader:
    fd = os.open(path, os.O_RDONLY | flags)
    if flags & os.O_DIRECT:
        memory = mmap.mmap(-1, PAGE)

        async def read_direct(offset: int) -> bytes:
            os.preadv(fd, [memory], offset)
            return memory[:]

        return read_direct

    async def read(offset: int) -> bytes:
        return os.pread(fd, PAGE, offset)

    return read


async def ours(path: str, flags: int) -> Reader:
    from aio_posix.asyncio import read

    fd = os.open(path, os.O_RDONLY | flags)
    return lambda offset: read(fd, PAGE, offset)


async def ours_descriptor(path: str, flags: int) -> Reader:
    from aio_posix.asyncio.descriptor import Descriptor

    descriptor = Descriptor(os.open(path, os.O_RDONLY | flags))
    return lambda offset: descriptor.pread(PAGE, offset)


async def ours_aio(path: str, flags: int) -> Reader:
    from aio_posix.asyncio import nowait

    nowait(False)
    return await ours_descriptor(path, flags)


PEERS: dict[str, Callable[[str, int], Awaitable[Reader]]] = {
    "ours": ours, "ours-descriptor": ours_descriptor, "ours-aio": ours_aio,
    "turbofile": turbofile, "aiofiles": aiofiles, "aiofile": aiofile,
    "caio-uring": caio("linux_uring"), "caio-linux": caio("linux_aio"),
    "caio-thread": caio("thread_aio"), "to_thread": to_thread, "sync": synchronous,
}  # fmt: skip


async def rounds(
    read: Reader, pages: int, in_flight: int, seconds: float, turns: bool
) -> dict[str, float]:
    offsets = [random.randrange(pages) * PAGE for _ in range(1 << 14)]
    counts, longest, last = [0] * in_flight, 0.0, 0.0
    loop = asyncio.get_running_loop()

    def turn() -> None:
        nonlocal longest, last
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
        if now < end:
            loop.call_soon(turn)

    async def worker(i: int) -> None:
        k = i * 997
        while time.perf_counter() < end:
            for _ in range(CHECK):
                data = await read(offsets[k & 0x3FFF])
                k += 1
                counts[i] += 1
            assert len(data) == PAGE

    begin = last = time.perf_counter()
    end = begin + seconds
    if turns:
        loop.call_soon(turn)
    await asyncio.gather(*(worker(i) for i in range(in_flight)))
    elapsed = time.perf_counter() - begin
    total = sum(counts)
    return {
        "rate": total / elapsed,
        "share": min(counts) * in_flight / total,
        "turn": longest * 1000,
    }


async def outstanding(read: Reader, pages: int, n: int) -> dict[str, float]:
    """Reads/s of n reads that are all asked for before the first is done; as many groups as make
    100,000.
    """
    gc.disable()  # its cost grows with the number of live objects, whoever made them
    loop = asyncio.get_running_loop()
    spent = 0.0
    for _ in range(100_000 // n):
        tasks = [loop.create_task(one(read, i % pages * PAGE)) for i in range(n)]
        begin = time.perf_counter()
        await asyncio.wait(tasks)
        spent += time.perf_counter() - begin
    return {"rate": 100_000 // n * n / spent}


async def one(read: Reader, offset: int) -> None:
    assert len(await read(offset)) == PAGE


def main() -> None:
    peer, in_flight, seconds, path, *how = sys.argv[1:]
    if how == ["cold"]:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    flags = os.O_DIRECT if how == ["direct"] else 0
    pages = os.path.getsize(path) // PAGE

    async def program() -> dict[str, float]:
        read = await PEERS[peer](path, flags)
        if how == ["outstanding"]:
            await rounds(read, pages, 32, 0.2, False)
            return await outstanding(read, pages, int(in_flight))
        return await rounds(read, pages, int(in_flight), float(seconds), how == ["turns"])

    print(json.dumps(asyncio.run(program())))
    sys.stdout.flush()
    os._exit(0)  # some peers do not end by themselves


if __name__ == "__main__":
    main()
