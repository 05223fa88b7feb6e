"""aio_write(3), what a write does, and what becomes of one that cannot."""

from __future__ import annotations

import array
import errno
import gc
import mmap
import os
import socket
from pathlib import Path
from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, Pipe, done

import aio_posix as aio
from aio_posix import flight


def write(fd: Any, buffer: Any, *args: Any, **fields: Any) -> int:
    cb = aio.aiocb(fd, buffer, *args, **fields)
    aio.aio_write(cb)
    result: int = done(cb)
    return result


def test_a_write_puts_the_buffer_at_its_offset(file: int) -> None:
    assert write(file, b"ab", 4) == 2
    assert os.pread(file, 20, 0) == b"0123ab6789"


def test_a_write_leaves_the_file_position_alone(file: int) -> None:
    os.lseek(file, 7, os.SEEK_SET)
    write(file, b"ab", 0)
    assert os.lseek(file, 0, os.SEEK_CUR) == 7


def test_a_write_beyond_the_end_leaves_a_hole(file: int) -> None:
    write(file, b"ab", 12)
    assert os.pread(file, 20, 8) == b"89\0\0ab"


def test_offsets_have_64_bits(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as sparse:
        assert write(sparse, b"far away", (6 << 30) + 1) == 8
        assert os.fstat(sparse.fileno()).st_size == (6 << 30) + 9


@pytest.mark.parametrize(
    "buffer",
    [
        b"abcd",
        bytearray(b"abcd"),
        memoryview(b"abcd"),
        memoryview(b"..abcd..")[2:6],
        array.array("B", b"abcd"),
        mmap.mmap(-1, 4),
    ],
    ids=lambda buffer: type(buffer).__name__,
)
def test_any_contiguous_buffer_will_do(file: int, buffer: Any) -> None:
    expected = memoryview(buffer).tobytes()
    assert write(file, buffer) == 4
    assert os.pread(file, 4, 0) == expected


def test_aio_nbytes_limits_the_write(file: int) -> None:
    assert write(file, b"abcd", 0, 2) == 2
    assert os.pread(file, 4, 0) == b"ab23"


def test_a_write_of_no_bytes_writes_none(file: int) -> None:
    assert write(file, b"") == 0
    assert os.pread(file, 20, 0) == b"0123456789"


def test_with_o_append_the_offset_does_not_matter(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    cbs = [aio.aiocb(fd, data) for data in (b"AAAA", b"BB", b"C")]
    for cb in cbs:
        aio.aio_write(cb)
    done(*cbs)
    assert (tmp_path / "log").read_bytes() == b"AAAABBC"
    os.close(fd)


def test_writes_to_one_descriptor_happen_in_the_order_of_their_submission(pipe: Pipe) -> None:
    cbs = [aio.aiocb(pipe.write, b"%d" % i) for i in range(10)]
    for cb in cbs:
        aio.aio_write(cb)
    done(*cbs)
    assert os.read(pipe.read, 20) == b"0123456789"


def test_a_write_to_a_pipe_without_reader_fails_and_no_signal_comes() -> None:
    """A SIGPIPE with its default action would have ended the test."""
    fresh.output("""
        import errno, os, signal
        from aio_posix import *
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        r, w = os.pipe()
        os.close(r)
        cb = aiocb(w, b"x")
        aio_write(cb)
        aio_suspend([cb])
        assert aio_error(cb) == errno.EPIPE
        try:
            aio_return(cb)
        except BrokenPipeError:
            pass
        else:
            raise SystemExit(1)
        """)


@pytest.mark.parametrize(
    ("path", "flags", "error"),
    [
        ("/dev/full", os.O_WRONLY, errno.ENOSPC),
        ("/dev/zero", os.O_RDONLY, errno.EBADF),
    ],
)
def test_what_write_refuses_shows_in_aio_error(path: str, flags: int, error: int) -> None:
    fd = os.open(path, flags)
    cb = aio.aiocb(fd, b"x")
    aio.aio_write(cb)
    aio.aio_suspend([cb])
    assert aio.aio_error(cb) == error
    os.close(fd)


def test_text_is_refused() -> None:
    with pytest.raises(TypeError, match="str"):
        aio.aiocb(1, "text")


def test_a_view_with_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        aio.aiocb(1, memoryview(b"0123456789")[::2])


def test_more_bytes_than_the_buffer_has_are_refused(file: int) -> None:
    """glibc would write what comes after it in memory."""
    with pytest.raises(ValueError, match="aio_nbytes is 100 but aio_buf has 4 bytes"):
        aio.aio_write(aio.aiocb(file, b"abcd", 0, 100))


def test_the_buffer_lives_until_it_is_written_whoever_drops_it() -> None:
    """With a full pool the write waits, and nobody else has the bytes (G11)."""
    fresh.output(
        FULL_POOL
        + """
import gc, warnings
warnings.simplefilter("ignore", ResourceWarning)
release = full_pool()
fd = memfd()
for i in range(100):
    aio_write(aiocb(fd, bytes([i]) * 5000, i * 5000))
gc.collect()
junk = [bytes([255]) * 5000 for _ in range(300)]
release()
assert eventually(lambda: not aio.flight.in_flight())
assert os.pread(fd, 600_000, 0) == b"".join(bytes([i]) * 5000 for i in range(100))
"""
    )


def test_a_bytearray_being_written_cannot_be_resized(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """A queued write, behind a read that is blocked (G11)."""
    ahead = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(ahead)
    buffer = bytearray(b"abcd")
    cb = aio.aiocb(pair[0], buffer)
    aio.aio_write(cb)
    with pytest.raises(BufferError):
        buffer.append(0)
    pair[1].send(b"x")
    done(ahead, cb)
    buffer.append(0)


def test_a_write_waits_behind_a_blocked_read_of_the_same_socket(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """G2"""
    ahead = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(ahead)
    cb = aio.aiocb(pair[0], b"answer")
    aio.aio_write(cb)
    assert not aio.aio_suspend([cb], 0.2)
    pair[1].send(b"x")
    assert done(ahead, cb) == [1, 6]


def test_a_duplicate_of_the_socket_has_a_queue_of_its_own(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """G2"""
    ahead = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(ahead)
    with pair[0].dup() as double:
        assert write(double, b"answer") == 6
    pair[1].send(b"x")
    done(ahead)


def test_a_forgotten_write_is_written_and_leaves_nothing_behind(file: int) -> None:
    cb = aio.aiocb(file, b"ab")
    aio.aio_write(cb)
    aio.aio_suspend([cb])
    del cb
    gc.collect()
    assert not flight.in_flight()
    assert os.pread(file, 2, 0) == b"ab"


def test_a_large_write_is_whole(tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 32
    with (tmp_path / "large").open("wb") as large:
        assert write(large, data) == len(data)
    assert (tmp_path / "large").read_bytes() == data


def test_a_write_of_more_than_linux_moves_at_once_tells_how_much_it_moved() -> None:
    """3 GiB of zeros nobody ever touched, to a file without room on disk (G20)."""
    fresh.output(
        """
import mmap, os
import aio_posix as aio
memory = mmap.mmap(-1, 3 << 30)
cb = aio.aiocb(os.open("/dev/null", os.O_WRONLY), memory)
aio.aio_write(cb)
aio.aio_suspend([cb])
assert aio.aio_return(cb) == 0x7FFFF000
"""
    )


def test_the_bytes_written_are_those_of_the_moment_of_writing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """As in C, the buffer belongs to the request, and a program that changes it in flight writes
    the change.
    """
    ahead = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(ahead)
    buffer = bytearray(b"before")
    cb = aio.aiocb(pair[0], buffer)
    aio.aio_write(cb)
    buffer[:] = b"after!"
    pair[1].send(b"x")
    done(ahead, cb)
    assert pair[1].recv(10) == b"after!"
