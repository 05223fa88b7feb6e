"""reads.py PEER IN_FLIGHT SECONDS FILE [HOW...]: random 4 KiB reads; prints JSON.

Workers read one file in closed loops. rate: reads/s; share: the least served worker's part of the
mean; turn: the longest turn of the loop in ms.

direct       with O_DIRECT
cold         every page once, none of them in the page cache at first
turns        a callback watches every turn of the loop, which costs a little
outstanding  IN_FLIGHT reads are asked for before the first is done
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import itertools
import json
import mmap
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from turns import Turns

PAGE = 4096
TOGETHER = 32  # reads by one await
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


async def ours_file(path: str, flags: int) -> Reader:
    from aio_posix.asyncio import open as ours_open

    file = await ours_open(path, "rb", opener=lambda name, how: os.open(name, how | flags))
    return lambda offset: file.pread(PAGE, offset)


async def ours_aio(path: str, flags: int) -> Reader:
    from aio_posix.asyncio import nowait

    nowait(False)
    return await ours_file(path, flags)


def spread(offset: int, pages: int) -> list[int]:
    """TOGETHER offsets all over the file; they follow from the first one."""
    return [(offset // PAGE + i * 4099) % pages * PAGE for i in range(TOGETHER)]


def many(aio: bool) -> Callable[[str, int], Awaitable[Reader]]:
    async def peer(path: str, flags: int) -> Reader:
        from aio_posix import asyncio as ours

        if aio:
            ours.nowait(False)
        fd = os.open(path, os.O_RDONLY | flags)
        pages = os.path.getsize(path) // PAGE
        return lambda at: ours.pread_many(fd, [(PAGE, each) for each in spread(at, pages)])

    return peer


def gathered(single: Callable[[str, int], Awaitable[Reader]]) -> Callable[..., Awaitable[Reader]]:
    async def peer(path: str, flags: int) -> Reader:
        read = await single(path, flags)
        pages = os.path.getsize(path) // PAGE

        async def together(offset: int) -> list[bytes]:
            return await asyncio.gather(*(read(each) for each in spread(offset, pages)))

        return together

    return peer


BY_ONE_AWAIT: dict[str, Callable[[str, int], Awaitable[Reader]]] = {
    "ours-many": many(aio=False), "ours-many-aio": many(aio=True),
    "ours-gathered": gathered(ours), "ours-gathered-aio": gathered(ours_aio),
    "caio-uring-gathered": gathered(caio("linux_uring")),
}  # fmt: skip
PEERS: dict[str, Callable[[str, int], Awaitable[Reader]]] = {
    "ours": ours, "ours-file": ours_file, "ours-aio": ours_aio,
    "turbofile": turbofile, "aiofiles": aiofiles, "aiofile": aiofile,
    "caio-uring": caio("linux_uring"), "caio-linux": caio("linux_aio"),
    "caio-thread": caio("thread_aio"), "to_thread": to_thread, "sync": synchronous,
    **BY_ONE_AWAIT,
}  # fmt: skip


def endless(pages: int) -> Iterator[int]:
    offsets = [random.randrange(pages) * PAGE for _ in range(1 << 14)]
    return itertools.cycle(offsets)


def once(pages: int) -> Iterator[int]:
    return iter(random.sample(range(0, pages * PAGE, PAGE), pages))


async def rounds(
    read: Reader, offsets: Iterator[int], workers: int, each: int, seconds: float, watched: bool
) -> dict[str, float]:
    """The workers take their offsets from one iterator, until it or the time has ended.

    each: how many reads one call makes.
    """
    counts = [0] * workers

    async def worker(i: int) -> None:
        data = None
        while time.perf_counter() < end:
            for _, offset in zip(range(CHECK), offsets, strict=False):
                data = await read(offset)
                counts[i] += each
            if data is None:
                return
            assert len(data) == PAGE if each == 1 else list(map(len, data)) == [PAGE] * each
            data = None

    turns = Turns() if watched else None
    begin = time.perf_counter()
    end = begin + seconds
    await asyncio.gather(*(worker(i) for i in range(workers)))
    elapsed = time.perf_counter() - begin
    figures = {"rate": sum(counts) / elapsed, "share": min(counts) * workers / sum(counts)}
    if turns is not None:
        turns.stopped = True
        figures["turn"] = turns.longest * 1000
    return figures


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
    if "cold" in how:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    flags = os.O_DIRECT if "direct" in how else 0
    pages = os.path.getsize(path) // PAGE
    each = TOGETHER if peer in BY_ONE_AWAIT else 1

    async def program() -> dict[str, float]:
        read = await PEERS[peer](path, flags)
        if "outstanding" in how:
            await rounds(read, endless(pages), 32, 1, 0.2, False)
            return await outstanding(read, pages, int(in_flight))
        offsets = once(pages) if "cold" in how else endless(pages)
        workers = int(in_flight) // each or 1
        return await rounds(read, offsets, workers, each, float(seconds), "turns" in how)

    print(json.dumps(asyncio.run(program())))
    sys.stdout.flush()
    os._exit(0)  # some peers do not end by themselves


if __name__ == "__main__":
    main()
