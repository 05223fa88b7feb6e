"""Neither the loop nor other files wait for a file system that holds an operation.

slow_fs.py is that file system. A loop that stood still would not come to release it; then the file
system gives up, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

import aio_posix.asyncio as aa

PROGRAM = Path(__file__).with_name("slow_fs.py")
HELD = 10  # seconds after which the file system gives up
UNSUPPORTED = 77


class Slow:
    def __init__(self, process: subprocess.Popen[str], file: Path) -> None:
        self.process = process
        self.file = file
        self.said: list[str] = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(iter(self.process.stdout.readline, ""))

    def release(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(HELD)
        self.reader.join(HELD)


@contextlib.contextmanager
def mounted(folder: Path, operation: str) -> Iterator[Slow]:
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), str(HELD), operation],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdout.readline() != "mounted\n":
            assert process.wait(HELD) == UNSUPPORTED, process.stderr.read()
            pytest.skip("mounting a FUSE file system is not allowed here")
        slow = Slow(process, folder / "file")
        try:
            yield slow
        finally:
            slow.end()


async def opened(path: Path) -> None:
    async with aa.open(path, "rb"):
        pass


async def created(path: Path) -> None:
    async with aa.open(path.with_name("new"), "xb"):
        pass


async def read(path: Path) -> None:
    async with aa.open(path, "rb") as file:
        assert await file.read(4096) == b"x" * 4096


async def read_text(path: Path) -> None:
    async with aa.open(path) as file:
        assert await file.read() == "x" * 65536


async def written(path: Path) -> None:
    async with aa.open(path, "r+b") as file:
        assert await file.write(b"y" * 4096) == 4096
        await file.flush()


async def measured(path: Path) -> None:
    async with aa.open(path, "rb") as file:
        assert await file.seek(0, os.SEEK_END) == 65536


async def closed(path: Path) -> None:
    async with aa.open(path, "r+b") as file:
        await file.write(b"y")


async def truncated(path: Path) -> None:
    async with aa.open(path, "r+b") as file:
        assert await file.truncate(10) == 10


async def synced(path: Path) -> None:
    async with aa.open(path, "r+b") as file:
        await file.fsync()


async def read_bare(path: Path) -> None:
    fd = await asyncio.to_thread(os.open, path, os.O_RDONLY)
    assert await aa.read(fd, 4096, 0) == b"x" * 4096
    await asyncio.to_thread(os.close, fd)


async def written_bare(path: Path) -> None:
    fd = await asyncio.to_thread(os.open, path, os.O_RDWR)
    assert await aa.write(fd, b"y" * 4096, 0) == 4096
    await asyncio.to_thread(os.close, fd)


@pytest.mark.parametrize(
    ("operation", "use"),
    [
        ("lookup", opened),
        ("open", opened),
        ("create", created),
        ("read", read),
        ("read", read_text),
        ("read", read_bare),
        ("write", written),
        ("write", written_bare),
        ("getattr", measured),
        ("flush", closed),
        ("setattr", truncated),
        ("fsync", synced),
    ],
)
def test_while_an_operation_waits_the_loop_and_other_files_go_on(
    operation: str, use: Callable[[Path], Awaitable[None]], tmp_path: Path
) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"content")

    async def main(slow: Slow) -> None:
        user = asyncio.ensure_future(use(slow.file))
        while f"held {operation}\n" not in slow.said:
            assert not user.done(), "the operation was never asked for"
            await asyncio.sleep(0.001)
        async with aa.open(local, "rb") as file:
            assert await file.read() == b"content"
        assert not user.done()
        slow.release()
        await asyncio.wait_for(user, HELD)

    with mounted(tmp_path / "slow", operation) as slow:
        asyncio.run(main(slow))
    assert f"gave up {operation}\n" not in slow.said
