"""A long text is read in pieces, with the event loop between them, and nobody sees the pieces."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from loops import LOOPS, run_on

import aio_posix.asyncio as aio
from aio_posix.asyncio import turn
from aio_posix.asyncio.files import characters

TEXT = "one\ntwo\rthree\r\n\n\r\r\nfour ä 語 \U0001f600\n" * 300


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of seven bytes, with a turn of the loop after each read. What is read ahead is no piece, and
    from Python 3.14 on that would be all of it.
    """
    monkeypatch.setattr(io, "DEFAULT_BUFFER_SIZE", 1 << 13)
    monkeypatch.setattr(characters, "PIECE", 7)
    monkeypatch.setattr(turn, "TURN", 0)


@pytest.fixture(params=["utf-8", "utf-16", "utf-8-sig", "shift_jis"])
def how(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"encoding": request.param, "errors": "replace"}


@pytest.fixture
def path(tmp_path: Path, how: dict[str, str]) -> Path:
    with open(tmp_path / "text", "w", newline="", **how) as file:
        file.write(TEXT)
    return tmp_path / "text"


@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("begun", ["nothing", "readline", "read"])
def test_it_is_the_text_that_the_builtin_reads(
    path: Path, how: Any, newline: str | None, begun: str
) -> None:
    async def awaited() -> list[Any]:
        async with aio.open(path, newline=newline, **how) as file:
            first = await {"nothing": file.tell, "readline": file.readline}.get(
                begun, lambda: file.read(3)
            )()
            return [first, await file.read(), await file.tell(), file.newlines, await file.read()]

    with open(path, newline=newline, **how) as file:
        first: Any = {"nothing": file.tell, "readline": file.readline}.get(
            begun, lambda: file.read(3)
        )()
        expected = [first, file.read(), file.tell(), file.newlines, file.read()]
    assert asyncio.run(awaited()) == expected


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("begun", [0, 5])
def test_a_read_that_is_cancelled_has_read_nothing(
    path: Path, how: Any, loop: str, begun: int
) -> None:
    async def program() -> None:
        async with aio.open(path, newline="", **how) as file:
            assert await file.read(begun) == TEXT[:begun]
            before = await file.tell()
            for turns in (1, 2, 50):
                read = asyncio.ensure_future(file.read())
                for _ in range(turns):
                    await asyncio.sleep(0)
                assert read.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await read
            assert await file.tell() == before
            assert await file.read(2) == with_errors(TEXT[begun : begun + 2], how)
            assert await file.read() == with_errors(TEXT[begun + 2 :], how)

    run_on(loop, program())


def with_errors(text: str, how: dict[str, str]) -> str:
    """As it comes back from this encoding."""
    return text.encode(**how).decode(**how)


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3"], ids=["in the middle", "at the end"])
def test_an_error_tells_its_place_in_the_whole_text(tmp_path: Path, bad: bytes) -> None:
    data = b"0123456789" * 10 + bad + b"0123456789" * 10 * (bad == b"\xff")
    (tmp_path / "bad").write_bytes(data)

    async def awaited() -> None:
        async with aio.open(tmp_path / "bad", encoding="utf-8") as file:
            await file.read()

    with pytest.raises(UnicodeDecodeError) as ours:
        asyncio.run(awaited())
    assert ours.value.args == ("utf-8", data, 100, 101, ours.value.reason)
    assert ours.value.__context__ is None


@pytest.mark.parametrize("how", ["utf-8"], indirect=True)
def test_the_loop_has_its_turns_meanwhile(path: Path, how: Any) -> None:
    async def program() -> int:
        turns = 0
        async with aio.open(path, newline="", **how) as file:
            read = asyncio.ensure_future(file.read())
            while not read.done():
                turns += 1
                await asyncio.sleep(0)
            assert len(read.result()) == len(TEXT)
        return turns

    assert asyncio.run(program()) > path.stat().st_size / 7 / 2
