"""Several loops, other loops, loops that are closed."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

from adapters import Library, task

from facts import Wrong, same


async def copied(library: Library, name: str) -> bytes:
    file = await library.open(name, "wb")
    for _ in range(20):
        await file.write(b"x" * 1000)
    await file.close()
    file = await library.open(name, "rb")
    data: bytes = await file.read()
    await file.close()
    return data


def two_loops(library: Library) -> None:
    """A file that was opened in one event loop can be used in the next."""
    Path("file").write_bytes(b"first second")
    first, second = library.new_event_loop(), library.new_event_loop()

    async def opening() -> object:
        file = await library.open("file", "rb")
        same(await file.read(6), b"first ", "first loop")
        return file

    async def reading(file: object) -> bytes:
        data: bytes = await file.read()  # type: ignore[attr-defined]  # the library's own type
        await file.close()  # type: ignore[attr-defined]
        return data

    file = first.run_until_complete(opening())
    first.close()
    same(second.run_until_complete(asyncio.wait_for(reading(file), 5)), b"second", "second loop")


def two_threads(library: Library) -> None:
    """Four threads with an event loop each do not disturb each other."""
    failures = []

    def work(i: int) -> None:
        try:
            for _ in range(10):
                same(len(library.run(copied(library, f"file{i}"))), 20_000, "bytes")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def closed_loop(library: Library) -> None:
    """A loop closed while reads are under way leaves no descriptor and disturbs no later loop."""
    Path("file").write_bytes(bytes(1 << 20))

    def abandoned() -> None:
        loop = library.new_event_loop()

        async def main() -> None:
            file = await library.open("file", "rb")
            reads = [task(file.read(10_000)) for _ in range(20)]
            await asyncio.sleep(0)
            for read in reads:
                read.cancel()
            await asyncio.gather(*reads, return_exceptions=True)
            await file.close()

        loop.run_until_complete(main())
        loop.close()

    abandoned()
    same(len(library.run(copied(library, "new"))), 20_000, "bytes")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        abandoned()
        same(len(library.run(copied(library, "new"))), 20_000, "bytes")
    left = len(os.listdir("/proc/self/fd")) - before
    if left >= 10:
        raise Wrong(f"{left} descriptors are left after 20 loops")


FACTS = [two_loops, two_threads, closed_loop]
