"""A file system that holds an operation: neither the loop nor other files may wait for it.

tests/slow_fs.py is that file system. It needs root, or a user namespace (`unshare -rm`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from adapters import Absent, Library, flushed, settled, task
from turns import Turns

from facts import Wrong, same
from facts.programs import BENCHMARKS

PROGRAM = BENCHMARKS.parent / "tests" / "slow_fs.py"
HELD = 4  # seconds for which an operation waits if nobody releases it
STOOD_STILL = 1.5  # seconds of a turn of the loop; a busy machine does not make it so long
Use = Callable[[Library], Awaitable[None]]


class Slow:
    """The file system in ./slow; `held` is set while the operation waits."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.held = threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        assert self.process.stdout is not None
        for _ in self.process.stdout:
            self.held.set()

    def release(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(ValueError, BrokenPipeError):
            self.process.stdin.write("go\n")
            self.process.stdin.flush()


@contextlib.contextmanager
def mounted(operation: str) -> Iterator[Slow]:
    Path("slow").mkdir()
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), "slow", str(HELD), operation],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdout.readline() != "mounted\n":
            raise Absent(f"no FUSE here: {process.stderr.read().strip()}")
        slow = Slow(process)
        try:
            yield slow
        finally:
            slow.release()
            process.communicate(timeout=10)


def held_up(library: Library, operation: str, use: Use) -> None:
    Path("local").write_bytes(b"content")

    async def main(slow: Slow) -> None:
        turns = Turns()
        user = task(use(library))
        end = time.monotonic() + 5
        while not slow.held.is_set() and not user.done() and time.monotonic() < end:
            await asyncio.sleep(0.005)
        others_wait = False
        if turns.longest < STOOD_STILL and not user.done():
            try:
                async with asyncio.timeout(STOOD_STILL):
                    file = await library.open("local", "rb")
                    same(await file.read(), b"content", "another file")
                    await file.close()
            except TimeoutError:
                others_wait = True
        slow.release()
        await asyncio.wait_for(user, 10)
        turns.stopped = True
        if turns.longest > STOOD_STILL:
            raise Wrong("the loop stands still")
        if others_wait:
            raise Wrong("other files wait for it, too")

    with mounted(operation) as slow:
        library.run(main(slow))


def slow_open(library: Library) -> None:
    """Slow file system: the loop and other files go on while an open waits."""

    async def use(library: Library) -> None:
        file = await library.open("slow/file", "rb")
        await file.close()

    held_up(library, "open", use)


def slow_create(library: Library) -> None:
    """Slow file system: they go on while the creation of a file waits."""

    async def use(library: Library) -> None:
        file = await library.open("slow/new", "wb")
        await file.close()

    held_up(library, "create", use)


def slow_read(library: Library) -> None:
    """Slow file system: they go on while a read waits."""

    async def use(library: Library) -> None:
        file = await library.open("slow/file", "rb")
        same(await file.read(4096), b"x" * 4096, "bytes")
        await file.close()

    held_up(library, "read", use)


def slow_write(library: Library) -> None:
    """Slow file system: they go on while a write waits."""

    async def use(library: Library) -> None:
        file = await library.open("slow/file", "r+b")
        await file.write(b"y" * 4096)
        await flushed(file)
        await file.close()

    held_up(library, "write", use)


def slow_size(library: Library) -> None:
    """Slow file system: they go on while a seek or a read to the end asks for the size."""

    async def use(library: Library) -> None:
        file = await library.open("slow/file", "rb")
        with contextlib.suppress(TypeError):  # one has no end to seek to
            await settled(file.seek(0, os.SEEK_END))
        await settled(file.seek(0))
        same(len(await file.read()), 65536, "bytes")
        await file.close()

    held_up(library, "getattr", use)


def slow_close(library: Library) -> None:
    """Slow file system: they go on while the close of a written file waits, as on NFS."""

    async def use(library: Library) -> None:
        file = await library.open("slow/file", "r+b")
        await file.write(b"y")
        await file.close()

    held_up(library, "flush", use)


def slow_truncate(library: Library) -> None:
    """Slow file system: they go on while truncate() waits."""

    async def use(library: Library) -> None:
        file = await library.open("slow/file", "r+b")
        await settled(file.truncate(100))
        await file.close()

    held_up(library, "setattr", use)


FACTS = [slow_open, slow_create, slow_read, slow_write, slow_size, slow_close, slow_truncate]
