"""aio_posix.asyncio on pipes, sockets and terminals: whoever is cancelled, no byte is lost or
written twice.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pty
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

import aio_posix.asyncio as aio
from aio_posix.asyncio import threads
from aio_posix.asyncio.descriptors.descriptor import Descriptor
from aio_posix.asyncio.descriptors.poller import Poller

LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """run(coroutine): its result, from a loop of each kind."""
    if request.param == "uvloop":
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    yield lambda coroutine: loop.run_until_complete(asyncio.wait_for(coroutine, 30))
    loop.close()


class Ends(NamedTuple):
    """What is written to one comes out of the other."""

    r: int
    w: int


def ends(kind: str) -> Ends:
    if kind == "pipe":
        return Ends(*os.pipe())
    if kind == "socket":
        return Ends(*(end.detach() for end in socket.socketpair()))
    w, r = pty.openpty()
    tty.setraw(r)
    return Ends(r, w)


@pytest.fixture(params=["pipe", "socket", "terminal"])
def stream(request: pytest.FixtureRequest) -> Iterator[Ends]:
    made = ends(request.param)
    yield made
    for fd in made:
        os.close(fd)


@pytest.fixture(params=["bare", "borrowing", "owning"])
def receive(request: pytest.FixtureRequest, stream: Ends) -> Callable[[int], Any]:
    """receive(nbytes) from the stream, each way."""
    if request.param == "bare":
        return lambda nbytes: aio.read(stream.r, nbytes, 0)
    if request.param == "borrowing":
        return Descriptor.borrowing(stream.r).receive
    return Descriptor.owning(stream.r, None).receive


def test_bytes_that_come_as_their_reader_is_cancelled_go_to_the_next_one(
    run: Any, stream: Ends, receive: Any
) -> None:
    """Whichever turn of the loop the cancellation comes in."""

    async def attempt(turns: int) -> bytes:
        reader: asyncio.Task[bytes] = asyncio.ensure_future(receive(100))
        for _ in range(5):
            await asyncio.sleep(0)
        os.write(stream.w, b"bytes")
        for _ in range(turns):
            await asyncio.sleep(0.001 if turns > 6 else 0)
        reader.cancel()
        (got,) = await asyncio.gather(reader, return_exceptions=True)
        taken: bytes = got if isinstance(got, bytes) else await receive(100)
        return taken

    async def program() -> list[bytes]:
        return [await attempt(turns) for turns in range(12)]

    assert run(program()) == [b"bytes"] * 12


@pytest.mark.parametrize("way", ["bare", "borrowing", "owning"])
def test_what_a_thread_reads_for_a_cancelled_reader_goes_to_the_next_one(
    run: Any, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A terminal: the thread has begun when the reader is cancelled."""
    stream = ends("terminal")
    jobs: list[Callable[[], None]] = []

    def hold(job: Callable[[], None]) -> bool:
        jobs.append(job)
        return True

    monkeypatch.setattr(threads, "start", hold)
    owning, borrowing = Descriptor.owning(stream.r, None), Descriptor.borrowing(stream.r)

    def receive() -> Any:
        if way == "bare":
            return aio.read(stream.r, 100, 0)
        return (owning if way == "owning" else borrowing).receive(100)

    async def program() -> None:
        reader = asyncio.ensure_future(receive())
        os.write(stream.w, b"bytes")
        while not jobs:
            await asyncio.sleep(0.001)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        following = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        jobs.pop()()
        assert await following == b"bytes"

    run(program())
    for fd in stream:
        os.close(fd)


def test_a_reader_that_timed_out_has_taken_nothing(run: Any, stream: Ends, receive: Any) -> None:
    async def program() -> None:
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(receive(10), 0.01)
        os.write(stream.w, b"later")
        assert await receive(10) == b"later"

    run(program())


def test_many_readers_get_every_byte_once(run: Any, stream: Ends, receive: Any) -> None:
    async def program() -> bytes:
        readers = [asyncio.ensure_future(receive(1)) for _ in range(50)]
        await asyncio.sleep(0.01)
        for reader in readers[::2]:
            reader.cancel()
        for i in range(25):
            os.write(stream.w, b"%c" % (65 + i))
            await asyncio.sleep(0)
        got = await asyncio.gather(*readers, return_exceptions=True)
        return b"".join(sorted(data for data in got if isinstance(data, bytes)))

    assert run(program()) == bytes(range(65, 90))


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("way", ["bare", "borrowing", "owning"])
def test_a_cancelled_write_stops_at_what_has_gone_and_says_how_much(
    run: Any, kind: str, way: str
) -> None:
    stream = ends(kind)

    async def program() -> None:
        if way == "bare":
            write = aio.write(stream.w, b"x" * 1_000_000, 0)
        else:
            made = Descriptor.borrowing if way == "borrowing" else lambda fd: Descriptor(fd)
            write = made(stream.w).pwrite(b"x" * 1_000_000, 0)
        task = asyncio.ensure_future(write)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        gone: int = raised.value.characters_written  # type: ignore[attr-defined]  # only then
        assert 0 < gone < 1_000_000
        assert any(f"{gone} of 1000000 bytes" in note for note in raised.value.__notes__)
        await asyncio.sleep(0.01)
        os.set_blocking(stream.r, False)
        got = 0
        while True:
            try:
                got += len(os.read(stream.r, 1 << 20))
            except BlockingIOError:
                break
            await asyncio.sleep(0)
        assert got == gone

    run(program())
    for fd in stream:
        os.close(fd)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_send_gives_some_and_a_cancelled_send_none(run: Any, kind: str) -> None:
    stream = ends(kind)

    async def program() -> None:
        descriptor = Descriptor.owning(stream.w, None)
        put = 0
        data = bytes(i % 251 for i in range(2_000_000))
        while True:
            try:
                put += await asyncio.wait_for(descriptor.send(data[put:]), 0.05)
            except TimeoutError:
                break
        got = bytearray()

        def drain() -> None:
            while len(got) < len(data):
                got.extend(os.read(stream.r, 1 << 16))

        reader = threading.Thread(target=drain)
        reader.start()
        while put < len(data):
            put += await descriptor.send(data[put:])
        await asyncio.get_running_loop().run_in_executor(None, reader.join)
        assert got == data

    run(program())
    for fd in stream:
        os.close(fd)


def test_writes_to_a_pipe_follow_each_other_though_one_in_between_is_cancelled(run: Any) -> None:
    r, w = os.pipe()

    async def program() -> bytes:
        first = asyncio.ensure_future(aio.write(w, b"1" * 200_000, 0))
        second = asyncio.ensure_future(aio.write(w, b"2" * 10, 0))
        third = asyncio.ensure_future(aio.write(w, b"3" * 10, 0))
        await asyncio.sleep(0.01)
        second.cancel()
        got = b""
        while len(got) < 200_010:
            got += await aio.read(r, 1 << 16, 0)
        assert await first == 200_000
        assert await third == 10
        return got

    assert run(program()) == b"1" * 200_000 + b"3" * 10
    os.close(r)
    os.close(w)


def test_a_write_that_finds_room_does_not_overtake_one_that_waits(run: Any) -> None:
    r, w = os.pipe()

    async def program() -> bytes:
        first = asyncio.ensure_future(aio.write(w, b"1" * 100_000, 0))
        await asyncio.sleep(0.01)
        got = os.read(r, 1 << 16)
        second = asyncio.ensure_future(aio.write(w, b"2" * 10, 0))
        while len(got) < 100_010:
            got += await aio.read(r, 1 << 16, 0)
        assert list(await asyncio.gather(first, second)) == [100_000, 10]
        return got

    assert run(program()) == b"1" * 100_000 + b"2" * 10
    os.close(r)
    os.close(w)


def test_an_interrupted_reader_gets_the_error_and_the_number_may_be_closed(run: Any) -> None:
    async def program() -> None:
        r, w = os.pipe()
        descriptor = Descriptor.owning(r, None)
        reader = asyncio.ensure_future(descriptor.receive(10))
        await asyncio.sleep(0.01)
        descriptor.interrupt(ValueError("closed"))
        descriptor.close(lambda: os.close(r))
        again, other = os.pipe()
        with pytest.raises(ValueError, match="closed"):
            await reader
        assert os.write(other, b"x") == 1
        assert await aio.read(again, 1, 0) == b"x"
        for fd in (w, again, other):
            os.close(fd)

    run(program())


@pytest.fixture
def wakes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows whenever the epoll descriptor wakes a loop."""
    ready, times = Poller._ready, []

    def counted(poller: Poller) -> None:
        times.append(1)
        ready(poller)

    monkeypatch.setattr(Poller, "_ready", counted)
    return times


def test_an_idle_loop_with_a_waiting_reader_sleeps(run: Any, wakes: list[int]) -> None:
    """An entry that stays in the epoll descriptor would wake it again and again."""
    r, w = os.pipe()

    async def program() -> None:
        descriptor = Descriptor.owning(r, None)
        for _ in range(3):
            reader = asyncio.ensure_future(descriptor.receive(10))
            await asyncio.sleep(0.01)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        bare = asyncio.ensure_future(aio.read(r, 1, 0))
        await asyncio.sleep(0.01)
        os.write(w, b"xy")
        assert await bare == b"x"
        wakes.clear()
        await asyncio.sleep(0.1)
        assert wakes == []
        assert await descriptor.receive(5) == b"y"

    run(program())
    os.close(r)
    os.close(w)


def test_an_interrupted_reader_leaves_nothing_that_wakes_the_loop(
    run: Any, wakes: list[int]
) -> None:
    """Its open file lives on in another descriptor, and has something to read."""
    r, w = os.pipe()
    other = os.dup(r)

    async def program() -> None:
        descriptor = Descriptor.owning(r, None)
        reader = asyncio.ensure_future(descriptor.receive(10))
        await asyncio.sleep(0.01)
        descriptor.interrupt(ValueError("closed"))
        descriptor.close(lambda: os.close(r))
        os.write(w, b"x")
        await asyncio.sleep(0.1)
        assert wakes == []
        assert isinstance(reader.exception(), ValueError)

    run(program())
    os.close(w)
    os.close(other)


def test_a_terminal_is_read_line_by_line(run: Any) -> None:
    ours, theirs = pty.openpty()

    async def program() -> None:
        read = asyncio.ensure_future(aio.read(theirs, 100, 0))
        await asyncio.sleep(0.01)
        os.write(ours, b"half a")
        await asyncio.sleep(0.02)
        assert not read.done()
        os.write(ours, b" line\nnext\n")
        assert await read == b"half a line\n"
        assert await aio.read(theirs, 100, 0) == b"next\n"

    run(program())
    os.close(ours)
    os.close(theirs)


def test_an_error_of_a_stream_names_its_file(run: Any) -> None:
    r, w = os.pipe()
    os.close(r)

    async def program() -> None:
        await Descriptor.owning(w, None, "a pipe").send(b"x")

    with pytest.raises(BrokenPipeError) as raised:
        run(program())
    assert raised.value.filename == "a pipe"
    os.close(w)


def test_a_close_that_another_loop_refuses_interrupts_no_reader() -> None:
    """The read goes on in its own loop."""
    reader, writer = os.pipe()
    reading, refused = threading.Event(), threading.Event()
    files: list[aio.BinaryFile] = []
    got: list[bytes] = []

    async def user() -> None:
        file = await aio.open(reader, "rb")
        files.append(file)
        task = asyncio.ensure_future(file.read(5))
        while not file._order.held:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        reading.set()
        await asyncio.to_thread(refused.wait, 20)
        got.append(await asyncio.wait_for(task, 20))
        await file.close()

    async def other() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await files[0].close()
        os.write(writer, b"hello")

    thread = threading.Thread(target=lambda: asyncio.run(user()))
    thread.start()
    try:
        assert reading.wait(20)
        asyncio.run(other())
    finally:
        refused.set()
        thread.join(30)
        os.close(writer)
    assert got == [b"hello"]
