"""Memory of cached reads that was read into before (csrc/python/spare.c)."""

from __future__ import annotations

import asyncio
import io
import os
import random
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import aio_posix.asyncio as aio
from aio_posix._calls import read_now
from aio_posix.asyncio import loop

PAGE = 4096
PAGES = 64
CONTENT = [bytes([page]) * PAGE for page in range(PAGES)]


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "pages").write_bytes(b"".join(CONTENT))
    number = os.open(tmp_path / "pages", os.O_RDONLY)
    yield number
    os.close(number)


@pytest.fixture
def traced() -> Iterator[None]:
    yield
    tracemalloc.stop()


def same(data: bytes) -> Any:
    return data


@pytest.mark.parametrize("keep", [same, memoryview, io.BytesIO, lambda data: {data: None}])
def test_bytes_that_somebody_has_do_not_change(fd: int, keep: Callable[[bytes], Any]) -> None:
    async def program() -> list[Any]:
        return [keep(await aio.read(fd, PAGE, page * PAGE)) for page in range(PAGES)]

    for kept, content in zip(asyncio.run(program()), CONTENT, strict=True):
        found = next(iter(kept)) if isinstance(kept, dict) else kept
        assert (found.read() if isinstance(found, io.BytesIO) else bytes(found)) == content


def test_bytes_have_the_hash_of_their_content(fd: int) -> None:
    async def program() -> list[int]:
        return [hash(await aio.read(fd, PAGE, page * PAGE)) for page in range(PAGES)]

    assert asyncio.run(program()) == [hash(content) for content in CONTENT]


@pytest.mark.skipif(not loop.GIL, reason="without a GIL nothing is kept")
@pytest.mark.usefixtures("traced")
def test_memory_that_its_reader_has_dropped_is_read_into_again(fd: int) -> None:
    async def program() -> None:
        for page in range(3):
            await aio.read(fd, PAGE, page * PAGE)
        tracemalloc.start()
        data = await aio.read(fd, PAGE, 3 * PAGE)
        assert data == CONTENT[3]
        assert tracemalloc.get_object_traceback(data) is None  # it is older than the trace

    asyncio.run(program())


@pytest.mark.usefixtures("traced")
def test_large_memory_is_given_back(fd: int) -> None:
    async def program() -> None:
        await aio.read(fd, PAGE, 0)  # opens a slice
        tracemalloc.start()
        for size in (200_000, 200_001, 1 << 20, 1 << 20):
            read_now(fd, size, 0)
        assert tracemalloc.get_traced_memory()[0] < 100_000

    asyncio.run(program())


def test_threads_that_read_at_once_get_what_they_asked_for(fd: int) -> None:
    wrong: list[int] = []

    async def program(seed: int) -> None:
        numbers, held = random.Random(seed), dict[int, bytes]()
        for _ in range(3000):
            page = numbers.randrange(PAGES)
            held[numbers.randrange(4)] = data = await aio.read(fd, PAGE, page * PAGE)
            if data != CONTENT[page] or hash(data) != hash(CONTENT[page]):
                wrong.append(page)

    threads = [threading.Thread(target=asyncio.run, args=(program(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert not any(thread.is_alive() for thread in threads)
