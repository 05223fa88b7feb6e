"""The threads of aio_posix.asyncio that do what POSIX AIO has no call for."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from deadline import eventually
from fresh import output, run

from aio_posix.asyncio import threads
from aio_posix.asyncio.offload import offload

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


def test_jobs_that_block_hold_up_no_other() -> None:
    """Three times as many as there usually are threads."""
    go = threading.Event()
    ended: list[int] = []

    def block() -> None:
        go.wait(30)
        ended.append(1)

    async def program() -> None:
        blocked = [asyncio.ensure_future(offload(None, block)) for _ in range(3 * threads.USUAL)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(offload(None, int, "7"), 20) == 7
        assert not ended
        go.set()
        await asyncio.gather(*blocked)

    asyncio.run(program())
    assert len(ended) == 3 * threads.USUAL


def test_threads_are_used_again() -> None:
    pool, seen = threads.Threads(), set()
    for _ in range(100):
        done = threading.Event()

        def job(done: threading.Event = done) -> None:
            seen.add(threading.get_ident())
            done.set()

        assert pool.start(job)
        assert done.wait(10)
        assert eventually(lambda: pool.idle == 1, 10)  # it has come back
    assert len(seen) == 1


@pytest.mark.skipif(not GIL, reason="a thread runs at once")
def test_the_caller_does_not_wait_until_a_new_thread_runs() -> None:
    pool, ran = threads.Threads(), threading.Event()
    before = sys.getswitchinterval()
    sys.setswitchinterval(10)  # so nobody else gets the GIL unless this thread waits
    try:
        assert pool.start(ran.set)
        at_once = ran.is_set()
    finally:
        sys.setswitchinterval(before)
    assert not at_once
    assert ran.wait(10)


def test_an_idle_thread_keeps_nothing_of_its_first_job() -> None:
    """A job may hold the last reference to an open file."""

    class Job:
        def __call__(self) -> None:
            pass

    job = Job()
    gone = weakref.ref(job)
    pool = threads.Threads()
    assert pool.start(job)
    del job
    assert eventually(lambda: gone() is None, threads.IDLE / 2)
    assert pool._number == 1  # the thread still lives


def test_an_error_of_a_job_is_raised_where_it_is_awaited() -> None:
    async def program() -> None:
        await offload(None, os.fstat, 1 << 20)

    with pytest.raises(OSError, match="Bad file descriptor"):
        asyncio.run(program())


def test_a_job_goes_on_though_nobody_awaits_it_any_more() -> None:
    done = threading.Event()

    def job() -> None:
        time.sleep(0.05)
        done.set()

    async def program() -> None:
        task = asyncio.ensure_future(offload(None, job))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(program())
    assert done.wait(10)


def test_the_end_of_a_program_waits_for_no_job(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    program = f"""
import asyncio, os
from aio_posix.asyncio.offload import offload
async def main():
    path = {str(tmp_path / "fifo")!r}
    blocked = [asyncio.ensure_future(offload(None, os.open, path, 0)) for _ in range(20)]
    await asyncio.sleep(0.2)
    print("given up")
asyncio.run(main())
"""
    assert output(program) == "given up\n"


def test_jobs_are_done_where_no_thread_can_be_made() -> None:
    program = """
import asyncio, os, resource, threading
from aio_posix.asyncio.offload import offload
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
async def main():
    for _ in range(3):
        assert await offload(None, threading.get_ident) == threading.get_ident()
asyncio.run(main()); print("done")
"""
    ended = run(program)
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended


def test_idle_threads_end() -> None:
    pool = threads.Threads()
    before = threads.IDLE
    threads.IDLE = 0.05
    try:
        done = [threading.Event() for _ in range(5)]
        for event in done:
            assert pool.start(event.set)
        assert all(event.wait(10) for event in done)
        assert eventually(lambda: pool._number == 0, 10)
        again = threading.Event()
        assert pool.start(again.set)
        assert again.wait(10)
        assert eventually(lambda: pool._number == 0, 10)
    finally:
        threads.IDLE = before


@pytest.mark.parametrize("how", ["cancelled", "broken"])
def test_a_job_that_an_executor_drops_is_not_waited_for(how: str) -> None:
    class Dropping(Executor):
        def submit(self, *args: object, **kwargs: object) -> Future[Any]:
            job: Future[Any] = Future()
            if how == "cancelled":
                job.cancel()
                job.set_running_or_notify_cancel()
            else:
                job.set_exception(TypeError("cannot pickle it"))
            return job

    async def program() -> None:
        expected = asyncio.CancelledError if how == "cancelled" else TypeError
        with pytest.raises(expected):
            await asyncio.wait_for(offload(Dropping(), int), 10)

    asyncio.run(program())


def test_a_job_that_raises_stopiteration_is_not_waited_for() -> None:
    async def program() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.wait_for(offload(None, next, iter(())), 10)

    asyncio.run(program())
