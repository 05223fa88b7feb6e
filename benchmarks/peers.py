"""How each library reads PAGE bytes at an offset of one file, and how many pages by one await.

A peer is called with a path and flags of open(2), once, and gives what is awaited for each read. A
peer of TOGETHER pages writes or reads them all over the file, from the offset that it is given.
"""

from __future__ import annotations

import asyncio
import collections
import importlib
import mmap
import os
from collections.abc import Awaitable, Callable
from typing import Any

PAGE = 4096
TOGETHER = 32  # requests of one await
Reader = Callable[[int], Awaitable[Any]]
Peer = Callable[[str, int], Awaitable[Reader]]


async def futures(path: str, flags: int) -> Reader:
    """No read at all: what asyncio needs for that many futures, resolved 16 at a time."""
    loop, page = asyncio.get_running_loop(), bytes(PAGE)
    waiting: collections.deque[asyncio.Future[bytes]] = collections.deque()

    def resolve() -> None:
        for _ in range(min(16, len(waiting))):
            waiting.popleft().set_result(page)
        if waiting:
            loop.call_soon(resolve)

    async def read(offset: int) -> bytes:
        if not waiting:
            loop.call_soon(resolve)
        waiting.append(loop.create_future())
        return await waiting[-1]

    return read


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


def caio(kind: str) -> Peer:
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


async def ours_write(path: str, flags: int) -> Reader:
    from aio_posix.asyncio import write

    fd, data = os.open(path, os.O_RDWR | flags), bytes(PAGE)
    return lambda offset: write(fd, data, offset)


async def caio_write(path: str, flags: int) -> Reader:
    context = importlib.import_module("caio.linux_uring_asyncio").AsyncioContext(max_requests=64)
    fd, data = os.open(path, os.O_RDWR | flags), bytes(PAGE)
    return lambda offset: context.write(data, fd, offset)


def spread(offset: int, pages: int) -> list[int]:
    """TOGETHER offsets all over the file, which follow from the first one."""
    return [(offset // PAGE + i * 4099) % pages * PAGE for i in range(TOGETHER)]


def many(call: str, aio: bool = False) -> Peer:
    """pread_many, readinto_many or pwrite_many; aio: the page cache is not asked."""

    async def peer(path: str, flags: int) -> Reader:
        ours = importlib.import_module("aio_posix.asyncio")
        if aio:
            ours.nowait(False)
        fd, pages = os.open(path, os.O_RDWR | flags), os.path.getsize(path) // PAGE
        memory = memoryview(bytearray(TOGETHER * PAGE))
        every: dict[str, list[Any]] = {
            "pread_many": [PAGE] * TOGETHER,
            "readinto_many": [memory[i * PAGE : (i + 1) * PAGE] for i in range(TOGETHER)],
            "pwrite_many": [bytes(PAGE)] * TOGETHER,
        }
        what, function = every[call], getattr(ours, call)
        return lambda at: function(fd, list(zip(what, spread(at, pages), strict=True)))

    return peer


def gathered(single: Peer) -> Peer:
    async def peer(path: str, flags: int) -> Reader:
        call = await single(path, flags)
        pages = os.path.getsize(path) // PAGE

        async def together(offset: int) -> list[Any]:
            return await asyncio.gather(*(call(each) for each in spread(offset, pages)))

        return together

    return peer


BY_ONE_AWAIT: dict[str, Peer] = {
    "ours-many": many("pread_many"), "ours-many-aio": many("pread_many", aio=True),
    "ours-readinto-many": many("readinto_many"), "ours-write-many": many("pwrite_many"),
    "ours-gathered": gathered(ours), "ours-gathered-aio": gathered(ours_aio),
    "ours-write-gathered": gathered(ours_write),
    "caio-uring-gathered": gathered(caio("linux_uring")),
    "caio-write-gathered": gathered(caio_write),
}  # fmt: skip
PEERS: dict[str, Peer] = {
    "ours": ours, "ours-file": ours_file, "ours-aio": ours_aio,
    "futures": futures, "turbofile": turbofile, "aiofiles": aiofiles, "aiofile": aiofile,
    "caio-uring": caio("linux_uring"), "caio-linux": caio("linux_aio"),
    "caio-thread": caio("thread_aio"), "to_thread": to_thread, "sync": synchronous,
    **BY_ONE_AWAIT,
}  # fmt: skip
