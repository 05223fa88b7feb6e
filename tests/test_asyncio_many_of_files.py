"""pread_many, readinto_many and pwrite_many as methods of files."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from typing import Any

import pytest
from loops import LOOPS, run_on

import aio_posix.asyncio as aio


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["page cache", "requests"])
def nowait(request: pytest.FixtureRequest) -> Any:
    before = aio.nowait(request.param)
    yield
    aio.nowait(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(bytes(i % 251 for i in range(1_000_000)))
    return tmp_path / "file"


@pytest.mark.usefixtures("nowait")
def test_many_reads_give_their_results_in_order_and_leave_the_position(
    loop: str, path: Path
) -> None:
    content = path.read_bytes()
    ranges = [(1 + i * 37 % 5000, i * 7919 % 1_000_100) for i in range(300)]

    async def program() -> None:
        for mode in ("rb", "r+b", "r"):
            async with aio.open(
                path, mode, **({"encoding": "latin-1"} if mode == "r" else {})
            ) as f:
                await f.read(10)
                got = await f.pread_many(ranges)
                assert got == [content[at : at + n] for n, at in ranges]
                assert await f.tell() == 10
                assert await f.pread_many([]) == []

    run_on(loop, program())


@pytest.mark.usefixtures("nowait")
def test_many_reads_fill_blocks_of_one_buffer(loop: str, path: Path) -> None:
    content = path.read_bytes()

    async def program() -> None:
        whole = bytearray(1_000_000)
        view = memoryview(whole)
        places = [i * 50_000 for i in range(20)]
        async with aio.open(path, "rb") as file:
            counts = await file.readinto_many([(view[at : at + 50_000], at) for at in places])
            assert counts == [50_000] * 20
            assert whole == content
            assert await file.readinto_many([(bytearray(10), 999_995)]) == [5]

    run_on(loop, program())


def test_many_writes_land_in_their_order_after_what_waits(loop: str, path: Path) -> None:
    async def program() -> None:
        async with aio.open(path, "r+b") as file:
            await file.write(b"waits")
            sizes = await file.pwrite_many(
                [(b"x" * 100, 3), (b"y" * 10, 50), (memoryview(b"z"), 55), (b"", 7)]
            )
            assert sizes == [100, 10, 1, 0]
            await file.seek(0)
            assert await file.read(103) == b"wai" + b"x" * 47 + b"yyyyyzyyyy" + b"x" * 43

    run_on(loop, program())


def test_what_was_read_ahead_is_not_given_after_many_writes(loop: str, path: Path) -> None:
    async def program() -> None:
        async with aio.open(path, "r+b") as file:
            await file.readline()
            at = await file.tell()
            await file.pwrite_many([(b"new", at)])
            assert await file.read(3) == b"new"

    run_on(loop, program())


@pytest.mark.parametrize(
    ("name", "wanted", "error"),
    [
        ("pread_many", [(1, 0), (-1, 0)], ValueError),
        ("pread_many", [(1, 0), (1, -1)], ValueError),
        ("pread_many", [(1, 0), (1.5, 0)], TypeError),
        ("pread_many", [(1, 1 << 70)], ValueError),
        ("readinto_many", [(b"bytes", 0)], TypeError),
        ("readinto_many", [(bytearray(1), -1)], ValueError),
        ("pwrite_many", [(b"x", 0), ("text", 0)], TypeError),
        ("pwrite_many", [(b"x", 0), (b"x", -1)], ValueError),
    ],
)
def test_a_mistake_in_one_of_many_is_found_before_any_has_begun(
    path: Path, name: str, wanted: Any, error: type[Exception]
) -> None:
    before = path.read_bytes()

    async def program() -> None:
        async with aio.open(path, "r+b") as file:
            with pytest.raises(error):
                await getattr(file, name)(wanted)

    run_on("asyncio", program())
    assert path.read_bytes() == before


def test_a_file_without_positions_or_rights_refuses_many(path: Path) -> None:
    async def program() -> None:
        r, w = os.pipe()
        async with aio.open(r, "rb") as pipe:
            with pytest.raises(io.UnsupportedOperation, match="positions"):
                await pipe.pread_many([(1, 0)])
        os.close(w)
        async with aio.open(path, "rb") as file:
            with pytest.raises(io.UnsupportedOperation, match="writable"):
                await file.pwrite_many([(b"x", 0)])
        with pytest.raises(ValueError, match="closed"):
            await file.pread_many([(1, 0)])

    run_on("asyncio", program())


def test_close_waits_for_many_writes_and_sends_no_byte_elsewhere(loop: str, path: Path) -> None:
    async def program() -> None:
        file = await aio.open(path, "r+b")
        pieces = [(bytes([i % 251]) * 65536, i * 65536) for i in range(200)]
        writing = asyncio.ensure_future(file.pwrite_many(pieces))
        await asyncio.sleep(0)
        await file.close()
        assert await writing == [65536] * 200
        assert path.read_bytes() == b"".join(data for data, _ in pieces)

    run_on(loop, program())


def test_buffers_of_a_call_that_was_refused_can_be_resized(path: Path) -> None:
    async def program() -> None:
        buffer = bytearray(10)
        async with aio.open(path, "r+b") as file:
            for name in ("readinto_many", "pwrite_many"):
                with pytest.raises(ValueError, match="negative") as caught:
                    await getattr(file, name)([(buffer, 0), (buffer, -1)])
                buffer.append(1)
                del caught

    run_on("asyncio", program())
