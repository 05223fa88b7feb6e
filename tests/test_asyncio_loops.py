"""aio_posix.asyncio: loops that come and go, tasks that are cancelled, turns that stay short."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import random
import resource
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deadline import eventually

import aio_posix.asyncio as aio
from aio_posix import _calls, flight
from aio_posix.asyncio.descriptors import lists
from aio_posix.asyncio.descriptors.descriptor import Descriptor
from aio_posix.asyncio.loop import Line

BLOCK = 4096
LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]


@pytest.fixture
def no_fast_path() -> Iterator[None]:
    before = aio.nowait(False)
    yield
    aio.nowait(before)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    number = os.open(tmp_path / "blocks", os.O_RDWR | os.O_CREAT)
    os.write(number, b"".join(block(i) for i in range(256)))
    yield number
    os.close(number)


def block(i: int) -> bytes:
    return b"%08d" % i * (BLOCK // 8)


async def read_all(fd: int) -> None:
    assert await asyncio.gather(*(aio.read(fd, BLOCK, i * BLOCK) for i in range(256))) == [
        block(i) for i in range(256)
    ]


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "uvloop":
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()


@pytest.mark.usefixtures("no_fast_path")
@pytest.mark.parametrize("kind", LOOPS)
def test_one_loop_after_another(fd: int, kind: str) -> None:
    descriptor = Descriptor(fd)
    for _ in range(5):
        loop = new_loop(kind)
        loop.run_until_complete(asyncio.wait_for(read_all(fd), 30))
        assert loop.run_until_complete(descriptor.pread(BLOCK, BLOCK)) == block(1)
        loop.close()


@pytest.mark.parametrize("kind", LOOPS)
def test_several_loops_in_several_threads(fd: int, kind: str) -> None:
    done = []

    def program() -> None:
        loop = new_loop(kind)
        for _ in range(10):
            loop.run_until_complete(asyncio.wait_for(read_all(fd), 30))
        loop.close()
        done.append(1)

    aio.nowait(False)
    threads = [threading.Thread(target=program) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    aio.nowait(True)
    assert len(done) == 4


@pytest.mark.usefixtures("no_fast_path")
@pytest.mark.parametrize("kind", LOOPS)
def test_a_loop_that_closes_with_requests_in_flight_leaks_nothing(
    tmp_path: Path, kind: str
) -> None:
    path, data = tmp_path / "f", os.urandom(1 << 20)

    def once() -> None:
        loop = new_loop(kind)
        descriptor = Descriptor(number := os.open(path, os.O_RDWR | os.O_CREAT))
        os.close(number)

        async def program() -> None:
            for i in range(20):
                asyncio.ensure_future(descriptor.pwrite(data, i << 20)).add_done_callback(
                    lambda t: t.cancelled()
                )
            await asyncio.sleep(0.001)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        loop.run_until_complete(program())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        descriptor.close()

    for _ in range(3):
        once()
    assert eventually(
        lambda: not flight.in_flight() and not flight.owed() and open_descriptors(), 60
    )
    before = open_descriptors()
    for _ in range(20):
        once()
    assert eventually(lambda: open_descriptors() <= before, 60), (before, open_descriptors())


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.usefixtures("no_fast_path")
def test_200_cancellations_among_10000_reads_and_writes_lose_no_byte(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "mixed", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 5000 * 64)
    chance = random.Random(7)

    async def program() -> tuple[int, set[int]]:
        descriptor = Descriptor(fd)
        cancelled: set[int] = set()
        tasks: list[asyncio.Task[Any]] = []

        async def writer(i: int) -> None:
            assert await descriptor.pwrite(b"%08d" % i * 8, i * 64) == 64

        async def reader(i: int) -> None:
            data = await descriptor.pread(64, i * 64)
            assert data in (bytes(64), b"%08d" % i * 8)

        order = [("w", i) for i in range(5000)] + [("r", i) for i in range(5000)]
        chance.shuffle(order)
        moments = set(chance.sample(range(100, 10000), 200))
        for n, (kind, i) in enumerate(order):
            tasks.append(asyncio.ensure_future(writer(i) if kind == "w" else reader(i)))
            if n in moments:
                await asyncio.sleep(chance.choice([0, 0, 0.0002]))
                alive = [v for v, task in enumerate(tasks) if not task.done()]
                if alive and tasks[victim := chance.choice(alive)].cancel():
                    cancelled.add(victim)
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
        for number, result in enumerate(results):
            assert result is None or (
                isinstance(result, asyncio.CancelledError) and number in cancelled
            ), result
        lost = {order[n][1] for n in cancelled if order[n][0] == "w" and results[n] is not None}
        await descriptor.fsync()
        descriptor.close()
        return len(cancelled), lost

    count, lost = asyncio.run(program())
    assert count > 100
    content = os.pread(fd, 5000 * 64, 0)
    os.close(fd)
    for i in range(5000):
        piece = content[i * 64 : i * 64 + 64]
        assert piece == b"%08d" % i * 8 or (i in lost and piece == bytes(64)), f"block {i}"


@pytest.mark.usefixtures("no_fast_path")
def test_memory_stays_flat_while_tasks_are_cancelled(fd: int) -> None:
    async def program() -> int:
        descriptor = Descriptor(fd)

        async def some() -> None:
            tasks = [asyncio.ensure_future(descriptor.pread(65536, 0)) for _ in range(500)]
            await asyncio.sleep(0.001)
            for task in random.sample(tasks, 100):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        for _ in range(10):
            await some()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(30):
            await some()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert asyncio.run(program()) < 20 * 1024, "KiB"


@pytest.mark.usefixtures("no_fast_path")
def test_a_cancelled_write_that_waited_in_line_never_happens(fd: int) -> None:
    async def program() -> None:
        descriptor = Descriptor(fd)
        writes = [asyncio.ensure_future(descriptor.pwrite(block(i), 0)) for i in range(1000)]
        await asyncio.sleep(0)
        for write in writes[500:]:
            assert write.cancel()
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert results[:500] == [BLOCK] * 500
        await descriptor.fsync()

    asyncio.run(program())
    assert os.pread(fd, BLOCK, 0) == block(499)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_timeout_ends_the_wait_at_once(kind: str) -> None:
    r, w = os.pipe()

    async def program() -> None:
        begin = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.read(r, 10, 0), 0.05)
        assert time.monotonic() - begin < 5
        await aio.write(w, b"later", 0)
        assert await aio.read(r, 10, 0) == b"later"

    loop = new_loop(kind)
    loop.run_until_complete(program())
    loop.close()
    os.close(r)
    os.close(w)


@pytest.mark.usefixtures("no_fast_path")
def test_a_failure_that_nobody_awaits_any_more_makes_no_noise(fd: int) -> None:
    complaints = []

    async def program() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: complaints.append(context)
        )
        for _ in range(50):
            task = asyncio.ensure_future(aio.read(fd, 1, -1))
            await asyncio.sleep(0.0005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            del task
            gc.collect()

    asyncio.run(program())
    assert complaints == []


def test_resident_reads_leave_other_tasks_their_turn_and_all_the_same_share(fd: int) -> None:
    """Fairness is counted, not timed: no task gets less than half of what the mean gets."""

    async def program() -> None:
        counts, turns = [0] * 32, 0

        async def worker(i: int) -> None:
            while turns < 60:
                for _ in range(10):
                    await aio.read(fd, BLOCK, 0)
                    counts[i] += 1

        workers = asyncio.gather(*(worker(i) for i in range(32)))
        while turns < 60:
            turns += 1
            await asyncio.sleep(0)
        await workers
        assert min(counts) >= sum(counts) / 64, counts

    asyncio.run(asyncio.wait_for(program(), 30))


@pytest.mark.usefixtures("no_fast_path")
def test_two_thousand_readers_of_one_file_wait_in_a_line_of_ours(fd: int) -> None:
    async def program() -> None:
        reads = [aio.read(fd, BLOCK, i % 256 * BLOCK) for i in range(2000)]
        assert await asyncio.gather(*reads) == [block(i % 256) for i in range(2000)]

    asyncio.run(asyncio.wait_for(program(), 60))


class Refused(Exception):
    """Something goes wrong in the submission of a turn."""


@pytest.mark.usefixtures("no_fast_path")
@pytest.mark.parametrize("error", [MemoryError, Refused, KeyboardInterrupt])
def test_whatever_goes_wrong_in_a_turns_submission_every_request_of_it_is_done(
    fd: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, left = _calls.batch_submit, [3]

    def broken(*args: Any) -> int:
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return submit(*args)

    async def program() -> None:
        reads = [asyncio.ensure_future(aio.read(fd, BLOCK, i * BLOCK)) for i in range(100)]
        results.append(await asyncio.gather(*reads))

    results: list[list[bytes]] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    monkeypatch.setattr(lists, "batch_submit", broken)
    task = loop.create_task(program())
    for _ in range(4):
        try:
            loop.run_until_complete(asyncio.wait_for(asyncio.shield(task), 10))
        except KeyboardInterrupt:
            continue
        break
    loop.close()
    assert results == [[block(i) for i in range(100)]]
    assert eventually(lambda: not flight.in_flight(), 10)


@pytest.mark.usefixtures("no_fast_path")
def test_a_batch_is_submitted_when_an_interruption_comes_after(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = _calls.batch_submit

    def interrupted(*args: Any) -> int:
        submit(*args)
        monkeypatch.setattr(lists, "batch_submit", submit)
        raise Refused

    async def program() -> bytes:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        return await aio.read(fd, BLOCK, 0)

    monkeypatch.setattr(lists, "batch_submit", interrupted)
    assert asyncio.run(asyncio.wait_for(program(), 10)) == block(0)
    assert eventually(lambda: not flight.in_flight(), 10)


@pytest.mark.usefixtures("no_fast_path")
@pytest.mark.parametrize("kind", LOOPS)
def test_a_closed_loop_is_released_though_it_had_requests(tmp_path: Path, kind: str) -> None:
    """Nobody makes another ring or collects garbage; the loop's closing is enough."""
    new_loop(kind).close()  # libuv keeps what its first loop opens
    before = open_descriptors()
    loop = new_loop(kind)
    number = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    descriptor = Descriptor(number)
    os.close(number)

    async def program() -> None:
        for i in range(100):
            tasks.append(asyncio.ensure_future(descriptor.pwrite(b"x" * 65536, i << 16)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[int]] = []
    loop.run_until_complete(program())
    loop.close()
    descriptor.close()
    assert eventually(lambda: not flight.in_flight() and not flight.owed(), 60)
    for task in tasks:
        # They are meant to be pending.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    tasks.clear()
    del program, task
    assert eventually(lambda: open_descriptors() <= before, 10)
    dead = weakref.ref(loop)
    del loop
    assert dead() is None


@pytest.mark.usefixtures("no_fast_path")
@pytest.mark.parametrize("kind", LOOPS)
def test_a_closed_loop_needs_no_garbage_collection_to_give_its_descriptors_back(
    fd: int, kind: str
) -> None:
    r, w = os.pipe()

    def once() -> None:
        loop = new_loop(kind)
        loop.run_until_complete(asyncio.wait_for(read_all(fd), 30))
        os.write(w, b"x")
        assert loop.run_until_complete(aio.read(r, 1, 0)) == b"x"
        loop.close()

    once()
    gc.collect()
    gc.disable()
    try:
        assert eventually(lambda: not flight.in_flight(), 10)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            once()
        assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= before, 10)
    finally:
        gc.enable()
    os.close(r)
    os.close(w)


@pytest.mark.parametrize("kind", LOOPS)
def test_a_lock_whose_holder_was_in_a_closed_loop_begins_anew(kind: str) -> None:
    line, entered = Line(), []

    async def hold(name: str) -> None:
        with await line.turn():
            entered.append(name)
            await asyncio.Event().wait()

    async def first() -> list[asyncio.Task[None]]:
        tasks = [asyncio.ensure_future(hold(f"first {i}")) for i in range(3)]
        await asyncio.sleep(0)
        return tasks

    async def second() -> None:
        with await line.turn():
            entered.append("second")
            tasks.clear()
            gc.collect()  # ends the coroutines of the first loop
            other = asyncio.ensure_future(third())
            await asyncio.sleep(0.01)
            assert not other.done()
        await other

    async def third() -> None:
        with await line.turn():
            entered.append("third")

    loop = new_loop(kind)
    tasks = loop.run_until_complete(first())
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # they are meant to be
    del task
    loop.close()
    loop = new_loop(kind)
    loop.run_until_complete(asyncio.wait_for(second(), 10))
    loop.close()
    assert entered == ["first 0", "second", "third"]
    assert not line.held


@pytest.mark.parametrize("after", ["submit", "collect"])
def test_a_signal_handler_that_raises_in_a_turn_neither_repeats_nor_loses_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """As C returns to Python: what it has done must be known already."""
    name = f"batch_{after}"
    real, left = getattr(_calls, name), [3]

    def interrupted(*args: Any) -> Any:
        result = real(*args)
        if left[0]:
            left[0] -= 1
            raise Refused
        return result

    monkeypatch.setattr(lists, name, interrupted)
    descriptor = Descriptor(fd := os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    os.close(fd)

    async def program() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        for i in range(10):
            assert await descriptor.pwrite(b"%d" % i, 0) == 1
            write = descriptor.put(b"-", 0)
            assert await write.over() is None

    asyncio.run(asyncio.wait_for(program(), 20))
    assert (tmp_path / "log").read_bytes() == b"0-1-2-3-4-5-6-7-8-9-"
