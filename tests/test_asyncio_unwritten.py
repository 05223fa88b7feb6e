"""What waits in an awaited file: failed flushes, exits, drops, closed loops, forks."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from fresh import output, run
from loops import LOOPS, new_loop, run_on

import aio_posix.asyncio as aio


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


LIMITED = """
import asyncio, resource, signal, sys
import aio_posix.asyncio as aio
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
async def main(mode, size):
    async with aio.open("log", mode) as file:
        a, b = ("A", "B") if "b" not in mode else (b"A", b"B")
        await file.write(a * size)
        limit(size * 3 // 5)
        for _ in range(2):
            try:
                await file.flush()
            except OSError as error:
                print(error.strerror, error.filename, await file.tell() if "b" in mode else "")
        limit(resource.RLIM_INFINITY)
        await file.flush()
        await file.write(b * 10)
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
data = open("log", "rb").read()
print(data == b"A" * int(sys.argv[2]) + b"B" * 10)
"""


@pytest.mark.parametrize("mode", ["wb", "ab", "w", "a", "w+b", "a+b", "xb"])
@pytest.mark.parametrize("size", [1000, 100_000])
def test_the_rest_of_a_failed_flush_is_written_once_by_the_next_one(
    tmp_path: Path, mode: str, size: int
) -> None:
    program = LIMITED.replace("sys.argv[1]", repr(mode)).replace("int(sys.argv[2])", str(size))
    told = f"File too large log {size if 'b' in mode else ''}\n"
    assert output(program, cwd=tmp_path) == told * 2 + "True\n"


def test_a_large_write_that_fails_is_reported_and_written_later(tmp_path: Path) -> None:
    program = """
    import asyncio, resource, signal
    import aio_posix.asyncio as aio
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    async def main():
        data = [bytes([65 + i]) * 300_000 for i in range(20)]
        limit(1_000_000)
        failures = 0
        async with aio.open("file", "wb") as file:
            for piece in data:
                while True:
                    try:
                        await file.write(piece)
                        break
                    except OSError:
                        failures += 1
                        limit(resource.RLIM_INFINITY)
            while True:
                try:
                    await file.flush()
                    break
                except OSError:
                    failures += 1
                    limit(resource.RLIM_INFINITY)
        print(failures > 0, open("file", "rb").read() == b"".join(data))
    asyncio.run(main())
    """
    assert output(program, cwd=tmp_path) == "True True\n"


def test_writes_of_one_file_land_in_order_however_many_are_on_their_way(
    loop: str, tmp_path: Path
) -> None:
    pieces = [bytes([i % 251]) * (1 + i * 7919 % 400_000) for i in range(60)]

    async def program(mode: str) -> None:
        async with aio.open(tmp_path / mode, mode) as file:
            for piece in pieces:
                await file.write(piece)
            assert await file.tell() == sum(map(len, pieces))

    for mode in ("wb", "ab", "w+b"):
        run_on(loop, program(mode))
        assert (tmp_path / mode).read_bytes() == b"".join(pieces)


def test_memory_of_the_caller_is_free_when_a_write_returns(loop: str, tmp_path: Path) -> None:
    async def program() -> None:
        memory = bytearray(b"a" * 1_000_000)
        async with aio.open(tmp_path / "file", "wb") as file:
            await file.write(memory)
            memory[:] = b"b" * 1_000_000
            memory.append(1)
        assert (tmp_path / "file").read_bytes() == b"a" * 1_000_000

    run_on(loop, program())


def test_a_read_sees_what_was_written_before_it(loop: str, tmp_path: Path) -> None:
    async def program() -> None:
        async with aio.open(tmp_path / "file", "w+b") as file:
            await file.write(b"x" * 1_000_000)
            assert await file.pread(10, 999_990) == b"x" * 10
            await file.write(b"small")
            buffer = bytearray(8)
            assert (await file.readinto(buffer, 999_997), buffer) == (8, b"xxxsmall")
            await file.seek(1_000_000)
            await file.write(b"y" * 1_000_000)
            await file.seek(999_999)
            assert await file.read(2) == b"xy"
            assert await file.truncate(5) == 5
            await file.seek(0)
            assert await file.read() == b"x" * 5

    run_on(loop, program())


# --- the end of the program


@pytest.mark.parametrize("mode", ["w", "wb", "a", "ab", "w+", "w+b"])
@pytest.mark.parametrize("where", ["global", "cycle", "task"])
def test_what_waits_in_an_unclosed_file_is_written_at_exit(
    tmp_path: Path, mode: str, where: str
) -> None:
    keep = {
        "global": "global kept; kept = file",
        "cycle": "kept = [file]; kept.append(kept)",
        "task": "asyncio.get_running_loop().kept = file",
    }[where]
    program = f"""
    import asyncio
    import aio_posix.asyncio as aio
    async def main():
        file = await aio.open("file", {mode!r})
        await file.write({"b" if "b" in mode else ""}"x" * 100)
        {keep}
    asyncio.run(main())
    """
    run(program, cwd=tmp_path)
    assert (tmp_path / "file").read_text() == "x" * 100


def test_what_waits_for_a_pipe_is_written_at_exit_as_far_as_it_is_taken(tmp_path: Path) -> None:
    program = """
    import asyncio, sys
    import aio_posix.asyncio as aio
    async def main():
        global file
        file = await aio.open(sys.stdout.fileno(), "wb", closefd=False)
        await file.write(b"x" * 100_000)
    asyncio.run(main())
    """
    assert output(program, cwd=tmp_path) == "x" * 100_000


def test_a_close_that_was_cancelled_is_done_by_the_exit(tmp_path: Path) -> None:
    program = """
    import asyncio
    import aio_posix.asyncio as aio
    async def main():
        file = await aio.open("file", "wb")
        await file.write(b"x" * 100)
        closing = asyncio.ensure_future(file.close())
        await asyncio.sleep(0)
        closing.cancel()
    asyncio.run(main())
    """
    output(program, cwd=tmp_path)
    assert (tmp_path / "file").read_text() == "x" * 100


def test_a_dropped_file_has_written_what_waited(loop: str, tmp_path: Path) -> None:
    async def program(mode: str, size: int) -> None:
        file = await aio.open(tmp_path / "file", mode)
        await file.write(b"x" * size)
        with pytest.warns(ResourceWarning, match="unclosed file"):
            del file

    for mode in ("wb", "ab"):
        run_on(loop, program(mode, 100))
        assert (tmp_path / "file").read_bytes().count(b"x") == (100 if mode == "wb" else 200)


@pytest.mark.parametrize("mode", ["wb", "w", "r+b", "ab"])
def test_a_file_in_a_cycle_of_garbage_is_written_and_its_number_closed_once(
    tmp_path: Path, mode: str
) -> None:
    (tmp_path / "file").touch()
    closed: list[int] = []

    async def program() -> int:
        file = await aio.open(tmp_path / "file", mode)
        await file.write("kept" if mode == "w" else b"kept")
        holder: list[object] = [file]
        holder.append(holder)
        return int(file.fileno())

    def close(fd: int) -> None:
        closed.append(fd)
        os_close(fd)

    os_close = os.close
    gc.disable()
    try:
        number = run_on("asyncio", program())
    finally:
        gc.enable()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "close", close)
        with pytest.warns(ResourceWarning, match="unclosed"):
            gc.collect()
    assert closed.count(number) == 1
    assert (tmp_path / "file").read_text() == "kept"


def test_a_file_whose_loop_was_closed_with_writes_under_way_goes_on_in_the_next_one(
    loop: str, tmp_path: Path
) -> None:
    async def begin(mode: str) -> aio.BinaryFile:
        file: aio.BinaryFile = await aio.open(tmp_path / mode, mode)
        await file.write(b"a" * 500_000)
        return file

    async def end(file: aio.BinaryFile) -> None:
        await file.write(b"b" * 10)
        await file.flush()
        assert await file.tell() == 500_010
        await file.close()

    for mode in ("wb", "ab"):
        first = new_loop(loop)
        file = first.run_until_complete(begin(mode))
        first.close()
        run_on(loop, end(file))
        assert (tmp_path / mode).read_bytes() == b"a" * 500_000 + b"b" * 10


@pytest.mark.parametrize("mode", ["wb", "ab"])
@pytest.mark.parametrize("closed", [True, False])
def test_a_small_write_that_a_stopped_loop_had_not_handed_over_is_done_first_in_the_next_one(
    loop: str, tmp_path: Path, mode: str, closed: bool
) -> None:
    first = new_loop(loop)
    file = first.run_until_complete(opened(tmp_path / "f", mode, 16))
    run_and_no_further(first, file.write(b"a" * 100))
    if closed:
        first.close()

    async def end() -> None:
        await file.write(b"b" * 10)
        await file.close()

    run_on(loop, end())
    assert (tmp_path / "f").read_bytes() == b"a" * 100 + b"b" * 10
    first.close()


def test_a_large_write_of_another_loop_that_is_open_is_not_waited_for(
    loop: str, tmp_path: Path
) -> None:
    first = new_loop(loop)
    file = first.run_until_complete(opened(tmp_path / "f", "wb", 16))
    run_and_no_further(first, file.write(b"a" * 500_000))

    async def end() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await file.flush()

    run_on(loop, end())
    first.run_until_complete(file.close())
    first.close()
    assert (tmp_path / "f").read_bytes() == b"a" * 500_000


def run_and_no_further(loop: asyncio.AbstractEventLoop, call: Coroutine[Any, Any, Any]) -> None:
    """Stops the loop in the turn in which the call returns."""
    task = loop.create_task(call)
    while not task.done():
        loop.call_soon(loop.stop)
        loop.run_forever()


async def opened(path: Path, mode: str, buffering: int) -> aio.BinaryFile:
    file: aio.BinaryFile = await aio.open(path, mode, buffering)
    return file


@pytest.mark.parametrize("last", ["flush", "close"])
def test_what_is_appended_in_a_new_loop_follows_what_a_closed_loop_left_with_glibc(
    tmp_path: Path, last: str
) -> None:
    program = """
import asyncio, os, sys, threading
import aio_posix, aio_posix.asyncio as aio
aio_posix.aio_init(aio_threads=1)
r, w = os.pipe()
blocked = aio_posix.aiocb(r, bytearray(1))
aio_posix.aio_read(blocked)  # the only helper
async def begin():
    file = await aio.open(sys.argv[1], "ab")
    await file.write(b"a" * 500_000)
    return file
async def end(file):
    async with file:
        await file.write(b"b" * 10)
        await file.LAST()
file = asyncio.run(begin())
threading.Timer(0.3, os.write, (w, b"x")).start()
asyncio.run(end(file))
assert open(sys.argv[1], "rb").read() == b"a" * 500_000 + b"b" * 10
"""
    program = program.replace("LAST", last).replace("sys.argv[1]", repr(str(tmp_path / "log")))
    assert output(program) == ""


def test_nothing_is_left_open_after_a_failed_flush_and_close(loop: str) -> None:
    async def program() -> None:
        file = await aio.open("/dev/full", "wb")
        fd = file.fileno()
        await file.write(b"x")
        with pytest.raises(OSError, match="No space left"):
            await file.flush()
        with pytest.raises(OSError, match="No space left"):
            await file.close()
        assert file.closed
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)

    run_on(loop, program())


@pytest.mark.skipif(sys.platform != "linux", reason="the package is for Linux")
def test_files_that_are_inherited_work_in_a_forked_child(tmp_path: Path) -> None:
    program = """
    import asyncio, os, warnings
    import aio_posix.asyncio as aio
    warnings.simplefilter("ignore", DeprecationWarning)
    loop = asyncio.new_event_loop()
    text = loop.run_until_complete(aio.open("lines").__aenter__())
    log = loop.run_until_complete(aio.open("log", "ab").__aenter__())
    assert loop.run_until_complete(text.readline()) == "one\\n"
    child = os.fork()
    if not child:
        async def main():
            print(await text.readline(), end="", flush=True)
            await log.write(b"child\\n")
            await log.close()
            async with aio.open("log", "rb") as file:
                print(await file.read(), flush=True)
        asyncio.run(main())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    """
    (tmp_path / "lines").write_text("one\ntwo\n")
    assert output(program, cwd=tmp_path) == "two\nb'child\\n'\n"


def test_a_file_that_the_parent_was_using_raises_in_a_forked_child(tmp_path: Path) -> None:
    program = """
    import asyncio, os, warnings
    import aio_posix.asyncio as aio
    warnings.simplefilter("ignore", DeprecationWarning)
    async def main():
        r, w = os.pipe()
        file = await aio.open(r, "rb")
        reading = asyncio.ensure_future(file.read(1))
        await asyncio.sleep(0.05)
        child = os.fork()
        if not child:
            async def use():
                try:
                    await file.read(1)
                except RuntimeError as error:
                    print(error, flush=True)
            import threading
            thread = threading.Thread(target=asyncio.run, args=(use(),))
            thread.start()
            thread.join(5)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        os.write(w, b"x")
        print(await reading)
        await file.close()
    asyncio.run(main())
    """
    told = "the process that forked this one was using the file at that moment\nb'x'\n"
    assert output(program, cwd=tmp_path) == told


@pytest.mark.parametrize("use", ["readline", "flush", "behind"])
def test_close_of_a_file_that_the_parent_was_using_raises_in_a_forked_child(
    tmp_path: Path, use: str
) -> None:
    program = f"""
    import asyncio, os, signal, warnings
    import aio_posix.asyncio as aio
    warnings.simplefilter("ignore", DeprecationWarning)
    async def main():
        if {use!r} == "readline":
            r, w = os.pipe()
            file = await aio.open(r, "rb")
            task = asyncio.ensure_future(file.readline())
        else:
            file = await aio.open("file", "wb")
            await file.write(b"x" * (1_000_000 if {use!r} == "behind" else 1000))
            task = asyncio.ensure_future(file.flush())
        await asyncio.sleep(0)
        child = os.fork()
        if not child:
            signal.alarm(20)
            async def use():
                try:
                    await file.close()
                except RuntimeError as error:
                    print(error, file.closed, flush=True)
            asyncio.run(use())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        if {use!r} == "readline":
            os.write(w, b"line\\n")
        await task
        await file.close()
    asyncio.run(main())
    """
    told = "the process that forked this one was using the file at that moment True\n"
    assert output(program, cwd=tmp_path) == told


def test_a_close_that_was_interrupted_before_its_thread_began_is_done_at_exit(
    tmp_path: Path,
) -> None:
    program = """
    import asyncio
    import aio_posix.asyncio as aio
    from aio_posix.asyncio import threads
    start = threads.start
    def interrupted(job):
        raise KeyboardInterrupt
    async def main():
        file = await aio.open("file", "wb")
        await file.write(b"x" * 100)
        threads.start = interrupted
        try:
            await file.close()
        finally:
            threads.start = start
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
    """
    assert output(program, cwd=tmp_path) == "interrupted\n"
    assert (tmp_path / "file").read_text() == "x" * 100


def test_what_waits_is_written_when_a_block_is_collected_after_its_loop_was_closed(
    tmp_path: Path,
) -> None:
    program = """
    import asyncio, gc
    import aio_posix.asyncio as aio
    async def block():
        async with aio.open("file", "wb") as file:
            await file.write(b"precious")
            await asyncio.sleep(60)
    loop = asyncio.new_event_loop()
    task = loop.create_task(block())
    loop.run_until_complete(asyncio.sleep(0.2))
    loop.close()
    del task, loop
    gc.collect()
    """
    ended = run(program, cwd=tmp_path)
    assert "lost at exit" not in ended.stderr
    assert "no running event loop" not in ended.stderr
    assert (tmp_path / "file").read_bytes() == b"precious"
