"""aio_fsync(3)."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, Pipe, done

import aio_posix as aio
from aio_posix import flight


@pytest.mark.parametrize("op", [os.O_SYNC, os.O_DSYNC], ids=["O_SYNC", "O_DSYNC"])
def test_a_sync_is_a_request_whose_result_is_0(tmp_path: Path, op: int) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"x")
        cb = aio.aiocb(file)
        aio.aio_fsync(op, cb)
        assert done(cb) == 0


@pytest.mark.parametrize(
    "op", [0, -1, os.O_APPEND, os.O_RDWR, None, "O_SYNC", [], os.O_SYNC | os.O_APPEND]
)
def test_only_o_sync_and_o_dsync_are_operations(file: int, op: Any) -> None:
    with pytest.raises(ValueError, match="O_SYNC"):
        aio.aio_fsync(op, aio.aiocb(file))


def test_a_bad_descriptor_is_an_error_at_submission() -> None:
    """The only synchronous EBADF of glibc's."""
    cb = aio.aiocb(999)
    with pytest.raises(OSError, match="Bad file descriptor") as raised:
        aio.aio_fsync(os.O_SYNC, cb)
    assert raised.value.errno == errno.EBADF
    assert not flight.in_flight()


def test_a_sync_that_was_refused_was_never_submitted() -> None:
    cb = aio.aiocb(999)
    with pytest.raises(OSError, match="Bad file descriptor"):
        aio.aio_fsync(os.O_SYNC, cb)
    with pytest.raises(OSError, match="never submitted"):
        aio.aio_return(cb)


def test_a_sync_that_was_refused_lets_go_of_its_promise() -> None:
    called: list[object] = []
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=called.append)
    with pytest.raises(OSError, match="Bad file descriptor"):
        aio.aio_fsync(os.O_SYNC, aio.aiocb(999, aio_sigevent=event))
    assert not flight.owed()
    assert not called


def test_a_result_from_before_survives_a_refused_sync(file: int) -> None:
    cb = aio.aiocb(file, bytearray(4))
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    cb.aio_fildes = 999
    with pytest.raises(OSError, match="Bad file descriptor"):
        aio.aio_fsync(os.O_SYNC, cb)
    assert aio.aio_return(cb) == 4


def test_a_socket_cannot_be_synced(pair: tuple[socket.socket, socket.socket]) -> None:
    cb = aio.aiocb(pair[0])
    aio.aio_fsync(os.O_SYNC, cb)
    aio.aio_suspend([cb])
    assert aio.aio_error(cb) == errno.EINVAL


def test_a_sync_needs_no_buffer_and_leaves_one_alone(file: int) -> None:
    buffer = bytearray(b"alone")
    cb = aio.aiocb(file, buffer)
    aio.aio_fsync(os.O_DSYNC, cb)
    assert done(cb) == 0
    assert buffer == b"alone"


def test_a_sync_waits_for_what_was_written_before_through_the_same_descriptor() -> None:
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
with tempfile.TemporaryFile() as file:
    writing, syncing = aiocb(file, b"x"), aiocb(file)
    aio_write(writing)
    aio_fsync(os.O_SYNC, syncing)
    assert not aio_suspend([syncing], 0.1)
    release()
    aio_suspend([syncing])
    assert aio_error(writing) == 0
    assert (aio_return(writing), aio_return(syncing)) == (1, 0)
"""
    )


def test_a_sync_of_a_request_in_flight_is_refused(pipe: Pipe) -> None:
    """G18"""
    cb = pipe.blocked()
    with pytest.raises(BlockingIOError):
        aio.aio_fsync(os.O_SYNC, cb)


def test_an_op_that_is_not_an_int_leaves_nothing_in_flight(file: int) -> None:
    with pytest.raises((TypeError, ValueError)):
        aio.aio_fsync(float(os.O_DSYNC), aio.aiocb(file))  # type: ignore[arg-type]
    assert not flight.in_flight()


def test_a_sync_drops_its_priority_and_overtakes_less_urgent_writes(pipe: Pipe) -> None:
    """G21: documented, as glibc does it. A page read from a full pipe makes room for one of the two
    writes.
    """
    os.set_blocking(pipe.write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe.write, bytes(4096))
    os.set_blocking(pipe.write, True)
    first = aio.aiocb(pipe.write, bytes(4096), aio_reqprio=5)
    lazy = aio.aiocb(pipe.write, bytes(4096), aio_reqprio=5)
    sync = aio.aiocb(pipe.write, aio_reqprio=5)
    aio.aio_write(first)
    aio.aio_write(lazy)
    aio.aio_fsync(os.O_SYNC, sync)
    assert os.read(pipe.read, 4096)
    assert aio.aio_suspend([sync], 10)  # with EINVAL: a pipe has nothing to sync
    assert lazy.in_progress
    assert sync.aio_reqprio == 5
    assert os.read(pipe.read, 4096)
    assert done(first, lazy) == [4096, 4096]
