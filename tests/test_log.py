"""logging under "aio_posix" is silent unless something is wrong."""

from __future__ import annotations

import logging
from typing import Any

import fresh
import pytest
from deadline import eventually

import aio_posix as aio

IMPOSSIBLE = 1 << 46  # bytes of stack: no thread can be made with it


def test_a_notification_that_glibc_lost_is_said_at_level_debug(
    file: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "aio_posix")
    told: list[Any] = []
    lost = aio.sigevent(
        aio.SIGEV_THREAD,
        sigev_notify_function=told.append,
        sigev_notify_attributes=IMPOSSIBLE,
    )
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=lost)
    aio.aio_read(cb)
    assert eventually(lambda: told)
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert "could not make the thread" in caplog.text


def test_a_notification_for_a_queue_that_glibc_lost_is_said_too(
    file: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "aio_posix")
    with aio.CompletionQueue() as queue:
        lost = aio.sigevent(
            aio.SIGEV_THREAD, sigev_notify_function=queue, sigev_notify_attributes=IMPOSSIBLE
        )
        aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=lost))
        assert len(queue.get(20)) == 1
    assert "could not make the thread" in caplog.text


def test_nothing_is_said_and_logging_not_imported_when_all_is_well() -> None:
    assert (
        fresh.output("""
        import os, sys
        from aio_posix import *
        fd, queue = os.memfd_create("m"), CompletionQueue()
        cb = aiocb(fd, b"data", aio_sigevent=queue.sigevent())
        aio_write(cb)
        assert queue.get(20) == [cb] and aio_return(cb) == 4
        print("logging" in sys.modules)
        """)
        == "False\n"
    )


def test_a_stuck_pool_is_warned_of_once_with_what_blocks_it() -> None:
    ended = fresh.run("""
        import asyncio, logging, os
        import aio_posix, aio_posix.asyncio as aa
        logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
        aio_posix.aio_init(aio_threads=1)
        r, w = os.pipe()
        blocked = aio_posix.aiocb(r, bytearray(1))
        aio_posix.aio_read(blocked)
        fd = os.memfd_create("m")
        async def main():
            for i in range(2):
                assert await asyncio.wait_for(aa.write(fd, b"data", i), 20) == 4
        asyncio.run(main())
        os.write(w, b"x")
        assert aio_posix.aio_suspend([blocked], 20)
        print(r)
        """)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("aio_posix WARNING glibc has") == 1, ended.stderr
    assert f"read of descriptor {int(ended.stdout)}" in ended.stderr
    assert "aio_init(aio_threads=...)" in ended.stderr


def test_writes_given_up_at_exit_are_said_by_the_log_of_a_program_that_has_one() -> None:
    ended = fresh.run(
        """
        import logging, os
        from aio_posix import *
        from aio_posix import flight
        logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
        flight.DRAIN = 0.5
        r, w = os.pipe()
        os.set_blocking(w, False)
        try:
            while True: os.write(w, bytes(65536))
        except BlockingIOError:
            os.set_blocking(w, True)
        aio_write(aiocb(w, b"lost"))
        """,
        "-W",
        "ignore",
    )
    assert ended.returncode == 0
    assert "aio_posix WARNING 1 requests lost at exit" in ended.stderr, ended.stderr
