"""aio_posix.asyncio: what a read, a write and a sync do, with the page cache's fast path and
without.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import mmap
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fresh import output

import aio_posix.asyncio as aio
from aio_posix.asyncio.descriptors import lists
from aio_posix.asyncio.descriptors.descriptor import Descriptor

CONTENT = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(params=[True, False], ids=["resident", "aio"])
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    before = aio.nowait(request.param)
    yield
    aio.nowait(before)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    number = os.open(path, os.O_RDWR)
    yield number
    os.close(number)


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 30))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("nbytes", "offset"), [(0, 0), (1, 5), (4096, 4096), (100, 1000), (len(CONTENT), 0)]
)
def test_a_read_gives_the_bytes_at_its_offset(fd: int, nbytes: int, offset: int) -> None:
    assert run(aio.read(fd, nbytes, offset)) == CONTENT[offset : offset + nbytes]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("nbytes", [100, 1 << 20, 5 << 20])
def test_a_read_ends_at_the_end_of_the_file(fd: int, nbytes: int) -> None:
    assert run(aio.read(fd, nbytes, len(CONTENT) - 10)) == CONTENT[-10:]
    assert run(aio.read(fd, nbytes, len(CONTENT))) == b""
    assert run(aio.read(fd, nbytes, len(CONTENT) + 5)) == b""


@pytest.mark.usefixtures("way")
def test_a_large_read_is_complete(tmp_path: Path) -> None:
    data = os.urandom(9 << 20)
    (tmp_path / "large").write_bytes(data)
    with open(tmp_path / "large", "rb") as file:
        assert run(aio.read(file, len(data) + 5, 3)) == data[3:]


@pytest.mark.parametrize("cached", range(5))
def test_a_read_of_which_the_page_cache_has_only_the_first_pages_is_complete(
    tmp_path: Path, cached: int
) -> None:
    data = b"".join(bytes([page]) * mmap.PAGESIZE for page in range(4)) + b"the end"
    (tmp_path / "file").write_bytes(data)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)  # nothing is read ahead
    os.pread(fd, cached * mmap.PAGESIZE, 0)
    assert asyncio.run(aio.read(fd, 2 * len(data), 0)) == data
    os.close(fd)


@pytest.mark.usefixtures("way")
def test_readinto_fills_the_buffer_or_ends_with_the_file(fd: int) -> None:
    buffer = bytearray(1000)
    assert run(aio.readinto(fd, buffer, 256)) == 1000
    assert buffer == CONTENT[:1000]
    assert run(aio.readinto(fd, memoryview(buffer)[:500], len(CONTENT) - 7)) == 7
    assert run(aio.readinto(fd, bytearray(), 0)) == 0


@pytest.mark.parametrize("way", [True, False], ids=["resident", "aio"])
@pytest.mark.parametrize("call", ["readinto(fd, buffer, 0)", "readinto_many(fd, [(buffer, 0)])"])
@pytest.mark.parametrize("lost", ["os.truncate(path, mmap.PAGESIZE)", "protect(memory)"])
def test_a_buffer_that_faults_in_the_middle_is_no_end_of_the_file(
    fd: int, tmp_path: Path, way: bool, call: str, lost: str
) -> None:
    program = f"""
    import asyncio, ctypes, mmap, os
    import aio_posix.asyncio as aio

    def protect(memory):
        libc = ctypes.CDLL(None, use_errno=True)
        first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        second = ctypes.c_void_p(first + mmap.PAGESIZE)
        assert libc.mprotect(second, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0

    fd, path = {fd}, {str(tmp_path / "mapped")!r}
    aio.nowait({way})
    with open(path, "wb+") as file:
        file.truncate(2 * mmap.PAGESIZE)
        memory = mmap.mmap(file.fileno(), 0)
    memory[:] = bytes(len(memory))
    {lost}
    buffer = memoryview(memory)[100:]
    try:
        print(asyncio.run(aio.{call}))
    except OSError as error:
        print(error.strerror)
    """
    assert output(program, pass_fds=[fd]) == "Bad address\n"


@pytest.mark.parametrize(
    "call",
    [
        "aio.read(fd, 4, 8)",
        "aio.readinto(fd, buffer, 8)",
        "file.pread(4, 8)",
        "file.readinto(buffer, 8)",
    ],
)
def test_a_read_that_is_cached_needs_no_other_descriptor(
    fd: int, tmp_path: Path, call: str
) -> None:
    try:
        os.preadv(fd, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError:
        pytest.skip("the page cache cannot be asked here")
    program = f"""
    import asyncio, os, resource
    import aio_posix.asyncio as aio

    async def main():
        fd, buffer = {fd}, bytearray(4)
        file = await aio.open({str(tmp_path / "content")!r}, "rb")
        await file.pread(4, 0)  # what a loop needs for its first read
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
        for _ in range(20):
            got = await {call}
        assert got in (4, {CONTENT[8:12]!r}), got
        print(bytes(buffer) if got == 4 else got)
        await file.close()

    asyncio.run(main())
    """
    assert output(program, pass_fds=[fd]) == f"{CONTENT[8:12]!r}\n"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("buffering", [-1, 0])
def test_readinto_at_the_position_goes_on_where_the_operation_before_it_ended(
    fd: int, tmp_path: Path, buffering: int
) -> None:
    async def program() -> None:
        buffer = bytearray(300)
        async with aio.open(tmp_path / "content", "r+b", buffering) as file:
            assert (await file.readinto(buffer), buffer) == (300, CONTENT[:300])
            assert await file.read(10) == CONTENT[300:310]
            assert (await file.readinto(buffer), buffer) == (300, CONTENT[310:610])
            assert await file.write(b"new") == 3
            await file.seek(608)
            assert (await file.readinto(buffer), buffer[:5]) == (300, CONTENT[608:610] + b"new")
            assert await file.tell() == 908
            await file.seek(len(CONTENT) - 7)
            assert (await file.readinto(buffer), buffer[:7]) == (7, CONTENT[-7:])
            assert await file.readinto(buffer) == 0
            assert await file.tell() == len(CONTENT)
        with pytest.raises(ValueError, match="closed"):
            await file.readinto(buffer)
        async with aio.open(tmp_path / "content", "ab", buffering) as file:
            with pytest.raises(io.UnsupportedOperation):
                await file.readinto(buffer)

    run(program())


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_a_write_puts_all_of_any_buffer(fd: int, make: Any) -> None:
    assert run(aio.write(fd, make(b"hello"), 100)) == 5
    assert os.pread(fd, 7, 99) == CONTENT[99:100] + b"hello" + CONTENT[105:106]


def test_a_sync_comes_after_the_writes_before_it(fd: int) -> None:
    async def program() -> None:
        results = await asyncio.gather(aio.write(fd, b"x", 0), aio.fsync(fd), aio.fdatasync(fd))
        assert results == [1, None, None]

    run(program())


def test_writes_of_one_turn_land_in_their_order(fd: int) -> None:
    async def program() -> None:
        await asyncio.gather(*(aio.write(fd, b"%05d" % i, 0) for i in range(500)))

    run(program())
    assert os.pread(fd, 5, 0) == b"00499"


def test_appends_of_one_turn_land_in_their_order(tmp_path: Path) -> None:
    descriptor = Descriptor(
        appending := os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    )
    os.close(appending)

    async def program() -> None:
        await asyncio.gather(*(descriptor.pwrite(b"%05d\n" % i, 0) for i in range(500)))

    run(program())
    assert (tmp_path / "log").read_bytes() == b"".join(b"%05d\n" % i for i in range(500))


@pytest.mark.usefixtures("way")
def test_errors_are_the_oserrors_they_are_elsewhere(fd: int, tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        run(aio.read(directory, 1, 0))
    os.close(directory)
    with pytest.raises(OSError, match="Bad file descriptor"):
        run(aio.read(1 << 20, 1, 0))
    with pytest.raises(OSError, match="Invalid argument"):
        run(aio.read(fd, 1, -1))


def test_an_error_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with open(tmp_path / "f", "rb") as file, pytest.raises(OSError, match="f") as raised:
        run(aio.write(file, b"x", 0))
    assert raised.value.filename == str(tmp_path / "f")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda fd: aio.read(fd, -1, 0), ValueError),
        (lambda fd: aio.read(fd, "1", 0), TypeError),
        (lambda fd: aio.read(fd, 1, 1 << 70), OverflowError),
        (lambda fd: aio.read("name", 1, 0), TypeError),
        (lambda fd: aio.read(-1, 1, 0), ValueError),
        (lambda fd: aio.readinto(fd, b"constant", 0), (TypeError, BufferError)),
        (lambda fd: aio.write(fd, "text", 0), TypeError),
    ],
)
@pytest.mark.usefixtures("way")
def test_a_call_that_makes_no_sense_raises(fd: int, call: Any, error: Any) -> None:
    with pytest.raises(error):
        run(call(fd))


def test_a_descriptor_closes_while_it_writes_and_no_byte_goes_astray(tmp_path: Path) -> None:
    async def program() -> None:
        fd = os.open(tmp_path / "mine", os.O_RDWR | os.O_CREAT)
        descriptor = Descriptor(fd)
        os.close(fd)
        number = descriptor.fileno()
        writes = [
            asyncio.ensure_future(descriptor.pwrite(b"x" * 65536, i * 65536)) for i in range(400)
        ]
        await asyncio.sleep(0)
        descriptor.close()
        assert descriptor.closed
        others = [os.open(tmp_path / f"other{i}", os.O_RDWR | os.O_CREAT) for i in range(5)]
        assert number not in others, "a request could still write there"
        assert await asyncio.gather(*writes) == [65536] * 400
        with pytest.raises(ValueError, match="closed"):
            await descriptor.pread(1, 0)
        for other in others:
            assert os.fstat(other).st_size == 0
            os.close(other)

    run(program())
    assert (tmp_path / "mine").read_bytes() == b"x" * 65536 * 400


def test_a_dropped_descriptor_gives_its_numbers_back(fd: int) -> None:
    async def program() -> None:
        before = sorted(os.listdir("/proc/self/fd"))
        aio.nowait(False)
        try:
            await asyncio.gather(*(Descriptor(fd).pread(4096, 0) for _ in range(20)))
        finally:
            aio.nowait(True)
        assert len(os.listdir("/proc/self/fd")) <= len(before) + 1  # the ring's eventfd

    run(program())


def test_a_blocked_read_of_a_pipe_holds_up_neither_files_nor_other_pipes(fd: int) -> None:
    async def program() -> None:
        pipes = [os.pipe() for _ in range(50)]
        reads = [asyncio.ensure_future(aio.read(r, 10, 0)) for r, _ in pipes]
        aio.nowait(False)
        try:
            assert await aio.read(fd, 4, 0) == CONTENT[:4]
        finally:
            aio.nowait(True)
        for i, (_, w) in reversed(list(enumerate(pipes))):
            await aio.write(w, b"%d" % i, 0)
        assert await asyncio.gather(*reads) == [b"%d" % i for i in range(50)]
        for number in sum(pipes, ()):
            os.close(number)

    run(program())


def test_a_socket_with_a_timeout_is_waited_for() -> None:
    async def program() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(1)
            read = asyncio.ensure_future(aio.read(ours, 10, 0))
            await asyncio.sleep(0)
            await aio.write(theirs, b"hello", 0)
            assert await read == b"hello"
            theirs.shutdown(socket.SHUT_WR)
            assert await aio.read(ours, 10, 0) == b""

    run(program())


def test_a_write_larger_than_a_pipe_is_written_while_it_is_read() -> None:
    async def program() -> None:
        r, w = os.pipe()
        data = os.urandom(1 << 20)
        writes = asyncio.gather(aio.write(w, data, 0), aio.write(w, b"end", 0))
        got = b""
        while len(got) < len(data) + 3:
            got += await aio.read(r, 1 << 16, 0)
        assert got == data + b"end"
        assert await writes == [len(data), 3]
        os.close(r)
        with pytest.raises(BrokenPipeError):
            await aio.write(w, b"x", 0)
        os.close(w)

    run(program())


def test_what_cannot_be_polled_is_read_all_the_same() -> None:
    zero = os.open("/dev/zero", os.O_RDONLY)
    assert run(aio.read(zero, 100, 0)) == bytes(100)
    os.close(zero)


@pytest.fixture
def direct(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "direct"
    path.write_bytes(CONTENT[:-100])
    try:
        number = os.open(path, os.O_RDWR | os.O_DIRECT)
    except OSError:
        pytest.skip("no O_DIRECT here")
    yield number
    os.close(number)


@pytest.mark.parametrize(
    ("nbytes", "offset"), [(4096, 4096), (100, 1), (5000, 3000), (2 << 20, 0), (10, 1 << 20)]
)
def test_a_read_of_an_o_direct_descriptor_needs_no_alignment(
    direct: int, nbytes: int, offset: int
) -> None:
    assert run(aio.read(direct, nbytes, offset)) == CONTENT[:-100][offset : offset + nbytes]


@pytest.mark.parametrize(("nbytes", "offset"), [(4096, 4096), (8192, 0), (1 << 20, 0)])
def test_a_thread_of_ours_reads_with_o_direct_as_glibc_does(
    direct: int, nbytes: int, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists.Lists, "start", lambda self, line, n: False)
    assert run(aio.read(direct, nbytes, offset)) == CONTENT[:-100][offset : offset + nbytes]


def test_aligned_reads_of_an_o_direct_descriptor_end_where_the_file_ends(direct: int) -> None:
    size = len(CONTENT) - 100
    whole = size // 4096 * 4096
    assert run(aio.read(direct, 4096, whole)) == CONTENT[whole:-100]
    assert run(aio.read(direct, 4096, whole + 4096)) == b""
    os.ftruncate(direct, whole)
    assert run(aio.read(direct, 8192, whole - 4096)) == CONTENT[whole - 4096 : whole]


def test_aligned_memory_of_the_users_own_is_used_for_o_direct(direct: int) -> None:
    with mmap.mmap(-1, 4096) as memory:
        assert run(aio.readinto(direct, memory, 8192)) == 4096
        assert memory[:] == CONTENT[:4096]
        memory[:5] = b"hello"
        assert run(aio.write(direct, memory, 0)) == 4096
    assert run(aio.read(direct, 5, 0)) == b"hello"


def test_the_einval_of_an_unaligned_request_says_so(direct: int) -> None:
    with pytest.raises(OSError, match="aligned"):
        run(aio.readinto(direct, memoryview(mmap.mmap(-1, 4096))[1:100], 0))


def test_a_failed_request_has_let_go_of_its_buffer(fd: int) -> None:
    buffer = bytearray(10)
    with pytest.raises(OSError, match="Invalid argument") as raised:
        run(aio.readinto(fd, buffer, -1))
    buffer.clear()  # BufferError while it is exported
    assert raised.value.errno


def test_reads_that_wait_for_a_device_use_several_descriptors_and_give_them_back(
    direct: int,
) -> None:
    async def program() -> None:
        before = len(os.listdir("/proc/self/fd"))
        reads = [asyncio.ensure_future(aio.read(direct, 4096, i * 4096)) for i in range(32)]
        most = 0
        while not all(read.done() for read in reads):
            most = max(most, len(os.listdir("/proc/self/fd")))
            await asyncio.sleep(0)
        assert [read.result() for read in reads] == [CONTENT[:4096]] * 32
        assert most > before + 4
        reads.clear()
        for _ in range(1000):  # the last notice comes a little later than the last result
            if len(os.listdir("/proc/self/fd")) <= before + 1:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("descriptors left open")

    run(program())


def test_the_users_descriptor_keeps_its_flags(fd: int) -> None:
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    run(aio.read(fd, 10, 0))
    assert fcntl.fcntl(fd, fcntl.F_GETFL) == flags
