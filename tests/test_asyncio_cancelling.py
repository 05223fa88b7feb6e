"""Cancelled and timed-out operations of awaited files lose no byte, and nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loops import LOOPS, new_loop, run_on

import aio_posix.asyncio as aio
from aio_posix.asyncio import loop as loops_module
from aio_posix.asyncio.loop import Turn


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Ends = tuple[int, int]


@pytest.fixture(params=["pipe", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """A descriptor to read from and one to write to; whoever uses one closes it."""
    if request.param == "pipe":
        yield os.pipe()
    else:
        here, there = socket.socketpair()
        yield here.detach(), there.detach()


async def with_time_limit(call: Any, seconds: float = 0.05) -> Any:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(call, seconds)


async def readinto_all(file: Any) -> bytes:
    buffer = bytearray(100)
    n = await file.readinto(buffer)
    return bytes(buffer[:n])


async def lines_of(file: Any) -> Any:
    return [line async for line in file]


# --- reads

READS: dict[str, Callable[[Any], Any]] = {
    "read()": lambda file: file.read(),
    "read(100)": lambda file: file.read(100),
    "readline": lambda file: file.readline(),
    "readlines()": lambda file: file.readlines(),
    "readlines(8)": lambda file: file.readlines(8),
    "async for": lines_of,
}


@pytest.mark.parametrize(("mode", "buffering"), [("rb", -1), ("rb", 0), ("r", -1)])
@pytest.mark.parametrize("read", READS)
def test_a_read_that_times_out_keeps_what_it_had_got(
    loop: str, ends: Ends, mode: str, buffering: int, read: str
) -> None:
    """Twice, and a line end, half a line and half a character among what it had got."""

    async def program() -> None:
        source, sink = ends
        async with aio.open(source, mode, buffering, **encoding(mode)) as file:
            before = b"" if read == "readline" else b"line\n"
            os.write(sink, before + b"half a \xc3")
            await with_time_limit(READS[read](file))
            os.write(sink, b"\xa4 line")
            await with_time_limit(READS[read](file))
            os.write(sink, b"\nlast")
            os.close(sink)
            rest = await file.read()
            if isinstance(rest, str):
                rest = rest.encode()
            assert rest == before + b"half a \xc3\xa4 line\nlast"

    if buffering == 0 and read == "read(100)":
        pytest.skip("an unbuffered read returns what there is")
    if read == "async for":
        run_on(loop, program_of_lines(ends, mode, buffering))
    else:
        run_on(loop, program())


def encoding(mode: str) -> dict[str, str]:
    return {} if "b" in mode else {"encoding": "utf-8"}


async def program_of_lines(ends: Ends, mode: str, buffering: int) -> None:
    source, sink = ends
    seen: list[Any] = []

    async def collect(file: Any) -> None:
        async for line in file:
            seen.append(line)

    async with aio.open(source, mode, buffering, **encoding(mode)) as file:
        os.write(sink, b"one\ntwo\nthr")
        await with_time_limit(collect(file))
        os.write(sink, b"ee\nfour")
        await with_time_limit(collect(file))
        os.close(sink)
        await collect(file)
    got = [line.encode() if isinstance(line, str) else line for line in seen]
    assert got == [b"one\n", b"two\n", b"three\n", b"four"]


def test_a_readinto_that_times_out_gives_its_bytes_to_the_next_read(loop: str, ends: Ends) -> None:
    async def program() -> None:
        source, sink = ends
        async with aio.open(source, "rb") as file:
            os.write(sink, b"some")
            await with_time_limit(file.readinto(bytearray(100)))
            os.write(sink, b" and more")
            os.close(sink)
            assert await file.read() == b"some and more"

    run_on(loop, program())


ARRIVALS: dict[str, Callable[[Any], Any]] = {
    "readline": lambda file: file.readline(),
    "read(9)": lambda file: file.read(9),
    "read1": lambda file: file.read1(9),
    "readinto": readinto_all,
    "readlines(9)": lambda file: file.readlines(9),
    "peek": lambda file: file.peek(),
}


@pytest.mark.parametrize("buffering", [-1, 0])
@pytest.mark.parametrize("read", ARRIVALS)
def test_bytes_that_come_as_their_reader_is_cancelled_are_there_for_the_next_one(
    loop: str, read: str, buffering: int
) -> None:
    """Whichever turn of the loop the cancellation comes in."""
    if buffering == 0 and read == "peek":
        pytest.skip("there is no peek without a buffer")

    async def attempt(ends: Ends, turns: int) -> bytes:
        source, sink = ends
        async with aio.open(source, "rb", buffering) as file:
            reader = asyncio.ensure_future(ARRIVALS[read](file))
            for _ in range(5):
                await asyncio.sleep(0)
            os.write(sink, b"the line\n")
            for _ in range(turns):
                await asyncio.sleep(0)
            reader.cancel()
            got = (await asyncio.gather(reader, return_exceptions=True))[0]
            os.close(sink)
            rest = await file.read()
        if isinstance(got, list):
            got = b"".join(got)
        taken = got if isinstance(got, bytes) and read != "peek" else b""
        return taken + rest

    async def program() -> None:
        for turns in range(10):
            pair = socket.socketpair()
            for ends in (os.pipe(), (pair[0].detach(), pair[1].detach())):
                assert await attempt(ends, turns) == b"the line\n", turns

    run_on(loop, program())


def test_a_thousand_cancelled_readers_of_a_pipe_lose_nothing(loop: str, ends: Ends) -> None:
    async def program() -> None:
        source, sink = ends
        got: list[bytes] = []
        async with aio.open(source, "rb") as file:
            for i in range(1000):
                reader = asyncio.ensure_future(file.readline())
                for _ in range(i % 4):
                    await asyncio.sleep(0)
                os.write(sink, b"%d\n" % i)
                for _ in range(i % 7):
                    await asyncio.sleep(0)
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    got.append(await reader)
            os.close(sink)
            got.append(await file.read())
        assert b"".join(got) == b"".join(b"%d\n" % i for i in range(1000))

    run_on(loop, program())


# --- writes


def drained(fd: int) -> bytes:
    """What is there to be read now."""
    os.set_blocking(fd, False)
    parts = []
    with contextlib.suppress(BlockingIOError):
        while part := os.read(fd, 1 << 20):
            parts.append(part)
    return b"".join(parts)


SIZE = 3_000_000  # bytes; more than any pipe or socket takes


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_cancelled_write_stops_at_what_has_gone_and_close_says_what_is_left(
    loop: str, ends: Ends, buffering: int
) -> None:
    async def program() -> None:
        source, sink = ends
        file = await aio.open(sink, "wb", buffering)
        await with_time_limit(file.write(b"x" * SIZE))
        gone = len(drained(source))
        await asyncio.sleep(0.02)
        assert 0 < gone < SIZE
        assert drained(source) == b""
        while True:  # full again, or close() could get rid of a little more
            try:
                os.set_blocking(sink, False)
                os.write(sink, b"y" * 65536)
            except BlockingIOError:
                break
        os.set_blocking(sink, True)
        with pytest.warns(ResourceWarning, match=f"^{SIZE - gone} bytes .* dropped"):
            await asyncio.wait_for(file.close(), 5)
        assert file.closed
        os.close(source)

    run_on(loop, program())


def test_what_a_cancelled_write_has_left_is_written_by_the_next_flush(
    loop: str, ends: Ends
) -> None:
    async def program() -> None:
        source, sink = ends
        data = bytes(i % 251 for i in range(SIZE))
        async with aio.open(sink, "wb") as file, aio.open(source, "rb") as reader:
            await file.write(b"first")
            await with_time_limit(file.write(data))
            everything = asyncio.ensure_future(reader.read())
            await file.write(b"last")
            await file.close()
            assert await everything == b"first" + data + b"last"

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        run_on(loop, program())


@pytest.mark.parametrize("size", [100, 300_000])
@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_timeout_round_a_block_that_writes_to_a_stuck_pipe_ends_in_time(
    loop: str, ends: Ends, size: int, mode: str
) -> None:
    async def block(sink: int) -> None:
        async with aio.open(sink, mode) as file:
            await file.write(b"x" * size if mode == "wb" else "x" * size)
            await asyncio.sleep(60)

    async def program() -> None:
        source, sink = ends
        os.set_blocking(sink, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(sink, b"y" * 65536):
                pass
        os.set_blocking(sink, True)
        with pytest.warns(ResourceWarning, match=f"^{size} bytes .* dropped"):
            await with_time_limit(block(sink), 0.1)
        os.close(source)

    run_on(loop, program(), 10)


def test_a_cancelled_block_still_writes_what_a_pipe_takes_at_once(loop: str, ends: Ends) -> None:
    async def block(sink: int) -> None:
        async with aio.open(sink, "wb") as file:
            await file.write(b"x" * 5000)
            await asyncio.sleep(60)

    async def program() -> None:
        source, sink = ends
        await with_time_limit(block(sink))
        assert drained(source) == b"x" * 5000
        os.close(source)

    run_on(loop, program())


def test_a_cancelled_close_of_a_stuck_pipe_closes_it(loop: str, ends: Ends) -> None:
    async def program() -> None:
        source, sink = ends
        file = await aio.open(sink, "wb")
        await with_time_limit(file.write(b"x" * SIZE))
        flush = asyncio.ensure_future(file.flush())
        await asyncio.sleep(0)

        async def close_and_cancel() -> None:
            close = asyncio.ensure_future(file.close())
            await asyncio.sleep(0.01)
            assert not close.done(), "it waits for its turn"
            flush.cancel()
            await asyncio.wait_for(close, 5)

        # around the task, for a free-threaded Python has the filters of warnings in its context
        with pytest.warns(ResourceWarning, match="dropped"):
            await close_and_cancel()
        os.close(source)

    run_on(loop, program())


def test_a_write_to_a_closed_pipe_says_so_and_close_closes(loop: str, ends: Ends) -> None:
    async def program() -> None:
        source, sink = ends
        os.close(source)
        file = await aio.open(sink, "wb")
        await file.write(b"x" * 100)
        with pytest.raises(BrokenPipeError):
            await file.flush()
        with pytest.raises(BrokenPipeError):
            await file.close()
        assert file.closed
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(sink)

    run_on(loop, program())


# --- turns


def close_by_hand(reads: list[Any]) -> None:
    reads.pop().close()


def drop(reads: list[Any]) -> None:
    reads.pop()


def drop_in_a_thread(reads: list[Any]) -> None:
    thread = threading.Thread(target=reads.pop)
    thread.start()
    thread.join()


GOES = [close_by_hand, drop, drop_in_a_thread]


def begun(coroutine: Any) -> Any:
    """A coroutine without a task, at the first await that it waits in."""
    coroutine.send(None)
    return coroutine


@pytest.mark.parametrize("goes", GOES)
def test_a_coroutine_that_goes_with_its_turn_leaves_it_to_the_next(
    loop: str, ends: Ends, goes: Callable[[list[Any]], None]
) -> None:
    async def program() -> None:
        source, sink = ends
        async with aio.open(source, "rb") as file:
            reads = [begun(file.read(1))]
            following = asyncio.ensure_future(file.read(1))
            await asyncio.sleep(0)
            goes(reads)
            os.write(sink, b"xy")
            assert await following + await file.read(1) == b"xy"
        os.close(sink)

    run_on(loop, program())


@pytest.mark.parametrize("goes", GOES)
def test_a_coroutine_that_goes_while_it_waits_for_its_turn_is_passed_over(
    loop: str, ends: Ends, goes: Callable[[list[Any]], None]
) -> None:
    async def program() -> None:
        source, sink = ends
        async with aio.open(source, "rb") as file:
            first = asyncio.ensure_future(file.read(1))
            await asyncio.sleep(0)
            reads = [begun(file.read(1))]
            last = asyncio.ensure_future(file.read(1))
            await asyncio.sleep(0)
            goes(reads)
            os.write(sink, b"xy")
            assert await first + await last == b"xy"
        os.close(sink)

    run_on(loop, program())


def test_a_coroutine_that_goes_as_its_turn_comes_leaves_it_to_the_next(
    loop: str, ends: Ends
) -> None:
    async def program() -> None:
        source, sink = ends
        async with aio.open(source, "rb") as file:
            first = begun(file.read(1))
            second = begun(file.read(1))
            third = asyncio.ensure_future(file.read(1))
            await asyncio.sleep(0)
            first.close()
            second.close()
            os.write(sink, b"x")
            assert await third == b"x"
        os.close(sink)

    run_on(loop, program())


@pytest.mark.parametrize("step", ["_enter", "settle"])
def test_a_coroutine_that_is_collected_in_the_middle_of_a_turn_disturbs_none(
    loop: str, ends: Ends, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection may come with any allocation, as that of a future or a callback."""
    held: list[Any] = []

    def collecting(make: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            while held:
                cycle: list[Any] = [held.pop()]
                cycle.append(cycle)
                del cycle
                gc.collect()
            return make(*args)

        return call

    async def program() -> None:
        source, sink = ends
        async with aio.open(source, "rb") as file:
            first = begun(file.read(1))
            if step == "_enter":  # the holder goes while the next one is about to wait for it
                held.append(first)
                del first
                monkeypatch.setattr(loops_module, "new_future", collecting(loops_module.new_future))
                os.write(sink, b"xy")
                assert await asyncio.wait_for(file.read(1), 10) == b"x"
            else:  # the next one goes while the holder is about to give it the turn
                held.append(begun(file.read(1)))
                last = asyncio.ensure_future(file.read(1))
                other = asyncio.ensure_future(file.read(1))
                await asyncio.sleep(0)
                monkeypatch.setattr(loops_module, "settle", collecting(loops_module.settle))
                first.close()
                del first
                os.write(sink, b"xy")
                both = await asyncio.wait_for(asyncio.gather(last, other), 10)
                assert b"".join(both) == b"xy"
        os.close(sink)

    run_on(loop, program())


def test_a_turn_that_goes_between_two_runs_of_its_loop_is_free_in_the_next(
    loop: str, ends: Ends
) -> None:
    source, sink = ends
    runs = new_loop(loop)

    async def begin() -> tuple[Any, Any]:
        file = await aio.open(source, "rb")
        return file, begun(file.read(1))

    async def end(file: Any) -> None:
        os.write(sink, b"x")
        assert await asyncio.wait_for(file.read(1), 10) == b"x"
        await file.close()

    file, read = runs.run_until_complete(begin())
    read.close()
    runs.run_until_complete(end(file))
    runs.close()
    os.close(sink)


def test_a_signal_handler_that_raises_as_a_turn_ends_leaves_it_to_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a handler does that runs at the entry of __exit__."""
    (tmp_path / "f").write_bytes(b"xy")

    def interrupted(*_: Any) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    async def program() -> None:
        async with aio.open(tmp_path / "f", "rb") as file:
            await file.readall()
            await file.seek(0)
            monkeypatch.setattr(Turn, "__exit__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                await file.readall()
            await file.seek(0)
            assert await file.readall() == b"xy"

    asyncio.run(asyncio.wait_for(program(), 10))


def test_what_a_write_that_is_closed_by_hand_has_left_is_written_by_the_next_flush(
    loop: str, ends: Ends
) -> None:
    async def program() -> None:
        source, sink = ends
        data = bytes(range(256)) * 4096
        async with aio.open(sink, "wb") as file:
            begun(file.write(data)).close()
            flush = asyncio.ensure_future(file.flush())
            got = await asyncio.to_thread(read_exactly, source, len(data))
            await flush
            assert got == data
        os.close(source)

    run_on(loop, program())


def read_exactly(fd: int, nbytes: int) -> bytes:
    pieces = []
    while nbytes and (piece := os.read(fd, nbytes)):
        pieces.append(piece)
        nbytes -= len(piece)
    return b"".join(pieces)
