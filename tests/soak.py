"""soak.py [SECONDS] [EVERY]: awaited files in use for so long; nothing may grow.

    python tests/soak.py 300 10

Sixteen tasks open, read, write, go through lines, cancel and close at random. Each EVERY seconds
all of them come to an end, and one line tells how many operations there were, and what the process
has: descriptors, threads, blocks of Python's allocator, and resident memory after malloc_trim().
The status is 1 if at the end one of these is higher than in the second line, when every part has
been in use: memory by more than 1 MiB, blocks by more than one in a hundred. Threads come and go
with the work, and may not become more than THREADS.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import aio_posix.asyncio as aio

TASKS = 16
LINES = b"".join(b"line %d of some length, as a log has it\n" % i for i in range(2000))
THREADS = 80  # at most: the helpers of glibc's pool, ours, a waiter, and the first one
MORE = 1 << 20  # bytes of memory that are no growth


class Sample(NamedTuple):
    descriptors: int
    threads: int
    blocks: int
    memory: int  # bytes


def sample() -> Sample:
    gc.collect()
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Sample(
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
        sys.getallocatedblocks(),
        memory,
    )


class Soak:
    """What one task does."""

    def __init__(self, folder: Path, number: int) -> None:
        self.small = folder / "small"
        self.lines = folder / "lines"
        self.own = folder / f"own-{number}"
        self.chance = random.Random(number)
        self.done = 0

    async def open_and_read(self) -> None:
        async with aio.open(self.small, self.chance.choice(["r", "rb"])) as file:
            assert len(await file.read()) == 3000

    async def go_through_lines(self) -> None:
        n = self.chance.randrange(2000)
        async with aio.open(self.lines, self.chance.choice(["r", "rb"])) as file:
            async for _ in file:
                n -= 1
                if n < 0:
                    break

    async def append(self) -> None:
        async with aio.open(self.own, self.chance.choice(["ab", "wb"])) as file:
            for _ in range(10):
                await file.write(b"x" * self.chance.randrange(500))
                await file.flush()

    async def write_much(self) -> None:
        async with aio.open(self.own, "w+b") as file:
            for _ in range(4):
                await file.write(bytes(self.chance.randrange(1 << 18)))
            await file.seek(0)
            await file.read()
            await file.fsync()

    async def read_from_the_disk(self) -> None:
        async with aio.open(self.lines, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            offsets = [self.chance.randrange(len(LINES)) for _ in range(8)]
            await asyncio.gather(*(file.pread(4096, offset) for offset in offsets))
            await file.pread_many([(100, offset) for offset in offsets])

    async def cancel_a_read(self) -> None:
        r, w = os.pipe()
        async with aio.open(r, "rb") as file:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(file.read(100), 0.001)
            os.close(w)
            assert await file.read() == b""

    async def cancel_anything(self) -> None:
        acts: list[Callable[[], Awaitable[None]]] = [
            self.open_and_read, self.go_through_lines, self.append, self.write_much,
            self.read_from_the_disk,
        ]  # fmt: skip
        task = asyncio.ensure_future(self.chance.choice(acts)())
        for _ in range(self.chance.randrange(5)):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def until(self, end: float) -> None:
        acts: list[Callable[[], Awaitable[None]]] = [
            self.open_and_read, self.go_through_lines, self.append, self.write_much,
            self.read_from_the_disk, self.cancel_a_read, self.cancel_anything,
        ]  # fmt: skip
        while time.monotonic() < end:
            await self.chance.choice(acts)()
            self.done += 1
            await asyncio.sleep(0)


async def soak(folder: Path, seconds: float, every: float) -> list[Sample]:
    (folder / "small").write_bytes(b"x" * 3000)
    (folder / "lines").write_bytes(LINES)
    begin = time.monotonic()
    samples: list[Sample] = []
    tasks = [Soak(folder, i) for i in range(TASKS)]
    while (now := time.monotonic()) < begin + seconds or len(samples) < 2:
        end = min(now + every, max(begin + seconds, now + 1))
        await asyncio.gather(*(task.until(end) for task in tasks))
        # a close that nobody awaits any more may still be on its way in a thread
        for _ in range(50):
            found = sample()
            if samples and found.descriptors <= samples[0].descriptors:
                break
            await asyncio.sleep(0.02)
        samples.append(found)
        print(
            f"{time.monotonic() - begin:5.0f} s {sum(task.done for task in tasks):10,} operations "
            f"{found.descriptors:4} descriptors {found.threads:4} threads {found.blocks:9,} blocks "
            f"{found.memory / 1024:9,.0f} KiB",
            flush=True,
        )
    return samples


def main() -> int:
    seconds, every = [
        float(given) for given in (*sys.argv[1:], *("300", "10")[len(sys.argv) - 1 :])
    ]
    with tempfile.TemporaryDirectory() as folder:
        samples = asyncio.run(soak(Path(folder), seconds, every))
    first, last = samples[min(1, len(samples) - 1)], samples[-1]
    grown = [
        name
        for name, most in (
            ("descriptors", first.descriptors),
            ("threads", THREADS),
            ("blocks", first.blocks * 1.01),
            ("memory", first.memory + MORE),
        )
        if getattr(last, name) > most
    ]
    print(f"grown: {', '.join(grown)}" if grown else "nothing has grown")
    return bool(grown)


if __name__ == "__main__":
    sys.exit(main())
