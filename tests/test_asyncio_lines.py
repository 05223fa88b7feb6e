"""Lines of awaited files: each is its own awaitable where it is at hand, and is taken when it is
awaited.
"""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from pathlib import Path
from typing import Any

import pytest
from loops import LOOPS, run_on

import aio_posix.asyncio as aio
from aio_posix._calls import EachLine, Lines

TEXT = "one\ntwo\rthree\r\n\n\r\r\nfour ä 語 \U0001f600\n" * 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "lines").write_bytes(b"".join(b"line %d\n" % i for i in range(20_000)))
    return tmp_path / "lines"


def line(i: int) -> str:
    return f"line {i}\n"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("end", ["", "the end", "\r", "\r\n"])
def test_lines_end_where_those_of_the_builtin_end(
    tmp_path: Path, loop: str, newline: str | None, end: str
) -> None:
    (tmp_path / "text").write_text(TEXT + end, "utf-8", newline="")

    async def lines() -> list[str]:
        async with aio.open(tmp_path / "text", encoding="utf-8", newline=newline) as file:
            return [line async for line in file]

    with open(tmp_path / "text", encoding="utf-8", newline=newline) as file:
        assert run_on(loop, lines()) == list(file)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_line_that_nobody_awaits_is_not_lost(path: Path, loop: str) -> None:
    async def program() -> None:
        async with aio.open(path) as file:
            lines = aiter(file)
            assert await anext(lines) == line(0)
            lines.__anext__()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(lines.__anext__(), 0)
            assert await anext(lines) == line(1)
            assert await file.readline() == line(2)

    run_on(loop, program())


def test_lines_come_in_the_order_in_which_they_are_awaited(path: Path) -> None:
    async def program() -> None:
        async with aio.open(path) as file:
            lines = aiter(file)
            assert await anext(lines) == line(0)
            first, second = lines.__anext__(), lines.__anext__()
            assert await second == line(1)
            assert await first == line(2)

    asyncio.run(program())


class Begun:
    """Goes on with what was asked for its iterator before."""

    def __init__(self, iterator: Any) -> None:
        self.iterator = iterator

    def __await__(self) -> Any:
        return self.iterator


def test_who_awaits_a_line_that_somebody_else_has_taken_gets_the_next_one(path: Path) -> None:
    async def program() -> None:
        async with aio.open(path) as file:
            lines = aiter(file)
            await anext(lines)
            following = lines.__anext__()
            begun = Begun(lines.__anext__().__await__())
            await file.seek(len(line(0) + line(1)))
            assert await following == line(2)
            await file.read()
            with pytest.raises(StopAsyncIteration):
                await begun

    asyncio.run(program())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_line_that_is_not_there_yet_is_awaited_with_a_default_and_by_a_task(loop: str) -> None:
    async def program() -> None:
        r, w = os.pipe()
        async with aio.open(r) as file:
            lines = aiter(file)

            async def header() -> str | None:
                return await anext(lines, None)

            first = asyncio.ensure_future(header())
            await asyncio.sleep(0.01)
            os.write(w, b"one\ntwo\n")
            assert await first == "one\n"
            two: Any = lines.__anext__()
            assert await asyncio.create_task(two) == "two\n"
            three: Any = lines.__anext__()
            third = asyncio.create_task(three)
            await asyncio.sleep(0.01)
            os.write(w, b"three\n")
            assert await third == "three\n"
            cancelled = asyncio.ensure_future(header())
            await asyncio.sleep(0.01)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            os.write(w, b"four\n")
            assert await anext(lines, None) == "four\n"
            os.close(w)
            assert await anext(lines, None) is None

    run_on(loop, program())


def test_what_is_thrown_into_a_line_that_nobody_has_awaited_takes_nothing(path: Path) -> None:
    async def program() -> None:
        async with aio.open(path) as file:
            lines = aiter(file)
            await anext(lines)
            thrown: Any = lines.__anext__()
            with pytest.raises(ZeroDivisionError):
                thrown.throw(ZeroDivisionError())
            closed: Any = lines.__anext__()
            closed.close()
            assert await anext(lines) == line(1)

    asyncio.run(program())


def test_who_keeps_a_stop_iteration_keeps_its_line(path: Path) -> None:
    def taken(by_hand: Any) -> StopIteration:
        try:
            next(by_hand)
        except StopIteration as stop:
            return stop.with_traceback(None)
        raise AssertionError("nothing was at hand")

    async def program() -> None:
        async with aio.open(path) as file:
            lines = aiter(file)
            await anext(lines)
            by_hand = lines.__anext__().__await__()
            kept = [taken(by_hand) for _ in range(3)]
            assert await anext(lines) == line(4)
            assert [stop.value for stop in kept] == [line(1), line(2), line(3)]

    asyncio.run(program())


@pytest.mark.parametrize("loop", LOOPS)
def test_two_lines_that_are_awaited_at_once_are_two(path: Path, loop: str) -> None:
    async def program() -> None:
        async with aio.open(path) as file:
            lines = aiter(file)
            assert await anext(lines) == line(0)
            assert [*await asyncio.gather(anext(lines), anext(lines))] == [line(1), line(2)]
            both = asyncio.as_completed([anext(lines), anext(lines)])
            assert {await each for each in both} == {line(3), line(4)}

    run_on(loop, program())


class Local:
    """What a frame has."""


def test_a_stop_iteration_that_was_caught_is_not_raised_again(path: Path) -> None:
    async def program() -> list[weakref.ref[Any]]:
        async with aio.open(path) as file:
            lines = aiter(file)
            await anext(lines)
            by_hand: Any = lines.__anext__().__await__()

            def caught() -> weakref.ref[Any]:
                local = Local()
                try:
                    next(by_hand)
                except StopIteration as stop:
                    stop.__notes__ = ["seen"]
                return weakref.ref(local)

            frames = [caught()]
            with pytest.raises(StopIteration) as again:
                next(by_hand)
            assert not hasattr(again.value, "__notes__")
            del again
            return [*frames, caught()]

    frames = asyncio.run(program())
    gc.collect()
    assert [frame() for frame in frames] == [None, None]


def test_a_line_does_not_overtake_a_read_that_waits() -> None:
    async def program() -> None:
        r, w = os.pipe()
        os.write(w, b"one\ntwo\nthree\n")
        async with aio.open(r, "rb") as file:
            lines = aiter(file)
            assert await anext(lines) == b"one\n"
            reading = asyncio.ensure_future(file.read(20))
            await asyncio.sleep(0)
            following = asyncio.ensure_future(anext(lines))
            await asyncio.sleep(0)
            assert not following.done()
            os.write(w, b"1234567890" + b"last\n")
            assert await reading == b"two\nthree\n1234567890"
            assert await following == b"last\n"
        os.close(w)

    asyncio.run(program())


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_lines_of_a_closed_file_are_an_error(path: Path, mode: str) -> None:
    async def program() -> None:
        async with aio.open(path, mode) as file:
            lines = aiter(file)
            await anext(lines)
        with pytest.raises(ValueError, match="closed file"):
            await anext(lines)
        with pytest.raises(ValueError, match="closed file"):
            await anext(aiter(file))

    asyncio.run(program())


def test_lines_and_positions_may_be_mixed(path: Path) -> None:
    async def program() -> None:
        async with aio.open(path) as file:
            async for each in file:
                if each == line(700):
                    break
            at = await file.tell()
            assert await file.read(9) == line(701)
            assert await file.readlines(12) == [line(702), line(703)]
            await file.seek(at)
            assert await anext(aiter(file)) == line(701)
        assert at == path.read_text().index(line(701))

    asyncio.run(program())


def test_a_file_that_holds_its_own_lines_is_collected(path: Path) -> None:
    async def program() -> weakref.ref[Any]:
        file = await aio.open(path)
        lines: Any = aiter(file)
        file.lines = lines  # type: ignore[attr-defined]  # a cycle
        assert await anext(lines) == line(0)
        await file.close()
        return weakref.ref(file)

    file = asyncio.run(program())
    gc.collect()
    assert file() is None


@pytest.mark.parametrize("data", [bytearray(b"x\n"), None, 1])
def test_a_window_holds_nothing_but_bytes_and_text(data: Any) -> None:
    with pytest.raises(TypeError, match="str or bytes"):
        Lines().hold(data)


@pytest.mark.parametrize("at", [-1, 4, 1 << 62])
def test_a_window_is_not_left(at: int) -> None:
    window: Lines[bytes] = Lines()
    window.hold(b"x\ny")
    with pytest.raises(ValueError, match="not inside"):
        window.move(at)


def test_lines_are_taken_as_long_as_anything_is_left() -> None:
    window: Lines[str] = Lines()
    window.hold("\n" * 100)
    window.left = 10
    taken = 0
    while window.line_now() is not None:
        taken += 1
    assert taken == 10
    assert len(window.lines()) == 90


def test_each_line_is_of_a_window() -> None:
    with pytest.raises(TypeError):
        EachLine(b"x\ny", print)  # type: ignore[arg-type]


def test_an_empty_window_has_no_line() -> None:
    assert (Lines().line(), Lines().lines()) == (None, [])
