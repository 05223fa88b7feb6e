"""chores.py LIBRARY CHORE WORKERS SECONDS [turns]: what programs do with files all day, timed.

Prints JSON: rate, per second and in the unit of the chore; share, the least served worker's part of
the mean; turn, the longest turn of the loop in ms (with `turns`, where a callback watches every
turn). Each worker has an open file, and where it writes a file, of its own. What was counted is in
the page cache or visible to others: each chore checks its data, or the file, at its end.

New files are made in memory (/dev/shm, where it is there). Before ext4 gives out an inode it steps
over all that were deleted in the last minutes, and each run deletes thousands. So on a disk a run
measures what the runs before it have left: all libraries made 200 to 1,500 files/s in one hour.

The library "builtin" is the built-in open() called in the loop's thread. No library may do that to
a slow device, so its figures are a limit and not a rival's.
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import adapters
from adapters import Library, settled
from turns import Turns

HERE = Path(__file__).resolve().parent
DISK, MEMORY = HERE / "build", Path("/dev/shm")
CHECK = 16  # repetitions between two looks at the clock
SMALL, PAGE, LINE = 3072, 4096, 59  # bytes
LARGE = 64 << 20  # bytes of the file that is read through
ROUND = 16 << 20  # bytes after which a writer goes back to the beginning of its file


class Run:
    """How long the chore goes on, and what each worker has done."""

    def __init__(self, library: Library, folder: Path, workers: int, seconds: float) -> None:
        self.library = library
        self.folder = folder
        self.counts = [0] * workers
        self.end = time.perf_counter() + seconds

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def goes_on(self, worker: int, done: int = 0) -> bool:
        self.counts[worker] += done
        return time.perf_counter() < self.end


async def open_read_close(run: Run, worker: int, mode: str = "rb") -> None:
    opens, path, done = run.library.open, run.path("small"), 0
    while run.goes_on(worker, done):
        for _ in range(CHECK):
            file = await opens(path, mode)
            data = await file.read()
            await file.close()
        assert len(data) == SMALL
        done = CHECK


async def open_read_close_text(run: Run, worker: int) -> None:
    await open_read_close(run, worker, "r")


async def seek_and_read(run: Run, worker: int) -> None:
    file = await run.library.open(run.path("large"), "rb")
    offsets = [(worker + i) * 7919 % (LARGE // PAGE) * PAGE for i in range(CHECK)]
    awaits, done = inspect.isawaitable(first := file.seek(0)), 0
    await settled(first)
    while run.goes_on(worker, done):
        for offset in offsets:
            sought = file.seek(offset)
            if awaits:
                await sought
            data = await file.read(PAGE)
        assert len(data) == PAGE
        done = CHECK
    await file.close()


async def create_write_close(run: Run, worker: int) -> None:
    data, done, path = bytes(PAGE), 0, ""
    for number in range(1 << 30):
        if not run.goes_on(worker, done):
            break
        path = run.path(f"new-{worker}-{number}")
        file = await run.library.open(path, "wb")
        await file.write(data)
        await file.close()
        done = 1
    assert os.path.getsize(path) == PAGE


async def write_and_flush(run: Run, worker: int) -> None:
    path, line, done = run.path(f"log-{worker}"), b"x" * (LINE - 1) + b"\n", 0
    file = await run.library.open(path, "ab")
    flush = None if run.library.writes_through else file.flush
    while run.goes_on(worker, done):
        for _ in range(CHECK):
            await file.write(line)
            if flush is not None:
                await flush()
        done = CHECK
        if run.counts[worker] == 0:
            assert os.path.getsize(path) == CHECK * LINE  # visible when flush() has returned
    await file.close()
    assert os.path.getsize(path) == run.counts[worker] * LINE


async def writes(run: Run, worker: int, size: int) -> None:
    path, data, done = run.path(f"written-{worker}"), bytes(size), 0
    file = await run.library.open(path, "wb")
    while run.goes_on(worker, done):
        for _ in range(CHECK):
            await file.write(data)
        done = CHECK
        if (run.counts[worker] + done) * size % ROUND == 0:
            await settled(file.seek(0))
    await file.close()
    assert os.path.getsize(path) == min(run.counts[worker] * size, ROUND)


async def small_writes(run: Run, worker: int) -> None:
    await writes(run, worker, PAGE)


async def large_writes(run: Run, worker: int) -> None:
    await writes(run, worker, 256 << 10)
    run.counts[worker] >>= 2  # MiB


async def large_reads(run: Run, worker: int) -> None:
    file = await run.library.open(run.path("large"), "rb")
    done = 0
    while run.goes_on(worker, done):
        for _ in range(CHECK):
            data = await file.read(64 << 10)
        if len(data) != 64 << 10:
            await settled(file.seek(0))
        done = CHECK
    await file.close()
    run.counts[worker] >>= 4  # MiB


async def lines(run: Run, worker: int) -> None:
    while run.goes_on(worker):
        file = await run.library.open(run.path("lines"), "r")
        n = 0
        async for line in file:
            n += 1
            if n % 1000 == 0:
                assert len(line) == LINE
                if not run.goes_on(worker, 1000):
                    break
        await file.close()


class Chore(NamedTuple):
    name: str
    title: str
    unit: str
    workers: int
    work: Callable[[Run, int], Awaitable[None]]
    goals: dict[str, float]  # against whom ("four": see everyday.py), and the ratio
    place: Path = DISK


CHORES = [
    Chore(
        "open", "open, read 3 KiB, close", "/s", 1, open_read_close, {"four": 1.2, "builtin": 0.4}
    ),
    Chore("open-16", "the same, 16 at once", "/s", 16, open_read_close, {"four": 1.2}),
    Chore("open-text", "the same in text mode", "/s", 1, open_read_close_text, {"four": 1.2}),
    Chore("seek", "seek and read 4 KiB", "/s", 1, seek_and_read, {"four": 1.2}),
    Chore(
        "create",
        "create, write 4 KiB, close (tmpfs)",
        "/s",
        1,
        create_write_close,
        {"four": 1.2},
        MEMORY,
    ),
    Chore("flush", "write a line and flush", "/s", 1, write_and_flush, {"urio": 0.7}),
    Chore("flush-16", "the same, 16 files at once", "/s", 16, write_and_flush, {"urio": 0.4}),
    Chore("write-4k", "4 KiB writes", "/s", 1, small_writes, {"four": 1.2}),
    Chore("write-256k", "256 KiB writes", "MiB/s", 1, large_writes, {"four": 1.2}),
    Chore("read-64k", "64 KiB reads", "MiB/s", 1, large_reads, {"builtin": 0.9}),
    Chore("lines", "lines by async for", "/s", 1, lines, {"four": 1.2, "builtin": 0.5}),
]


def built_in(chore: str, run: Run) -> None:
    """The chores that have a goal against the built-in, written as a plain program."""
    path, done = run.path("small"), 0
    if chore == "open":
        while run.goes_on(0, done):
            for _ in range(CHECK):
                with builtins.open(path, "rb") as file:
                    data = file.read()
            assert len(data) == SMALL
            done = CHECK
    elif chore == "read-64k":
        with builtins.open(run.path("large"), "rb", buffering=0) as file:
            while run.goes_on(0, done):
                for _ in range(CHECK):
                    data = file.read(64 << 10)
                if len(data) != 64 << 10:
                    file.seek(0)
                done = CHECK
        run.counts[0] >>= 4
    elif chore == "lines":
        while run.goes_on(0):
            n = 0
            with builtins.open(run.path("lines")) as text:
                for _ in text:
                    n += 1
                    if n % 1000 == 0 and not run.goes_on(0, 1000):
                        break
    else:
        raise adapters.Absent(chore)


def prepare(folder: Path) -> None:
    (folder / "small").write_bytes(b"x" * SMALL)
    (folder / "large").write_bytes(bytes(LARGE))
    (folder / "lines").write_bytes((b"x" * (LINE - 1) + b"\n") * 500_000)


def timed(name: str, chore: Chore, workers: int, seconds: float, watched: bool) -> dict[str, float]:
    async def main(run: Run) -> Turns | None:
        turns = Turns() if watched else None
        await asyncio.gather(*(chore.work(run, worker) for worker in range(workers)))
        if turns is not None:
            turns.stopped = True
        return turns

    turns = None
    DISK.mkdir(exist_ok=True)
    place = chore.place if chore.place.is_dir() else DISK
    with tempfile.TemporaryDirectory(dir=place) as folder:
        prepare(Path(folder))
        run = Run(adapters.library(name), Path(folder), workers, seconds)
        begin = time.perf_counter()
        if name == "builtin":
            built_in(chore.name, run)
        else:
            turns = asyncio.run(main(run))
        elapsed = time.perf_counter() - begin
    total = sum(run.counts)
    figures = {"rate": total / elapsed, "share": min(run.counts) * workers / total if total else 0}
    return figures | ({"turn": turns.longest * 1000} if turns is not None else {})


def main() -> None:
    name, chore, workers, seconds, *how = sys.argv[1:]
    row = next(each for each in CHORES if each.name == chore)
    try:
        figures: dict[str, Any] = timed(name, row, int(workers), float(seconds), "turns" in how)
    except (adapters.Absent, AttributeError, ImportError) as error:
        figures = {"absent": str(error)}
    print(json.dumps(figures), flush=True)
    os._exit(0)  # some do not end by themselves


if __name__ == "__main__":
    main()
