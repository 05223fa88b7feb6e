"""aio_read(3). What a read does, what it reads into, and what is refused before glibc is called."""

from __future__ import annotations

import array
import errno
import mmap
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import Pipe, done
from deadline import eventually

import aio_posix as aio
from aio_posix import _calls, flight


def read(fd: Any, buffer: Any, *args: Any, **fields: Any) -> int:
    cb = aio.aiocb(fd, buffer, *args, **fields)
    aio.aio_read(cb)
    result: int = done(cb)
    return result


def refused(error: int) -> Any:
    return pytest.raises(OSError, check=lambda raised: raised.errno == error)


def test_a_read_fills_the_buffer_from_its_offset(file: int) -> None:
    buffer = bytearray(4)
    assert read(file, buffer, 3) == 4
    assert buffer == b"3456"


def test_a_read_returns_none_at_submission(file: int) -> None:
    cb = aio.aiocb(file, bytearray(1))
    assert aio.aio_read(cb) is None
    done(cb)


def test_the_file_position_is_neither_used_nor_moved(file: int) -> None:
    os.lseek(file, 7, os.SEEK_SET)
    buffer = bytearray(2)
    read(file, buffer)
    assert (buffer, os.lseek(file, 0, os.SEEK_CUR)) == (b"01", 7)


def test_a_read_across_the_end_is_short(file: int) -> None:
    buffer = bytearray(b"....")
    assert read(file, buffer, 8) == 2
    assert buffer == b"89.."


@pytest.mark.parametrize("offset", [10, 1 << 40])
def test_a_read_at_the_end_or_beyond_gives_0(file: int, offset: int) -> None:
    assert read(file, bytearray(4), offset) == 0


def test_offsets_have_64_bits(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as sparse:
        sparse.seek(5 << 30)
        sparse.write(b"far away")
    with path.open("rb") as sparse:
        buffer = bytearray(8)
        assert read(sparse, buffer, 5 << 30) == 8
    assert buffer == b"far away"


@pytest.mark.parametrize(
    "buffer",
    [
        bytearray(4),
        memoryview(bytearray(4)),
        memoryview(bytearray(8)).cast("B", (2, 4))[0:1],
        mmap.mmap(-1, 4),
        array.array("i", [0]),
        array.array("b", bytes(4)),
    ],
    ids=lambda buffer: type(buffer).__name__,
)
def test_any_writable_contiguous_buffer_will_do(file: int, buffer: Any) -> None:
    assert read(file, buffer) == 4
    assert memoryview(buffer).tobytes() == b"0123"


def test_a_slice_of_a_memoryview_is_filled_and_nothing_beside_it(file: int) -> None:
    buffer = bytearray(b"........")
    assert read(file, memoryview(buffer)[2:5]) == 3
    assert buffer == b"..012..."


def test_aio_nbytes_limits_the_read(file: int) -> None:
    buffer = bytearray(b"........")
    assert read(file, buffer, 0, 3) == 3
    assert buffer == b"012....."


def test_a_whole_anonymous_mapping_can_be_read_into_and_closed_afterwards(file: int) -> None:
    with mmap.mmap(-1, 1 << 16) as memory:
        assert read(file, memory) == 10
        assert memory[:10] == b"0123456789"


def test_o_direct_works_with_the_aligned_memory_of_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "direct"
    path.write_bytes(b"d" * 8192)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError as error:
        pytest.skip(f"no O_DIRECT here: {error}")
    with mmap.mmap(-1, 4096) as memory:
        assert read(fd, memory, 4096) == 4096
        assert memory[:] == b"d" * 4096
    os.close(fd)


def test_o_direct_with_memory_that_is_not_aligned_fails_with_einval(tmp_path: Path) -> None:
    path = tmp_path / "direct"
    path.write_bytes(b"d" * 8192)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError as error:
        pytest.skip(f"no O_DIRECT here: {error}")
    cb = aio.aiocb(fd, memoryview(bytearray(4097))[1:], 0, 100)
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    if aio.aio_error(cb) == 0:
        pytest.skip("this file system accepts any memory for O_DIRECT")
    with pytest.raises(OSError, match="Invalid argument"):
        aio.aio_return(cb)
    os.close(fd)


@pytest.mark.parametrize(
    ("buffer", "error"),
    [
        (b"read-only", TypeError),
        (memoryview(b"read-only"), TypeError),
        (mmap.mmap(-1, 4, access=mmap.ACCESS_READ), TypeError),
        (memoryview(bytearray(8)).toreadonly(), TypeError),
    ],
    ids=["bytes", "memoryview", "mmap", "toreadonly"],
)
def test_reading_into_what_is_read_only_is_refused(
    file: int, buffer: Any, error: type[Exception]
) -> None:
    """Nothing is submitted that could only fail (G9)."""
    cb = aio.aiocb(file, buffer)
    with pytest.raises(error, match="read-only"):
        aio.aio_read(cb)
    assert not flight.in_flight()


def test_a_refused_read_was_never_submitted(file: int) -> None:
    cb = aio.aiocb(file, b"read-only")
    with pytest.raises(TypeError):
        aio.aio_read(cb)
    with pytest.raises(OSError, match="never submitted"):
        aio.aio_error(cb)


def test_more_bytes_than_the_buffer_has_are_refused(file: int) -> None:
    cb = aio.aiocb(file, bytearray(4), 0, 5)
    with pytest.raises(ValueError, match="5 but aio_buf has 4"):
        aio.aio_read(cb)


def test_bytes_without_a_buffer_are_refused(file: int) -> None:
    cb = aio.aiocb(file, None, 0, 5)
    with pytest.raises(ValueError, match="aio_buf is None"):
        aio.aio_read(cb)


@pytest.mark.parametrize("call", [aio.aio_read, aio.aio_write])
def test_a_request_whose_buffer_was_forgotten_is_refused(file: int, call: Any) -> None:
    cb = aio.aiocb(file)
    with pytest.raises(ValueError, match="aio_buf is None"):
        call(cb)
    assert not cb.in_progress


def test_a_read_of_no_bytes_is_complete_without_waiting_for_any(pipe: Pipe) -> None:
    assert read(pipe.read, bytearray()) == 0


def test_a_buffer_that_was_released_since_is_refused(file: int) -> None:
    view = memoryview(bytearray(4))
    cb = aio.aiocb(file, view)
    view.release()
    with pytest.raises(ValueError, match="released"):
        aio.aio_read(cb)


def test_a_mapping_that_was_closed_since_is_refused(file: int) -> None:
    memory = mmap.mmap(-1, 4)
    cb = aio.aiocb(file, memory)
    memory.close()
    with pytest.raises(ValueError, match="closed"):
        aio.aio_read(cb)


def test_a_buffer_that_grew_since_is_read_into_as_it_is_now(file: int) -> None:
    buffer = bytearray(2)
    cb = aio.aiocb(file, buffer)
    buffer.extend(bytes(4))
    aio.aio_read(cb)
    assert (done(cb), buffer) == (6, b"012345")


@pytest.mark.parametrize("fd", [-1, 999])
def test_a_bad_descriptor_shows_in_aio_error_not_at_submission(fd: int) -> None:
    cb = aio.aiocb(fd, bytearray(4))
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    assert aio.aio_error(cb) == errno.EBADF


@pytest.mark.parametrize(
    ("path", "flags", "offset", "error"),
    [
        ("/", os.O_RDONLY, 0, errno.EISDIR),
        ("/dev/null", os.O_WRONLY, 0, errno.EBADF),
        ("/dev/zero", os.O_RDONLY, -1, errno.EINVAL),
    ],
)
def test_what_read_refuses_shows_in_aio_error(
    path: str, flags: int, offset: int, error: int
) -> None:
    fd = os.open(path, flags)
    cb = aio.aiocb(fd, bytearray(4), offset)
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    assert aio.aio_error(cb) == error
    os.close(fd)


def test_a_closed_file_is_refused_as_it_refuses_everything(tmp_path: Path) -> None:
    path = tmp_path / "closed"
    path.write_bytes(b"x")
    closed = path.open("rb")
    cb = aio.aiocb(closed, bytearray(1))
    closed.close()
    with pytest.raises(ValueError, match="closed file"):
        aio.aio_read(cb)


def test_a_closed_socket_is_a_bad_descriptor(pair: tuple[socket.socket, socket.socket]) -> None:
    cb = aio.aiocb(pair[0], bytearray(1))
    pair[0].close()
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    assert aio.aio_error(cb) == errno.EBADF


def test_a_read_of_a_listening_socket_fails_at_once() -> None:
    """What the original echo server lives on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cb = aio.aiocb(listener, bytearray(1))
        aio.aio_read(cb)
        aio.aio_suspend([cb])
        assert aio.aio_error(cb) == errno.ENOTCONN


def test_a_read_of_an_empty_pipe_waits_until_it_is_fed(pipe: Pipe) -> None:
    cb = pipe.blocked()
    assert aio.aio_error(cb) == errno.EINPROGRESS
    pipe.feed(b"fed")
    assert done(cb) == 3
    assert cb.aio_buf[:3] == b"fed"


def test_the_end_of_a_pipe_is_0_bytes() -> None:
    pipe = Pipe()
    cb = pipe.blocked()
    pipe.close()
    assert aio.aio_return(cb) == 0


def test_the_offset_does_not_matter_to_a_pipe(pipe: Pipe) -> None:
    pipe.feed(b"fed")
    assert read(pipe.read, bytearray(4), 9999) == 3


def test_a_non_blocking_pipe_completes_at_once_with_eagain(pipe: Pipe) -> None:
    """G21"""
    os.set_blocking(pipe.read, False)
    cb = aio.aiocb(pipe.read, bytearray(4))
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    assert aio.aio_error(cb) == errno.EAGAIN


def test_a_socket_with_a_timeout_is_non_blocking_and_completes_at_once(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """G21"""
    pair[0].settimeout(5)
    cb = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(cb)
    assert aio.aio_suspend([cb], 10)
    assert aio.aio_error(cb) == errno.EAGAIN
    with pytest.raises(BlockingIOError):
        aio.aio_return(cb)


def test_reads_of_one_pipe_complete_in_the_order_of_their_submission(pipe: Pipe) -> None:
    """One queue for each descriptor (G2)."""
    first, second, third = (pipe.blocked(1) for _ in range(3))
    pipe.feed(b"abc")
    assert done(first, second, third) == [1, 1, 1]
    assert [bytes(cb.aio_buf) for cb in (first, second, third)] == [b"a", b"b", b"c"]


def test_the_same_request_can_be_submitted_again_and_again(file: int) -> None:
    buffer = bytearray(2)
    cb = aio.aiocb(file, buffer)
    for offset in range(0, 10, 2):
        cb.aio_offset = offset
        aio.aio_read(cb)
        assert done(cb) == 2
        assert buffer == b"0123456789"[offset : offset + 2]


def test_a_request_may_be_submitted_again_before_its_result_was_returned(file: int) -> None:
    """And leaves nothing behind for each time that nobody looked."""
    cb = aio.aiocb(file, bytearray(2))
    for _ in range(10):
        aio.aio_read(cb)
        aio.aio_suspend([cb])
    assert len(flight.in_flight()) <= 1
    assert aio.aio_return(cb) == 2


@pytest.mark.parametrize("alone", [True, False])
def test_a_submission_releases_what_was_kept_for_one_whose_end_nobody_noticed(
    file: int, alone: bool
) -> None:
    before = _calls.kept()
    cb = aio.aiocb(file, bytearray(2), aio_lio_opcode=aio.LIO_READ)
    for _ in range(10):
        if alone:
            aio.aio_read(cb)
        else:
            aio.lio_listio(aio.LIO_NOWAIT, [cb])
        assert eventually(lambda: not flight.in_flight())  # looks, and releases nothing
    assert done(cb) == 2
    assert _calls.kept() == before


def test_a_request_in_flight_cannot_be_submitted_again_or_changed(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """G18"""
    cb = aio.aiocb(pair[0], bytearray(1), aio_lio_opcode=aio.LIO_READ)
    aio.aio_read(cb)
    other = aio.aiocb(pair[0], bytearray(1), aio_lio_opcode=aio.LIO_READ)
    for call in (
        lambda: aio.aio_read(cb),
        lambda: aio.lio_listio(aio.LIO_NOWAIT, [other, cb]),
        lambda: setattr(cb, "aio_offset", 1),
    ):
        with refused(errno.EINPROGRESS):
            call()
    with refused(errno.EINVAL):
        aio.aio_error(other)  # nothing of that list was submitted
    with pytest.raises(ValueError, match="listed twice"):
        aio.lio_listio(aio.LIO_NOWAIT, [other, other])
    pair[1].send(b"x")
    assert aio.aio_suspend([cb], 10)
    assert aio.aio_return(cb) == 1


def test_of_two_threads_that_submit_the_same_request_one_wins(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """G18"""
    for _ in range(200):
        cb = aio.aiocb(pair[0], bytearray(1))
        barrier, outcomes = threading.Barrier(2), []

        def submit(
            cb: aio.aiocb = cb, barrier: threading.Barrier = barrier, outcomes: list[int] = outcomes
        ) -> None:
            barrier.wait()
            try:
                aio.aio_read(cb)
                outcomes.append(0)
            except BlockingIOError as error:
                outcomes.append(error.errno)

        threads = [threading.Thread(target=submit) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == [0, errno.EINPROGRESS]
        pair[1].send(b"x")
        assert aio.aio_suspend([cb], 10)
        assert aio.aio_return(cb) == 1


def test_aio_read_reads_whatever_the_list_opcode_says(file: int) -> None:
    cb = aio.aiocb(file, bytearray(2), aio_lio_opcode=aio.LIO_WRITE)
    aio.aio_read(cb)
    assert (done(cb), cb.aio_buf, cb.aio_lio_opcode) == (2, b"01", aio.LIO_WRITE)


@pytest.mark.parametrize("wrong", [None, 0, "aiocb", aio.sigevent(), object()])
def test_only_an_aiocb_can_be_submitted(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected an aiocb"):
        aio.aio_read(wrong)


def test_a_thousand_reads_in_flight_on_one_file_each_get_their_own_bytes(file: int) -> None:
    cbs = [aio.aiocb(file, bytearray(1), i % 10) for i in range(1000)]
    for cb in cbs:
        aio.aio_read(cb)
    assert done(*cbs) == [1] * 1000
    assert b"".join(cb.aio_buf for cb in cbs) == b"0123456789" * 100
