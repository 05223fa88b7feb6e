"""Jobs of C: threads of aio_posix.asyncio do them without the GIL (csrc/engine/jobs.h)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadline import eventually
from fresh import output

import aio_posix.asyncio as aio
from aio_posix._calls import Ended, Jobs, OpenCall, Writes
from aio_posix.asyncio import exits, jobs, threads
from aio_posix.asyncio.bell import Bell
from aio_posix.asyncio.descriptors import ring
from aio_posix.asyncio.files import opening
from aio_posix.sigevent import address


@pytest.fixture
def ended() -> Ended:
    bell = Bell()
    return Ended(address(bell.c))


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    number = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    yield number
    with contextlib.suppress(OSError):
        os.close(number)


def eventfds() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found += "eventfd" in os.readlink(f"/proc/self/fd/{name}")
    return found


@pytest.mark.skipif(sys.implementation.cache_tag.endswith("t"), reason="there is no GIL")
def test_a_thread_does_a_job_while_another_keeps_the_gil(ended: Ended, fd: int) -> None:
    interval = sys.getswitchinterval()
    warm = Writes(ended)
    assert threads.start(warm)  # a thread has the GIL once, to begin
    assert eventually(lambda: warm.done)
    job = Writes(ended)
    job.add(fd, b"data", 0)
    sys.setswitchinterval(1000)
    try:
        assert threads.start(job)
        for _ in range(1 << 30):
            if job.done:
                break
        else:
            pytest.fail("no thread did it")
    finally:
        sys.setswitchinterval(interval)
    assert os.pread(fd, 10, 0) == b"data"


def test_a_job_is_done_once_whoever_comes_first(ended: Ended, fd: int) -> None:
    position = os.lseek(fd, 0, os.SEEK_CUR)
    jobs = [Writes(ended) for _ in range(200)]
    for job in jobs:
        job.add(fd, b"x", -1)
        assert threads.start(job)
        job()
    assert eventually(lambda: all(job.done for job in jobs))
    assert os.lseek(fd, 0, os.SEEK_CUR) == position + len(jobs)


def test_a_job_that_was_called_before_goes_into_no_line(ended: Ended, fd: int) -> None:
    job, line = Writes(ended), Jobs()
    job()
    assert job.done
    assert line.put(job)
    assert line.waiting == 0


def test_nothing_is_added_to_a_job_in_a_line(ended: Ended, fd: int) -> None:
    job, line = Writes(ended), Jobs()
    assert job.add(fd, b"one", 0) == 0
    assert not line.put(job)
    assert job.add(fd, b"two", 0) == -1
    assert line.get(0.0) is None
    assert job.done
    assert os.pread(fd, 10, 0) == b"one"


def test_a_line_gives_jobs_of_python_to_who_takes_them_in_their_order() -> None:
    line, calls = Jobs(), [lambda: 1, lambda: 2]
    for call in calls:
        line.put(call)
    assert line.waiting == 2
    assert [line.get(0.0), line.get(0.0), line.get(0.0)] == [*calls, None]
    assert line.begun == 2


def test_a_burst_wakes_all_who_are_idle() -> None:
    """The first wakes one thread, which may be blocked before the next job comes."""
    pool, gate, began = threads.Threads(), threading.Event(), threading.Semaphore(0)

    def block() -> None:
        began.release()
        gate.wait()

    try:
        for _ in range(2):  # the second time there are threads that sleep
            for _ in range(4):
                assert pool.start(block)
            for _ in range(4):
                assert began.acquire(timeout=threads.IDLE / 3)
            gate.set()
            assert eventually(lambda: pool.idle == 4)
            gate.clear()
    finally:
        gate.set()


def test_each_write_says_how_far_it_came_and_why_no_further(ended: Ended, fd: int) -> None:
    job = Writes(ended)
    full = os.open("/dev/full", os.O_WRONLY)
    for number, data in ((full, b"nowhere"), (fd, b"here")):
        job.add(number, data, 0)
    job.closes = full
    job()
    assert [job.result(0), job.result(1)] == [(0, errno.ENOSPC), (4, 0)]
    assert job.error == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(full)


def test_what_is_asked_of_a_write_that_is_not_there_or_not_done_raises(
    ended: Ended, fd: int
) -> None:
    job = Writes(ended)
    job.add(fd, b"x", 0)
    for done in (False, True):
        if done:
            job()
        for place in (-1, 1) if done else (0,):
            with pytest.raises(IndexError, match="no such write is done"):
                job.result(place)


def test_a_file_that_was_opened_for_nobody_is_closed(ended: Ended, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for abandon in (False, True):
        before = len(os.listdir("/proc/self/fd"))
        call = OpenCall(ended, str(tmp_path / "file"), os.O_RDONLY)
        if abandon:
            call.abandon()
        call()
        assert len(os.listdir("/proc/self/fd")) == before + (not abandon)
        ended.collect([])
        del call
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_was_opened_is_taken_once(ended: Ended, tmp_path: Path) -> None:
    call = OpenCall(ended, os.fsencode(tmp_path), os.O_RDONLY)
    with pytest.raises(RuntimeError, match="no open file"):
        call.take()
    call()
    with pytest.raises(IsADirectoryError):
        call.take()
    (tmp_path / "file").touch()
    call = OpenCall(ended, str(tmp_path / "file"), os.O_RDONLY)
    call()
    os.close(call.take()[0])
    with pytest.raises(RuntimeError, match="no open file"):
        call.take()


def test_a_path_that_is_none_raises_before_there_is_a_job(ended: Ended) -> None:
    with pytest.raises(ValueError, match="null"):
        OpenCall(ended, "a\0b", 0)
    with pytest.raises(TypeError):
        OpenCall(ended, "path", "flags")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Ended"):
        Writes(None)  # type: ignore[arg-type]


def test_an_open_that_blocks_keeps_no_eventfd_of_a_closed_loop(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(opened(fifo), 0.05)

    async def opened(path: Path) -> None:
        await aio.open(path, "rb")

    before = eventfds()
    try:
        asyncio.run(give_up())
        gc.collect()
        assert eventfds() == before
    finally:
        os.close(os.open(fifo, os.O_WRONLY))


def test_jobs_of_a_closed_loop_are_done_and_forgotten(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def leave() -> list[asyncio.Task[None]]:
        file = await aio.open(tmp_path / "file", "ab")
        files.append(file)
        await file.write(b"all of it")
        task = asyncio.ensure_future(file.flush())
        while not exits._owed:
            await asyncio.sleep(0)
        return [task]

    files: list[aio.BinaryFile] = []
    asyncio.run(leave())  # which cancels the task
    assert eventually(lambda: (tmp_path / "file").read_bytes() == b"all of it")
    assert eventually(lambda: not exits._owed)
    asyncio.run(files.pop().close())
    assert (tmp_path / "file").read_bytes() == b"all of it"


def test_who_gets_raw_may_close_it_and_what_was_written_went_to_its_own_file(
    tmp_path: Path,
) -> None:
    async def program() -> None:
        for number in range(50):
            file = await aio.open(tmp_path / "ours", "ab")
            await file.write(b"x")
            flush = asyncio.ensure_future(file.flush())
            for _ in range(number % 4):
                await asyncio.sleep(0)
            file.raw.close()
            with open(tmp_path / "other", "wb"):  # has the number now
                await asyncio.gather(flush, return_exceptions=True)
            with contextlib.suppress(OSError, ValueError):
                await file.close()
            assert (tmp_path / "other").read_bytes() == b""

    asyncio.run(program())


def test_a_burst_of_opens_waits_for_none_that_blocks(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def made(number: int) -> None:
        async with aio.open(tmp_path / str(number), "wb") as file:
            await file.write(b"x")

    async def program() -> None:
        blocked = [asyncio.ensure_future(opened()) for _ in range(threads.USUAL + 2)]
        await asyncio.gather(*map(made, range(40)))
        assert not any(task.done() for task in blocked)
        writer = os.open(fifo, os.O_RDWR)
        await asyncio.gather(*blocked)
        os.close(writer)

    async def opened() -> None:
        async with aio.open(fifo, "rb"):
            pass

    asyncio.run(asyncio.wait_for(program(), 30))
    assert all((tmp_path / str(number)).read_bytes() == b"x" for number in range(40))


class Stop(Exception):
    """As a signal handler raises it, between two lines of asyncio/jobs.py."""


@pytest.mark.parametrize("line", range(1, 60))
def test_a_signal_handler_that_raises_loses_no_end_of_a_job(tmp_path: Path, line: int) -> None:
    lines, interrupted = 0, set[int]()

    def trace(frame: types.FrameType, event: str, arg: object) -> object:
        nonlocal lines
        if frame.f_code.co_filename != jobs.__file__ or frame.f_code.co_name == "close":
            return trace  # the end of another loop may be collected now
        lines += event == "line"
        if lines == line:
            raise Stop
        return trace

    async def program() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        file = await aio.open(tmp_path / "file", "ab")
        sys.settrace(trace)
        for number in range(3):
            await file.write(b"%d" % number)
            try:
                await file.flush()
            except Stop:
                interrupted.update(b"%d" % number)  # before or after it was handed over
        sys.settrace(None)
        await asyncio.wait_for(file.close(), 20)

    before = sys.gettrace()
    try:
        asyncio.run(program())
    finally:
        sys.settrace(before)
    found = (tmp_path / "file").read_bytes()
    assert len(found) == len(set(found))
    assert set(b"012") - set(found) <= interrupted


def test_writes_that_were_interrupted_before_they_were_handed_over_hold_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def program() -> None:
        first, second = await aio.open(tmp_path / "1", "ab"), await aio.open(tmp_path / "2", "ab")
        await first.write(b"one")
        with monkeypatch.context() as patch:
            patch.setattr(jobs.Jobs, "soon", interrupted)
            with pytest.raises(Stop):
                await first.flush()
        await second.write(b"two")
        await asyncio.wait_for(second.flush(), 10)
        await second.close()
        await first.close()

    def interrupted(self: jobs.Jobs, job: object) -> None:
        raise Stop

    asyncio.run(program())
    assert (tmp_path / "2").read_bytes() == b"two"


def test_an_end_that_finds_no_memory_is_collected_the_next_time(ended: Ended) -> None:
    testcapi = pytest.importorskip("_testcapi")
    finished, found = [Writes(ended) for _ in range(3)], list[object]()
    for job in finished:
        job()
    testcapi.set_nomemory(0, 1)
    try:
        ended.collect(found)
    except MemoryError:
        pass
    finally:
        testcapi.remove_mem_hooks()
    assert found == []
    assert ended.out == 3
    ended.collect(found)
    assert found == finished
    assert ended.out == 0


def test_the_error_of_the_last_write_says_how_much_was_written(tmp_path: Path) -> None:
    program = f"""
    import asyncio, resource, signal
    import aio_posix.asyncio as aio
    async def main():
        file = await aio.open({str(tmp_path / "file")!r}, "wb")
        await file.write(bytes(100))
        await file.flush()
        await file.write(bytes(5000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2100, 2100))
        try:
            await file.close()
        except OSError as error:
            print(error.errno, error.characters_written)
    asyncio.run(main())
    """
    assert output(program) == f"{errno.EFBIG} 2000\n"


def test_a_thread_whose_job_raised_is_not_counted_any_more() -> None:
    pool, raised = threads.Threads(), []

    def fail() -> None:
        raise Stop

    hook, sys.unraisablehook = sys.unraisablehook, raised.append
    try:
        assert pool.start(fail)
        assert eventually(lambda: raised and pool._number == 0)
    finally:
        sys.unraisablehook = hook


def test_where_no_thread_can_be_made_the_loop_does_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class None_(threads.Threads):
        def _more(self) -> bool:
            return False

    monkeypatch.setattr(threads, "_ours", None_())

    async def program() -> None:
        async with aio.open(tmp_path / "file", "wb") as file:
            await file.write(b"one")
            await file.flush()
            assert (tmp_path / "file").read_bytes() == b"one"
            await file.write(b"two")

    asyncio.run(program())
    assert (tmp_path / "file").read_bytes() == b"onetwo"


def test_an_open_of_an_executor_is_done_there(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    by: list[str] = []

    class Call(opening.Call):
        def __call__(self) -> None:
            by.append(threading.current_thread().name)
            super().__call__()

    async def program() -> None:
        with ThreadPoolExecutor(1, "mine") as executor:
            async with aio.open(tmp_path / "file", "wb", executor=executor) as file:
                await file.write(b"data")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "Call", Call)
        asyncio.run(program())
    assert by == ["mine_0"]
    assert (tmp_path / "file").read_bytes() == b"data"


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_a_cancelled_close_whose_loop_closes_under_a_large_write_ends(
    tmp_path: Path, mode: str
) -> None:
    """What the close waits for is not kept by the close."""

    async def leave() -> None:
        file = await aio.open(tmp_path / "file", mode)
        await file.write(bytes(300_000))
        task = asyncio.ensure_future(file.close())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    def left() -> list[str]:
        found = []
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"/proc/self/fd/{name}"))
        return [name for name in found if name.startswith(str(tmp_path))]

    def closed() -> bool:
        gc.collect()
        return not left()

    with pytest.MonkeyPatch.context() as patch:  # the loop hears of no end
        patch.setattr(ring.Ring, "_harvest", lambda self, whole=False: False)
        asyncio.run(leave())
    assert eventually(closed, 10)
