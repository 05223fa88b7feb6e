"""What one request costs, step by step.

    python benchmarks/budget.py

One 4 KiB read of a file in the page cache at a time, so nothing overlaps and nothing waits for a
device. TMPDIR has to be on a disk: files of tmpfs refuse reads that must not wait (RWF_NOWAIT).
Wall and processor time are those of a run of its own; instructions in user space are counted by
valgrind as the difference between a long and a short run, where it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from statistics import median

from aio_posix import (
    SIGEV_THREAD,
    CompletionQueue,
    aio_read,
    aio_return,
    aio_suspend,
    aiocb,
    sigevent,
)

PAGE = 4096
REQUESTS, RUNS = 20_000, 5
SHORT, LONG = 200, 1200  # requests under valgrind, which is some 50 times as slow


def blocking(fd: int, n: int) -> None:
    for _ in range(n):
        os.pread(fd, PAGE, 0)


def suspend(fd: int, n: int) -> None:
    cb = aiocb(fd, bytearray(PAGE))
    for _ in range(n):
        aio_read(cb)
        aio_suspend([cb])
        aio_return(cb)


def queue(fd: int, n: int) -> None:
    with CompletionQueue() as completed:
        cb = aiocb(fd, bytearray(PAGE), aio_sigevent=completed.sigevent())
        for _ in range(n):
            aio_read(cb)
            completed.get()
            aio_return(cb)


def callback(fd: int, n: int) -> None:
    left, done = n, threading.Event()

    def handler(cb: aiocb) -> None:
        nonlocal left
        aio_return(cb)
        left -= 1
        if left > 0:
            aio_read(cb)
        else:
            done.set()

    event = sigevent(SIGEV_THREAD, sigev_notify_function=handler)
    aio_read(aiocb(fd, bytearray(PAGE), aio_sigevent=event))
    done.wait()


def awaited(fd: int, n: int, page_cache: bool) -> None:
    from aio_posix.asyncio import nowait, read

    async def reads() -> None:
        for _ in range(n):
            await read(fd, PAGE, 0)

    nowait(page_cache)
    asyncio.run(reads())


WAYS: dict[str, tuple[str, Callable[[int, int], None]]] = {
    "blocking": ("`os.pread`, for comparison", blocking),
    "hit": ("awaited, in the page cache", lambda fd, n: awaited(fd, n, True)),
    "miss": ("awaited, page cache not asked", lambda fd, n: awaited(fd, n, False)),
    "suspend": ("`aio_read`, `aio_suspend`", suspend),
    "queue": ("`CompletionQueue`", queue),
    "callback": ("callback", callback),
}


def child(way: str, n: int) -> None:
    """Prints microseconds for each request: wall, user, system."""
    work = WAYS[way][1]
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * PAGE)
        file.flush()
        work(file.fileno(), min(n, 100))  # what is made once, as threads and the modules of asyncio
        before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        work(file.fileno(), n)
        wall = time.perf_counter() - begin
        after = resource.getrusage(resource.RUSAGE_SELF)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    print(*(1e6 * seconds / n for seconds in (wall, user, system)))


def run(way: str, n: int, *under: str) -> subprocess.CompletedProcess[str]:
    command = [*under, sys.executable, __file__, "--child", way, "--requests", str(n)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)


def microseconds(way: str) -> tuple[float, float, float]:
    runs = [tuple(map(float, run(way, REQUESTS).stdout.split())) for _ in range(RUNS)]
    wall, user, system = (median(column) for column in zip(*runs, strict=True))
    return wall, user, system


def instructions(way: str) -> int | None:
    """In user space. valgrind runs one thread at a time, so nothing spins."""
    if shutil.which("valgrind") is None:
        return None
    tool = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    counts = []
    for n in (SHORT, LONG):
        found = re.search(r"Collected : (\d+)", run(way, n, *tool).stderr)
        if found is None:
            return None
        counts.append(int(found[1]))
    return (counts[1] - counts[0]) // (LONG - SHORT)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--requests", type=int, default=REQUESTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.requests)
        return
    print("| one 4 KiB read | wall, µs | user, µs | system, µs | instructions in user space |")
    print("|---|---|---|---|---|")
    for way, (name, _) in WAYS.items():
        wall, user, system = microseconds(way)
        count = instructions(way)
        counted = "" if count is None else f"{count:,}"
        print(f"| {name} | {wall:.1f} | {user:.1f} | {system:.1f} | {counted} |", flush=True)


if __name__ == "__main__":
    main()
