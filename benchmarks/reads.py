"""reads.py PEER IN_FLIGHT SECONDS FILE [HOW...]: random 4 KiB reads; prints JSON.

Workers read one file in closed loops. rate: reads/s; share: the least served worker's part of the
mean; turn: the longest turn of the loop in ms. Some peers write instead.

direct       with O_DIRECT
cold         every page once, none of them in the page cache at first
turns        a callback watches every turn of the loop, which costs a little
outstanding  IN_FLIGHT reads are asked for before the first is done
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

from peers import BY_ONE_AWAIT, PAGE, PEERS, TOGETHER, Reader
from turns import Turns

CHECK = 16  # calls between two looks at the clock


def endless(pages: int) -> Iterator[int]:
    offsets = [random.randrange(pages) * PAGE for _ in range(1 << 14)]
    return itertools.cycle(offsets)


def once(pages: int) -> Iterator[int]:
    return iter(random.sample(range(0, pages * PAGE, PAGE), pages))


def sizes(result: Any) -> list[int]:
    """Of what one call read, or wrote."""
    if isinstance(result, bytes):
        return [len(result)]
    return [each if isinstance(each, int) else len(each) for each in result]


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
            assert sizes(data) == [PAGE] * each
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
