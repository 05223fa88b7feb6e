"""aio_posix.asyncio.open: what a file does beyond what the built-in would do, and what it must
never do.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import inspect
import io
import mmap
import os
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from deadline import eventually
from fresh import output

import aio_posix.asyncio as aio
from aio_posix.asyncio import turn

T = TypeVar("T")
MODES = [
    "r",
    "w",
    "a",
    "x",
    "r+",
    "w+",
    "a+",
    "x+",
    "rb",
    "wb",
    "ab",
    "xb",
    "r+b",
    "w+b",
    "a+b",
    "x+b",
    "rt",
    "br+",
]


def run(program: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(program, 60))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "lines").write_bytes(b"".join(b"line %d\n" % i for i in range(5000)))
    return tmp_path / "lines"


# --- opening


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_the_builtin(tmp_path: Path, mode: str) -> None:
    path, other = tmp_path / "f", tmp_path / "g"
    if "x" not in mode:
        path.write_text("old")
        other.write_text("old")

    async def program() -> None:
        async with aio.open(path, mode) as file:
            with open(other, mode) as builtin:
                assert (file.mode, file.name, file.closed) == (builtin.mode, str(path), False)
                assert await file.readable() == builtin.readable()
                assert await file.writable() == builtin.writable()
                assert await file.seekable()
                assert not await file.isatty()
                assert os.path.samestat(os.fstat(file.fileno()), os.stat(path))
        assert file.closed

    run(program())


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("missing",), FileNotFoundError),
        (("/",), IsADirectoryError),
        (("/", "q"), ValueError),
        (("/", "rb", 1, "utf-8"), ValueError),
        ((sys.executable, "r", 0), ValueError),
        ((1.5,), TypeError),
    ],
)
def test_what_the_builtin_refuses_is_refused_with_the_same_words(
    args: Any, error: type[Exception]
) -> None:
    with pytest.raises(error) as theirs:
        open(*args)  # noqa: SIM115  # it fails
    with pytest.raises(error) as ours:
        run(aio.open(*args).__aenter__())
    assert str(ours.value) == str(theirs.value)


def test_an_opened_file_is_awaited_or_entered(path: Path) -> None:
    async def program() -> None:
        file = await aio.open(path)
        async with file as same:
            assert same is file
        opening = aio.open(path)
        assert (await opening) is (await opening)
        await (await opening).close()

    run(program())


def test_an_open_that_is_cancelled_leaves_no_descriptor(path: Path) -> None:
    async def program() -> None:
        for _ in range(50):
            task = asyncio.ensure_future(aio.open(path).__aenter__())
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await task).close()

    def descriptors() -> int:
        gc.collect()
        return sum(os.path.realpath(link) == str(path) for link in Path("/proc/self/fd").iterdir())

    run(program())
    assert eventually(lambda: descriptors() == 0)


def test_what_aio_cannot_do_runs_in_the_executor_that_was_given(path: Path) -> None:
    async def program() -> None:
        with ThreadPoolExecutor(1, "mine") as executor:
            names = []

            def opener(name: str, flags: int) -> int:
                import threading

                names.append(threading.current_thread().name)
                return os.open(name, flags)

            async with aio.open(path, opener=opener, executor=executor):
                assert names == ["mine_0"]

    run(program())


def test_a_descriptor_of_somebody_else_is_left_open_and_at_the_position_reached(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)

    async def program() -> None:
        async with aio.open(fd, "rb", closefd=False) as file:
            assert (await file.read(7), file.name) == (b"line 0\n", fd)
            await file.seek(14)
        assert os.read(fd, 6) == b"line 2"
        async with aio.open(fd, "r+b", closefd=False) as file:
            await file.write(b"!")
        assert os.lseek(fd, 0, os.SEEK_CUR) == 21

    run(program())
    os.close(fd)


# --- order


def test_writes_of_many_tasks_land_in_the_order_of_the_calls(tmp_path: Path) -> None:
    async def program(mode: str) -> None:
        async with aio.open(tmp_path / mode, mode) as file:
            await asyncio.gather(*(file.write(b"%05d" % i * (1 + i % 700)) for i in range(2000)))

    for mode in ("wb", "ab"):
        run(program(mode))
        assert (tmp_path / mode).read_bytes() == b"".join(
            b"%05d" % i * (1 + i % 700) for i in range(2000)
        )


def test_readers_of_one_file_share_its_lines(path: Path) -> None:
    async def program() -> None:
        seen: list[str] = []

        async def reader() -> None:
            async for line in file:
                seen.append(line)
                await asyncio.sleep(0)

        async with aio.open(path) as file:
            await asyncio.gather(*(reader() for _ in range(20)))
        assert sorted(seen) == sorted(path.read_text().splitlines(keepends=True))

    run(program())


def test_a_sync_and_a_read_at_an_offset_come_after_what_was_written(path: Path) -> None:
    async def program() -> None:
        async with aio.open(path, "r+") as file:
            await file.write("Line")
            assert await file.pread(6, 0) == b"Line 0"
            await file.write("!")
            await file.fsync()
            assert path.read_bytes()[:6] == b"Line!0"
            await file.write("?")
            await file.fdatasync()
            assert path.read_bytes()[:6] == b"Line!?"
            assert await file.pwrite(b"LINE", 0) == 4
            await file.seek(0)
            assert await file.readline() == "LINE!?\n"

    run(program())


def test_reads_at_an_offset_leave_the_position_alone(path: Path) -> None:
    async def program() -> None:
        async with aio.open(path, "rb") as file:
            assert await file.readline() == b"line 0\n"
            ours = asyncio.gather(*(file.pread(6, 7 * i) for i in range(10)))
            buffer = bytearray(6)
            assert await file.readinto(buffer, 7) == 6
            assert (buffer, await ours) == (b"line 1", [b"line %d" % i for i in range(10)])
            assert (await file.tell(), await file.readline()) == (7, b"line 1\n")
            with pytest.raises(ValueError, match="negative"):
                await file.pread(1, -1)
            with pytest.raises(ValueError, match="negative"):
                await file.pread(-1, 1)
            with pytest.raises(io.UnsupportedOperation):
                await file.pwrite(b"x", 0)

    run(program())


def test_the_end_of_the_file_is_where_it_is_now(path: Path) -> None:
    async def program() -> None:
        for mode, end in (("r", ""), ("rb", b"")):
            async with aio.open(path, mode) as file:
                await file.read()
                assert await file.readline() == await file.read(5) == await file.read() == end
                with open(path, "a") as more:
                    more.write("more\n")
                assert await file.readline() in ("more\n", b"more\n")

    run(program())


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_a_line_longer_than_what_is_cut_at_once_is_found(path: Path, mode: str) -> None:
    path.write_bytes(b"short\n" + b"x" * 1_000_000 + b"\nshort\nno end")

    async def program() -> None:
        async with aio.open(path, mode) as file:
            with open(path, mode) as builtin:
                assert [line async for line in file] == list(builtin)

    run(program())


# --- closing


def test_close_with_400_writes_in_flight_writes_them_and_no_byte_elsewhere(tmp_path: Path) -> None:
    async def program() -> None:
        file = await aio.open(tmp_path / "f", "wb")
        number = file.fileno()
        writes = [
            asyncio.ensure_future(file.pwrite(bytes([i % 251]) * 65536, i * 65536))
            for i in range(400)
        ]
        await asyncio.sleep(0)
        await file.close()
        other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
        assert other == number, "the number is free"
        assert (tmp_path / "f").read_bytes() == b"".join(
            bytes([i % 251]) * 65536 for i in range(400)
        )
        assert await asyncio.gather(*writes) == [65536] * 400
        assert os.fstat(other).st_size == 0
        os.close(other)

    run(program())


def test_close_with_400_cancelled_writes_in_flight_sends_no_byte_elsewhere(tmp_path: Path) -> None:
    async def program() -> None:
        file = await aio.open(tmp_path / "f", "wb")
        number = file.fileno()
        writes = [asyncio.ensure_future(file.pwrite(b"x" * 65536, i * 65536)) for i in range(400)]
        await asyncio.sleep(0.001)
        for write in writes:
            write.cancel()
        await file.close()
        others = [os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT) for _ in range(40)]
        assert number in others
        await asyncio.gather(*writes, return_exceptions=True)
        await asyncio.sleep(0.05)
        assert os.fstat(others[0]).st_size == 0
        for other in others:
            os.close(other)

    run(program())


@pytest.mark.parametrize("mode", ["r", "rb", "w", "wb"])
def test_a_closed_file_says_so(path: Path, mode: str) -> None:
    async def program() -> None:
        file = await aio.open(path, mode)
        await file.close()
        await file.close()
        calls: list[Any] = [
            file.read,
            file.readline,
            file.readlines,
            file.tell,
            file.flush,
            file.fsync,
            file.isatty,
        ]
        calls += [lambda: file.write("x" if mode == "w" else b"x"), file.__anext__, file.__aenter__]
        for call in [*calls, lambda: file.seek(0), lambda: file.pread(1, 0)]:
            with pytest.raises(ValueError, match="closed"):
                await call()
        with pytest.raises(ValueError, match="closed"):
            file.fileno()

    run(program())


def test_close_ends_a_read_that_waits_for_a_pipe() -> None:
    r, w = os.pipe()

    async def program() -> None:
        file = await aio.open(r, "rb")
        reads = [asyncio.ensure_future(file.read(10)) for _ in range(3)]
        await asyncio.sleep(0.01)
        await file.close()
        for read in reads:
            with pytest.raises(ValueError, match="closed"):
                await read

    run(program())
    os.close(w)


def test_a_close_that_cannot_write_says_so_and_closes() -> None:
    async def program() -> None:
        file = await aio.open("/dev/full", "w")
        await file.write("x")
        with pytest.raises(OSError, match="/dev/full") as caught:
            await file.close()
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")
        assert file.closed

    run(program())


def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    program = f"""
import asyncio, errno, resource, signal
import aio_posix.asyncio as aio
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main():
    async with aio.open({str(tmp_path / "f")!r}, "wb") as file:
        await file.write(b"a" * 6000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
        try:
            await file.flush()
        except OSError as error:
            print(error.errno == errno.EFBIG, error.filename, await file.tell())
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        await file.write(b"b" * 6000)
asyncio.run(main())
"""
    assert output(program) == f"True {tmp_path / 'f'} 6000\n"
    assert (tmp_path / "f").read_bytes() == b"a" * 6000 + b"b" * 6000


def test_a_dropped_file_warns_and_has_written_what_it_was_given(tmp_path: Path) -> None:
    async def program() -> None:
        file = await aio.open(tmp_path / "f", "w")
        await file.write("kept")
        with pytest.warns(ResourceWarning, match="unclosed file"):
            del file

    run(program())
    assert (tmp_path / "f").read_text() == "kept"


def test_a_program_that_ends_without_close_has_written_all(tmp_path: Path) -> None:
    program = f"""
import asyncio
import aio_posix.asyncio as aio
async def main():
    global file
    file = await aio.open({str(tmp_path / "f")!r}, "w")
    await file.write("x" * 100)
asyncio.run(main())
"""
    output(program)
    assert (tmp_path / "f").read_text() == "x" * 100


def test_detach_gives_the_builtins_part_at_the_position_reached(path: Path) -> None:
    async def program() -> None:
        file = await aio.open(path, "r+b")
        assert await file.readline() == b"line 0\n"
        await file.write(b"L")
        raw = file.detach()
        assert isinstance(raw, io.FileIO)
        with raw:
            assert raw.read(6) == b"ine 1\n"
        with pytest.raises(ValueError, match="detached"):
            await file.read()
        text = await aio.open(path)
        with text.detach() as buffered:
            assert buffered.readline() == b"line 0\n"

    run(program())


# --- cancelling


def test_a_cancelled_read_of_a_pipe_loses_nothing() -> None:
    r, w = os.pipe()

    async def program() -> None:
        async with aio.open(r, "rb") as file:
            os.write(w, b"abc")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(file.read(6), 0.05)
            os.write(w, b"def")
            assert await file.read(6) == b"abcdef"

    run(program())
    os.close(w)


def test_a_cancelled_write_is_whole_or_not_there_and_the_next_one_comes_after_it(
    tmp_path: Path,
) -> None:
    async def program() -> None:
        sizes = []
        async with aio.open(tmp_path / "f", "wb", 0) as file:
            for i in range(200):
                task = asyncio.ensure_future(file.write(b"%03d" % i * 20000))
                for _ in range(i % 4):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                sizes.append(await file.tell())
        data = (tmp_path / "f").read_bytes()
        at = 0
        for i, size in enumerate(sizes):
            assert data[at:size] in (b"", b"%03d" % i * 20000)
            at = size
        assert at == len(data) > 0

    run(program())


def test_a_cancelled_readinto_keeps_the_memory_until_it_is_done(path: Path) -> None:
    async def program(*offset: int) -> None:
        async with aio.open(path, "rb", 0) as file:
            for buffering in range(50):
                buffer = bytearray(20000)
                task = asyncio.ensure_future(file.readinto(buffer, *offset))
                for _ in range(buffering % 5):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                del task  # in 3.10 it keeps the traceback of its end, and that the buffer
                while not resized(buffer):
                    await asyncio.sleep(0.001)

    def resized(buffer: bytearray) -> bool:
        try:
            buffer.append(1)
        except BufferError:
            gc.collect()
            return False
        return True

    before = aio.nowait(False)
    try:
        run(program())
        run(program(0))
    finally:
        aio.nowait(before)


def test_memory_stays_flat_while_reads_and_writes_are_cancelled(tmp_path: Path) -> None:
    program = f"""
import asyncio, random, resource
import aio_posix.asyncio as aio
aio.nowait(False)
async def some(file):
    tasks = [asyncio.ensure_future(file.pread(65536, 0) if i % 2 else file.write(b"x" * 65536))
             for i in range(200)]
    await asyncio.sleep(0.001)
    for task in random.sample(tasks, 100):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await file.seek(0)
async def main():
    async with aio.open({str(tmp_path / "f")!r}, "w+b") as file:
        for _ in range(15):
            await some(file)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(40):
            await some(file)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10)
asyncio.run(main())
"""
    assert output(program) == "True\n"


# --- where it runs


def test_a_file_goes_from_loop_to_loop(path: Path) -> None:
    file = run(aio.open(path).__aenter__())
    assert [run(file.readline()) for _ in range(3)] == ["line 0\n", "line 1\n", "line 2\n"]
    run(file.close())


def test_files_work_on_uvloop(path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def program() -> None:
        async with aio.open(path) as file, aio.open(path.with_name("copy"), "w") as copy:
            async for line in file:
                await copy.write(line)
            await copy.fsync()
        assert path.with_name("copy").read_bytes() == path.read_bytes()

    for fast in (True, False):
        before = aio.nowait(fast)
        loop = uvloop.new_event_loop()
        loop.run_until_complete(asyncio.wait_for(program(), 30))
        loop.close()
        aio.nowait(before)


@pytest.mark.parametrize("how", ["readline", "readlines", "for"])
def test_an_unbuffered_file_shows_what_was_written_after_a_line(tmp_path: Path, how: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a\n" + b"old " * 1000)

    async def program() -> bytes:
        async with aio.open(path, "rb", buffering=0) as file:
            if how == "readline":
                assert await file.readline() == b"a\n"
            elif how == "readlines":
                assert await file.readlines(1) == [b"a\n"]
            else:
                async for line in file:
                    assert line == b"a\n"
                    break
            path.write_bytes(b"a\n" + b"new " * 2000)
            return await file.read(20_000)

    assert run(program()) == b"new " * 2000


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_readlines_goes_on_until_its_hint_is_exceeded(tmp_path: Path, mode: str) -> None:
    (tmp_path / "f").write_bytes(b"a\n\n\nb\n\n")

    async def program() -> list[Any]:
        async with aio.open(tmp_path / "f", mode) as file:
            return [await file.readlines(1) for _ in range(3)]

    with open(tmp_path / "f", mode) as builtin:
        assert run(program()) == [builtin.readlines(1) for _ in range(3)]


@pytest.mark.parametrize("read", [lambda file: file.read(3), lambda file: file.read()])
def test_a_read_begins_where_a_write_that_waits_will_end(path: Path, read: Any) -> None:
    async def program() -> None:
        async with aio.open(path, "r+b") as file:
            await file.read(8)
            await file.seek(0)
            await file.write(b"LINE")
            data = await read(file)
            assert data[:3] == b" 0\n"
        assert path.read_bytes()[:8] == b"LINE 0\nl"

    run(program())


def test_lines_leave_other_tasks_their_turn(tmp_path: Path) -> None:
    """Counted, not timed: a loop that turns seldom would turn a few times only."""
    (tmp_path / "empty").write_text("\n" * 1_000_000)

    async def program() -> None:
        turns, reading = 0, True

        async def reader() -> None:
            nonlocal reading
            async with aio.open(tmp_path / "empty") as file:
                assert [line async for line in file] == ["\n"] * 1_000_000
            reading = False

        task = asyncio.ensure_future(reader())
        while reading:
            turns += 1
            await asyncio.sleep(0)
        await task
        assert turns > 5, turns

    run(program())


def test_writes_that_run_behind_leave_other_tasks_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "TURN", 0)

    async def program() -> None:
        turns, writing = 0, True

        async def writer() -> None:
            nonlocal writing
            async with aio.open(tmp_path / "new", "wb") as file:
                before = turns
                for _ in range(250):
                    await file.write(bytes(4096))
                assert turns - before >= 5, turns - before  # of 8 times that the buffer was full
            writing = False

        task = asyncio.ensure_future(writer())
        while writing and not task.done():
            turns += 1
            await asyncio.sleep(0)
        await task

    run(program())
    assert (tmp_path / "new").read_bytes() == bytes(250 * 4096)


def test_files_work_where_no_thread_can_be_made() -> None:
    program = """
import asyncio, concurrent.futures.thread, os, resource
import aio_posix.asyncio as aio
if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
fd = os.memfd_create("m")
async def main():
    async with aio.open(fd, "w+", closefd=False) as file:
        for i in range(1000):
            await file.write(f"line {i}\\n" * 20)
        await file.truncate()
        await file.seek(0)
        print(len([line async for line in file]))
asyncio.run(asyncio.wait_for(main(), 40))
"""
    assert output(program) == "20000\n"


def test_lines_of_a_pipe_come_as_they_are_written() -> None:
    r, w = os.pipe()

    async def program() -> None:
        async with aio.open(r) as file, aio.open(w, "w") as feeder:
            for i in range(3):
                await feeder.write(f"{i} ä")
                await feeder.flush()
                await feeder.write("\nrest")
                await feeder.flush()
                assert await file.readline() == f"{i} ä\n"
                assert await file.read(4) == "rest"
            await feeder.close()
            assert await file.read() == ""
            with pytest.raises(io.UnsupportedOperation):
                await file.tell()

    run(program())


# --- O_DIRECT


def direct(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_DIRECT, 0o600)


def test_a_file_opened_with_o_direct_reads_text_and_writes_blocks(tmp_path: Path) -> None:
    path = tmp_path / "direct"
    try:
        os.close(direct(str(path), os.O_CREAT | os.O_RDWR))
    except OSError:
        pytest.skip("no O_DIRECT on this file system")

    async def program() -> None:
        async with aio.open(path, "wb", opener=direct) as file:
            await file.write(b"line\n" * 4096)
            await file.write(b"last\n" * 4096)
        async with aio.open(path, opener=direct) as text:
            assert [line async for line in text] == ["line\n"] * 4096 + ["last\n"] * 4096
        async with aio.open(path, "r+b", 0, opener=direct) as raw:
            memory = mmap.mmap(-1, 4096)
            assert (await raw.readinto(memory), memory[:5]) == (4096, b"line\n")
            assert await raw.write(memory) == 4096
            assert await raw.readinto(bytearray(10)) == 10
            with pytest.raises(OSError, match="O_DIRECT needs") as caught:
                await raw.pwrite(b"x", 1)
            assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(path))

    run(program())


# memory of more than 32 MiB is unmapped when it is freed, so a use of it would crash or fail


def test_what_is_written_with_o_direct_stays_in_memory_until_it_is_written(tmp_path: Path) -> None:
    path = str(tmp_path / "direct")
    try:
        os.close(direct(path, os.O_CREAT | os.O_RDWR))
    except OSError:
        pytest.skip("no O_DIRECT on this file system")
    program = f"""
import asyncio, os, aio_posix.asyncio as aio
def direct(name, flags):
    return os.open(name, flags | os.O_DIRECT, 0o600)
data = b"aligned?" * (5 << 20)
async def main():
    async with aio.open({path!r}, "wb", opener=direct) as file:
        await file.write(data)
asyncio.run(main())
with open({path!r}, "rb") as file:
    print(file.read() == data)
"""
    assert output(program) == "True\n"


def test_a_view_of_aligned_memory_keeps_the_memory() -> None:
    """A read that is cancelled drops all but what its request exports."""
    program = """
from aio_posix.asyncio.memory import uncleared
view = uncleared(40 << 20)
view[-1] = 7
print(view[-1])
"""
    assert output(program) == "7\n"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is of 3.11")
def test_asyncio_timeout_ends_a_read() -> None:
    r, w = os.pipe()

    async def program() -> None:
        async with aio.open(r, "rb") as file:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await file.readline()
            os.write(w, b"later\n")
            assert await file.readline() == b"later\n"

    run(program())
    os.close(w)


@pytest.mark.parametrize(
    ("mode", "buffering", "call", "coroutines"),
    [
        ("rb", -1, lambda file: file.pread(9, 0), 2),
        ("rb", -1, lambda file: file.read(9), 3),
        ("rb", -1, lambda file: file.read(), 4),
        ("rb", -1, lambda file: file.readline(), 4),
        ("rb", 0, lambda file: file.read(9), 3),
        ("r", -1, lambda file: file.read(9), 4),
        ("r", -1, lambda file: file.readline(), 5),
    ],
)
def test_a_read_that_misses_passes_few_coroutines(
    tmp_path: Path, mode: str, buffering: int, call: Any, coroutines: int
) -> None:
    """Each costs when it is made, and again whenever the task goes on."""
    (tmp_path / "f").write_bytes(b"some text\n")

    async def program() -> None:
        async with aio.open(tmp_path / "f", mode, buffering) as file:
            awaited = read = call(file)
            read.send(None)
            passed = 0
            while inspect.iscoroutine(awaited):
                passed += 1
                awaited = awaited.cr_await
            read.close()
            assert passed == coroutines

    aio.nowait(False)
    try:
        run(program())
    finally:
        aio.nowait(True)
