"""aio_posix.asyncio and the descriptors of others: the right file, and nobody notices that we were
there.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deadline import eventually

import aio_posix.asyncio as aio
from aio_posix.asyncio.descriptors import openfile
from aio_posix.asyncio.descriptors.descriptor import Descriptor

LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]
SIZE = 65536


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


@pytest.fixture
def no_fast_path() -> Iterator[None]:
    before = aio.nowait(False)
    yield
    aio.nowait(before)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "first", tmp_path / "second"


def new(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def reuse(fd: int, path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> None:
    """Closes a number, which means another file then."""
    other = os.open(path, flags)
    os.dup2(other, fd)
    os.close(other)


class Holder:
    """An object with fileno()."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def fileno(self) -> int:
        return self.fd


@pytest.fixture(params=[int, Holder])
def of(request: pytest.FixtureRequest) -> Any:
    """A descriptor as an int, and as an object."""
    return request.param


# --- the right file


def test_writes_reach_the_file_that_was_meant_when_they_were_asked_for(
    run: Any, two: tuple[Path, Path], of: Any
) -> None:
    async def program() -> list[Any]:
        fd = new(two[0])
        writes = [
            asyncio.ensure_future(aio.write(of(fd), b"1" * SIZE, i * SIZE)) for i in range(200)
        ]
        await asyncio.sleep(0)
        reuse(fd, two[1])
        results = await asyncio.gather(*writes, return_exceptions=True)
        os.close(fd)
        return results

    assert run(program()) == [SIZE] * 200
    assert two[0].read_bytes() == b"1" * SIZE * 200
    assert two[1].read_bytes() == b""


@pytest.mark.usefixtures("no_fast_path")
def test_reads_come_from_the_file_that_was_meant_when_they_were_asked_for(
    run: Any, two: tuple[Path, Path], of: Any
) -> None:
    two[0].write_bytes(b"1" * SIZE * 100)
    two[1].write_bytes(b"2" * SIZE * 100)

    async def program() -> set[bytes]:
        fd = new(two[0])
        reads = [asyncio.ensure_future(aio.read(of(fd), SIZE, i * SIZE)) for i in range(100)]
        await asyncio.sleep(0)
        reuse(fd, two[1])
        data = set(await asyncio.gather(*reads))
        os.close(fd)
        return data

    assert run(program()) == {b"1" * SIZE}


def test_a_cancelled_write_never_reaches_a_file_that_has_got_its_number(
    run: Any, two: tuple[Path, Path]
) -> None:
    async def program() -> None:
        fd = new(two[0])
        writes = [asyncio.ensure_future(aio.write(fd, b"1" * SIZE, 0)) for _ in range(100)]
        await asyncio.sleep(0)
        for write in writes:
            write.cancel()
        reuse(fd, two[1])
        await asyncio.gather(*writes, return_exceptions=True)
        await aio.fsync(fd)
        os.close(fd)

    run(program())
    assert two[1].read_bytes() == b""


def test_a_write_to_a_new_file_with_the_number_of_one_still_written_reaches_the_new_one(
    run: Any, two: tuple[Path, Path]
) -> None:
    """The lane of the old file lives on; it must not serve the new one."""

    async def program() -> None:
        fd = new(two[0])
        old = [asyncio.ensure_future(aio.write(fd, b"1" * SIZE, i * SIZE)) for i in range(200)]
        await asyncio.sleep(0)
        reuse(fd, two[1])
        assert await aio.write(fd, b"2" * 10, 0) == 10
        await asyncio.gather(*old)
        os.close(fd)

    run(program())
    assert two[1].read_bytes() == b"2" * 10
    assert two[0].read_bytes() == b"1" * SIZE * 200


def test_the_same_file_opened_again_under_the_same_number_is_another_open_file(
    run: Any, two: tuple[Path, Path]
) -> None:
    """Device and inode are the same, but O_APPEND is not. The file has its size from the start, as
    the writes through its two open files have no order among them.
    """

    async def program() -> None:
        fd = new(two[0])
        await aio.write(fd, b"1" * SIZE, 0)
        old = [asyncio.ensure_future(aio.write(fd, b"1" * SIZE, 0)) for _ in range(100)]
        await asyncio.sleep(0)
        reuse(fd, two[0], os.O_WRONLY | os.O_APPEND)
        await asyncio.gather(*old, aio.write(fd, b"end", 0))
        os.close(fd)

    run(program())
    assert two[0].read_bytes() == b"1" * SIZE + b"end"


@pytest.mark.parametrize("answer", ["F_DUPFD_QUERY", "nobody"])
def test_writes_of_several_turns_keep_their_order_whoever_tells_what_file_it_is(
    run: Any, two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    if answer == "nobody":
        for module in ("descriptor", "channel", "openfile"):
            monkeypatch.setattr(
                f"aio_posix.asyncio.descriptors.{module}.same_file", lambda a, b: -1
            )

    async def program() -> None:
        fd = new(two[0])
        large = b"1" * (16 << 20)
        writes = [asyncio.ensure_future(aio.write(fd, large, 0)) for _ in range(4)]
        for i in range(20):
            await asyncio.sleep(0)
            writes.append(asyncio.ensure_future(aio.write(fd, b"%05d" % i * 100, 1 << 20)))
        assert await asyncio.gather(*writes) == [16 << 20] * 4 + [500] * 20
        assert os.pread(fd, 500, 1 << 20) == b"00019" * 100
        os.close(fd)

    run(program())


def test_a_sync_of_a_number_that_was_closed_meanwhile_syncs_or_fails(
    run: Any, two: tuple[Path, Path], of: Any
) -> None:
    async def program() -> None:
        fd = new(two[0])
        writes = [asyncio.ensure_future(aio.write(of(fd), b"1" * SIZE, 0)) for _ in range(50)]
        sync = asyncio.ensure_future(aio.fsync(of(fd)))
        await asyncio.sleep(0)
        os.close(fd)
        r, w = os.pipe()  # an fsync of a pipe would fail
        await asyncio.gather(*writes)
        await sync
        os.close(r)
        os.close(w)

    run(program())


# --- flags, locks, ends


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_what_is_waited_for_stays_blocking(run: Any, kind: str) -> None:
    if kind == "pipe":
        r, w = os.pipe()
    elif kind == "socket":
        r, w = (end.detach() for end in socket.socketpair())
    else:
        import pty
        import tty

        w, r = pty.openpty()
        tty.setraw(r)

    async def program() -> None:
        for descriptor in (Descriptor.borrowing(r), Descriptor.owning(r, None), None):
            read = aio.read(r, 10, 0) if descriptor is None else descriptor.receive(10)
            task = asyncio.ensure_future(read)
            await asyncio.sleep(0.02)
            assert not task.done()
            assert os.get_blocking(r)
            assert await aio.write(w, b"x", 0) == 1
            assert await task == b"x"
            assert os.get_blocking(r)
            assert os.get_blocking(w)

    run(program())
    os.close(r)
    os.close(w)


def locked(path: Path) -> bool:
    """Whether another process finds the file locked."""
    probe = (
        "import fcntl, os, sys;"
        "fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    ended = subprocess.run([sys.executable, "-c", probe, path], stderr=subprocess.DEVNULL)
    return ended.returncode != 0


@pytest.mark.usefixtures("no_fast_path")
@pytest.mark.parametrize(
    ("flags", "lock"), [(os.O_RDWR, fcntl.LOCK_EX), (os.O_RDONLY, fcntl.LOCK_SH)]
)
def test_awaited_requests_drop_no_lock_of_the_process(
    run: Any, two: tuple[Path, Path], flags: int, lock: int
) -> None:
    two[0].write_bytes(b"1" * SIZE * 32)
    fd = os.open(two[0], flags)
    fcntl.lockf(fd, lock)

    async def program() -> None:
        for _ in range(3):
            reads = [aio.read(fd, 4096, i * SIZE) for i in range(32)]
            assert await asyncio.gather(*reads) == [b"1" * 4096] * 32
            assert locked(two[0])
        fcntl.lockf(fd, fcntl.LOCK_UN)
        await aio.read(fd, 10, 0)

    before = len(os.listdir("/proc/self/fd"))
    run(program())
    assert openfile._retired == [], "kept after the lock was given up"
    os.close(fd)
    assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.usefixtures("no_fast_path")
def test_a_lock_behind_one_of_another_process_is_kept(run: Any, two: tuple[Path, Path]) -> None:
    """F_OFD_GETLK names the first conflict only, and here that is somebody else's."""
    two[0].write_bytes(b"1" * SIZE)
    fd = os.open(two[0], os.O_RDWR)
    program = (
        "import fcntl, os, sys;"
        "fd = os.open(sys.argv[1], os.O_RDWR);"
        "fcntl.lockf(fd, fcntl.LOCK_EX, 10, 0);"
        "fcntl.lockf(fd, fcntl.LOCK_SH, 100, 1000);"
        "print('locked', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, two[0]],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout is not None
    assert other.stdout.readline() == "locked\n"

    def ours(start: int, length: int) -> bool:
        probe = (
            "import fcntl, os, sys;"
            "fd, how = os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB;"
            "fcntl.lockf(fd, how, *map(int, sys.argv[2:]))"
        )
        args = [sys.executable, "-c", probe, str(two[0]), str(length), str(start)]
        return subprocess.run(args, stderr=subprocess.DEVNULL).returncode != 0

    async def read() -> None:
        assert await aio.read(fd, 10, 0) == b"1" * 10

    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 50)  # behind the other's first
    run(read())
    assert ours(50, 10)
    fcntl.lockf(fd, fcntl.LOCK_UN, 10, 50)
    fcntl.lockf(fd, fcntl.LOCK_SH, 100, 1000)  # the same bytes as the other's second
    run(read())
    other.communicate("")
    assert ours(1000, 100)
    fcntl.lockf(fd, fcntl.LOCK_UN)
    run(read())
    assert openfile._retired == []
    os.close(fd)


@pytest.mark.usefixtures("no_fast_path")
def test_duplicates_that_may_not_be_closed_are_few_and_used_again(
    run: Any, two: tuple[Path, Path]
) -> None:
    two[0].write_bytes(b"1" * SIZE)
    fd = os.open(two[0], os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX)

    async def program() -> int:
        most = 0
        for _ in range(200):
            assert await aio.read(fd, 10, 0) == b"1" * 10
            most = max(most, len(openfile._retired))
        return most

    assert run(program()) == 1
    os.close(fd)


@pytest.mark.usefixtures("no_fast_path")
def test_a_duplicate_that_was_kept_is_closed_by_the_first_look_that_finds_no_lock(
    run: Any, two: tuple[Path, Path]
) -> None:
    for path in two:
        path.write_bytes(b"1" * SIZE)
    locked_one, other = os.open(two[0], os.O_RDWR), os.open(two[1], os.O_RDWR)

    async def program() -> None:
        fcntl.lockf(locked_one, fcntl.LOCK_EX)
        await aio.read(locked_one, 10, 0)
        assert len(openfile._retired) == 1
        fcntl.lockf(locked_one, fcntl.LOCK_UN)
        await aio.read(other, 10, 0)
        assert openfile._retired == []

    run(program())
    os.close(locked_one)
    os.close(other)


@pytest.mark.usefixtures("no_fast_path")
@pytest.mark.parametrize("way", ["bare", "borrowing"])
def test_a_flock_is_free_once_its_owner_has_closed(
    run: Any, two: tuple[Path, Path], way: str
) -> None:
    two[0].write_bytes(b"1" * SIZE)
    fd = os.open(two[0], os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    descriptor = Descriptor.borrowing(fd)

    async def program() -> None:
        read = aio.read if way == "bare" else lambda fd, *args: descriptor.pread(*args)
        await asyncio.gather(*(read(fd, 4096, 0) for _ in range(20)))
        os.close(fd)
        other = os.open(two[0], os.O_RDWR)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)

    run(program())


@pytest.mark.parametrize("way", ["bare", "borrowing"])
def test_a_pipe_ends_when_its_owner_closes_it(run: Any, way: str) -> None:
    async def program() -> None:
        r, w = os.pipe()
        descriptor = Descriptor.borrowing(w)
        if way == "bare":
            await aio.write(w, b"all of it", 0)
        else:
            assert await descriptor.send(b"all of it") == 9
        os.close(w)
        assert os.read(r, 100) == b"all of it"
        os.set_blocking(r, False)
        assert os.read(r, 100) == b""
        os.close(r)

    run(program())


@pytest.mark.parametrize("way", ["bare", "borrowing"])
def test_a_writer_gets_epipe_when_the_reader_has_closed_after_a_wait(run: Any, way: str) -> None:
    async def program() -> None:
        r, w = os.pipe()
        descriptor = Descriptor.borrowing(r)
        read = asyncio.ensure_future(aio.read(r, 1, 0) if way == "bare" else descriptor.receive(1))
        await asyncio.sleep(0.01)
        os.write(w, b"x")
        assert await read == b"x"
        os.close(r)
        with pytest.raises(BrokenPipeError):
            os.write(w, b"y")
        os.close(w)

    run(program())


@pytest.mark.usefixtures("no_fast_path")
def test_a_failed_read_holds_no_descriptor_by_its_traceback(run: Any, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)

    async def program() -> None:
        await aio.read(fd, 10, 0)

    run(asyncio.sleep(0))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(IsADirectoryError) as raised:
        run(program())
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the bell
    assert raised.value.errno == errno.EISDIR
    os.close(fd)


@pytest.mark.usefixtures("no_fast_path")
def test_an_owned_number_needs_no_other_and_outlives_its_requests(
    run: Any, two: tuple[Path, Path]
) -> None:
    async def program() -> None:
        fd = new(two[0])
        descriptor = Descriptor.owning(fd, None)
        await descriptor.pwrite(b"1" * SIZE, 0)
        await descriptor.fsync()
        before = len(os.listdir("/proc/self/fd"))
        assert await descriptor.pread(10, 0) == b"1" * 10
        assert len(os.listdir("/proc/self/fd")) == before
        writes = [
            asyncio.ensure_future(descriptor.pwrite(b"2" * SIZE, i * SIZE)) for i in range(200)
        ]
        await asyncio.sleep(0)

        def close() -> None:
            closed.append(fd)
            os.close(fd)

        closed: list[int] = []
        descriptor.close(close)
        assert not closed
        assert new(two[1]) != fd
        assert await asyncio.gather(*writes) == [SIZE] * 200
        assert closed

    run(program())
    assert two[0].read_bytes() == b"2" * SIZE * 200


def test_an_idle_owned_number_is_closed_at_once(run: Any, two: tuple[Path, Path]) -> None:
    async def program() -> None:
        fd = new(two[0])
        descriptor = Descriptor.owning(fd, None)
        write = asyncio.ensure_future(descriptor.pwrite(b"2" * SIZE, 0))
        await asyncio.sleep(0)
        write.cancel()
        await descriptor.idle()
        descriptor.close(lambda: os.close(fd))
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        with pytest.raises(ValueError, match="closed"):
            await descriptor.pread(1, 0)

    run(program())


# --- mistakes


@pytest.mark.usefixtures("no_fast_path")
@pytest.mark.parametrize("offset", [1.5, None, "0", 1 << 64, -(1 << 64), -1])
@pytest.mark.parametrize("call", ["read", "readinto", "write"])
def test_a_bad_offset_is_the_mistake_of_one_call(
    run: Any, two: tuple[Path, Path], call: str, offset: Any
) -> None:
    async def program() -> None:
        fd = new(two[0])
        calls: dict[str, Callable[[], Any]] = {
            "read": lambda: aio.read(fd, 4, offset),
            "readinto": lambda: aio.readinto(fd, bytearray(4), offset),
            "write": lambda: aio.write(fd, b"bad", offset),
        }
        good: Any
        bad: Any
        more: Any
        good, bad, more = await asyncio.gather(
            aio.write(fd, b"good", 0), calls[call](), aio.write(fd, b"more", 4),
            return_exceptions=True,
        )  # fmt: skip
        os.close(fd)
        assert (good, more) == (4, 4)
        assert type(bad) is (
            OSError if offset == -1 else OverflowError if isinstance(offset, int) else TypeError
        )

    run(program())
    assert two[0].read_bytes() == b"goodmore"


@pytest.mark.parametrize("nbytes", [1.5, None, "1", 1 << 64, -1])
@pytest.mark.parametrize("fast", [True, False])
def test_a_bad_length_is_the_mistake_of_one_call(
    run: Any, two: tuple[Path, Path], nbytes: Any, fast: bool
) -> None:
    async def program() -> None:
        fd = new(two[0])
        good, bad = await asyncio.gather(
            aio.write(fd, b"good", 0), aio.read(fd, nbytes, 0), return_exceptions=True
        )
        os.close(fd)
        assert good == 4
        errors = ValueError, TypeError, OverflowError
        assert isinstance(bad, errors), bad

    before = aio.nowait(fast)
    run(program())
    aio.nowait(before)


@pytest.mark.parametrize(
    ("fd", "error"),
    [
        (True, TypeError),
        (False, TypeError),
        (1.0, TypeError),
        (None, TypeError),
        (-1, ValueError),
        (2**31, OverflowError),
        (2**32, OverflowError),
        (2**64, OverflowError),
        (Holder(-1), ValueError),
        (Holder(2**32), OverflowError),
        (Holder(1.0), TypeError),  # type: ignore[arg-type]  # what is tested
    ],
)
def test_what_is_no_descriptor_is_refused_by_every_call(run: Any, fd: Any, error: Any) -> None:
    calls = (
        aio.read(fd, 1, 0),
        aio.readinto(fd, bytearray(1), 0),
        aio.write(fd, b"", 0),
        aio.fsync(fd),
        aio.fdatasync(fd),
    )
    for call in calls:
        with pytest.raises(error):
            run(call)


def test_no_file_is_meant_by_what_is_left_of_a_large_number(
    run: Any, two: tuple[Path, Path]
) -> None:
    two[0].write_bytes(b"secret")
    fd = os.open(two[0], os.O_RDWR)
    for large in (2**32 + fd, 2**64 + fd):
        with pytest.raises(OverflowError):
            run(aio.read(large, 6, 0))
        with pytest.raises(OverflowError):
            run(aio.write(large, b"x", 0))
    os.close(fd)
    assert two[0].read_bytes() == b"secret"


def test_nothing_stays_open_after_all_this() -> None:
    assert eventually(lambda: openfile._retired == [], 5)
