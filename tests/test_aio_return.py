"""aio_return(3) gives the result, once."""

from __future__ import annotations

import errno
import os
import threading
from typing import Any

import fresh
import pytest
from conftest import Pipe, done

import aio_posix as aio
from aio_posix import flight


def complete(fd: int, *args: Any) -> aio.aiocb:
    cb = aio.aiocb(fd, *args)
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    return cb


def test_the_result_is_the_count(file: int) -> None:
    assert aio.aio_return(complete(file, bytearray(100))) == 10


def test_the_result_is_there_once(file: int) -> None:
    """glibc gives it any number of times (G8)."""
    cb = complete(file, bytearray(4))
    aio.aio_return(cb)
    with pytest.raises(OSError, match="has been returned") as raised:
        aio.aio_return(cb)
    assert raised.value.errno == errno.EINVAL


def test_the_buffer_is_free_when_the_result_is_there() -> None:
    """Even if the sweeper is about to notice the end, and waits for the GIL with which to do so."""
    program = """
    import socket, sys, time
    from aio_posix import aio_read, aio_return, aiocb
    here, there = socket.socketpair()
    there.send(b"hello")
    buffer = bytearray(5)
    cb = aiocb(here, buffer)
    sys.setswitchinterval(1000)
    aio_read(cb)
    sweeps = time.monotonic() + 1  # four, in which this thread keeps the GIL
    while time.monotonic() < sweeps:
        pass
    assert aio_return(cb) == 5
    buffer.extend(b"!")
    here.close()
    try:
        there.send(b"?")
    except BrokenPipeError:
        print("so is the socket")
    """
    assert fresh.output(program) == "so is the socket\n"


def test_a_request_never_submitted_has_no_result(file: int) -> None:
    """glibc gives 0 (G8)."""
    with pytest.raises(OSError, match="never submitted") as raised:
        aio.aio_return(aio.aiocb(file, bytearray(4)))
    assert raised.value.errno == errno.EINVAL


def test_a_request_in_flight_has_no_result_yet(pipe: Pipe) -> None:
    """glibc gives 0, or -1 (G8)."""
    with pytest.raises(BlockingIOError, match="in flight") as raised:
        aio.aio_return(pipe.blocked())
    assert raised.value.errno == errno.EINPROGRESS


def test_asking_too_early_loses_nothing(pipe: Pipe) -> None:
    """G8"""
    cb = pipe.blocked()
    with pytest.raises(BlockingIOError):
        aio.aio_return(cb)
    pipe.feed(b"abc")
    assert done(cb) == 3


@pytest.mark.parametrize(
    ("path", "flags", "kind"),
    [
        ("/", os.O_RDONLY, IsADirectoryError),
        ("/dev/null", os.O_WRONLY, OSError),
    ],
)
def test_the_request_raises_its_own_error(path: str, flags: int, kind: type[OSError]) -> None:
    fd = os.open(path, flags)
    cb = complete(fd, bytearray(4))
    expected = aio.aio_error(cb)
    with pytest.raises(kind) as raised:
        aio.aio_return(cb)
    assert (raised.value.errno, raised.value.strerror) == (expected, os.strerror(expected))
    os.close(fd)


def test_an_error_is_raised_once_too() -> None:
    cb = complete(999, bytearray(4))
    with pytest.raises(OSError, match="Bad file descriptor"):
        aio.aio_return(cb)
    with pytest.raises(OSError, match="has been returned"):
        aio.aio_return(cb)


def test_a_cancelled_request_raises_ecanceled(pipe: Pipe) -> None:
    pipe.blocked()
    queued = pipe.blocked()
    aio.aio_cancel(pipe.read)
    with pytest.raises(OSError, match=r"[Cc]ancel") as raised:
        aio.aio_return(queued)
    assert raised.value.errno == errno.ECANCELED


def test_of_many_threads_one_gets_the_result(file: int) -> None:
    """G8"""
    for _ in range(100):
        cb = complete(file, bytearray(4))
        barrier, results = threading.Barrier(4), []

        def take(
            cb: aio.aiocb = cb, barrier: threading.Barrier = barrier, results: list[int] = results
        ) -> None:
            barrier.wait()
            try:
                results.append(aio.aio_return(cb))
            except OSError as error:
                results.append(-error.errno)

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [-errno.EINVAL] * 3 + [4]


def test_a_returned_request_holds_neither_buffer_nor_anything_in_flight(file: int) -> None:
    buffer = bytearray(4)
    aio.aio_return(complete(file, buffer))
    assert not flight.in_flight()
    buffer.clear()


@pytest.mark.parametrize("wrong", [None, 0, "aiocb", [], object()])
def test_only_an_aiocb_has_a_result(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected an aiocb"):
        aio.aio_return(wrong)


def test_in_its_own_callback_a_request_is_complete(file: int) -> None:
    results: list[int] = []
    called = threading.Event()

    def callback(cb: aio.aiocb) -> None:
        results.append(aio.aio_error(cb))
        results.append(aio.aio_return(cb))
        called.set()

    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=callback)
    aio.aio_read(aio.aiocb(file, bytearray(4), aio_sigevent=event))
    assert called.wait(10)
    assert results == [0, 4]
