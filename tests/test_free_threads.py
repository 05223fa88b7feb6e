"""Eight threads at one thing, and a loop in each of eight threads.

This proves most where Python has no GIL.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import fresh
import pytest
import races

import aio_posix
from aio_posix.asyncio import open as async_open

PROGRAM = Path(__file__).with_name("races.py")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


@pytest.mark.parametrize("name", races.RACES)
def test_threads_that_race_lose_nothing(name: str) -> None:
    command = [sys.executable, "-X", "faulthandler", "-W", "error", os.fspath(PROGRAM), name]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    ended = fresh.end(process)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "well\n", ""), ended


@pytest.mark.skipif(not FREE_THREADED, reason="this interpreter has a GIL")
def test_the_import_turns_no_gil_on() -> None:
    program = "import sys, aio_posix.asyncio; print(sys._is_gil_enabled())"
    command = [sys.executable, "-W", "error", "-c", program]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    assert subprocess.check_output(command, text=True, env=environment) == "False\n"


def test_a_file_in_use_in_another_loop_says_so() -> None:
    here, there = os.pipe()
    refused = []

    async def intrude(file: aio_posix.asyncio.BinaryFile) -> None:
        with pytest.raises(RuntimeError, match="in use in another event loop"):
            await file.read(1)
        refused.append(True)

    async def use() -> bytes:
        async with async_open(here, "rb") as file:
            reading = asyncio.ensure_future(file.read(1))
            await asyncio.sleep(0)
            await asyncio.to_thread(asyncio.run, intrude(file))
            os.write(there, b"x")
            return await reading

    assert asyncio.run(use()) == b"x"
    os.close(there)
    assert refused


def test_a_file_that_is_not_in_use_can_go_to_another_loop(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo\n")

    async def one() -> aio_posix.asyncio.BinaryFile:
        file = await async_open(path, "rb")
        assert await file.readline() == b"one\n"
        return file

    async def two(file: aio_posix.asyncio.BinaryFile) -> None:
        assert await file.readline() == b"two\n"
        await file.close()

    file = asyncio.run(one())
    thread = threading.Thread(target=lambda: asyncio.run(two(file)))
    thread.start()
    thread.join()
    assert file.closed
