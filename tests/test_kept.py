"""What a submission keeps until it is over (G11): a socket's descriptor, its sigevent, and what the
program would otherwise lose at the last moment.
"""

from __future__ import annotations

import errno
import gc
import os
import socket
import warnings
import weakref
from pathlib import Path

import fresh
import pytest
from conftest import FULL_POOL, Pipe, done
from deadline import eventually

import aio_posix as aio


def at_end(peer: socket.socket) -> bool:
    """Whether the other side has closed its socket."""
    peer.setblocking(False)
    try:
        return peer.recv(1) == b""
    except BlockingIOError:
        return False


def test_a_closed_socket_stays_open_until_its_request_is_over() -> None:
    here, there = socket.socketpair()
    fd = here.fileno()
    cb = aio.aiocb(here, bytearray(1))
    aio.aio_read(cb)
    here.close()
    os.fstat(fd)
    assert not at_end(there)
    there.send(b"x")
    assert done(cb) == 1
    assert eventually(lambda: at_end(there))
    there.close()


def test_a_closed_socket_goes_though_nobody_looks_at_its_request() -> None:
    here, there = socket.socketpair()
    cb = aio.aiocb(here, bytearray(1))
    aio.aio_read(cb)
    here.close()
    there.send(b"x")
    assert eventually(lambda: at_end(there))
    done(cb)
    there.close()


def test_a_socket_with_several_requests_goes_after_the_last_one() -> None:
    here, there = socket.socketpair()
    cbs = [aio.aiocb(here, bytearray(1)) for _ in range(3)]
    for cb in cbs:
        aio.aio_read(cb)
    here.close()
    for cb in cbs:
        assert not at_end(there)
        there.send(b"x")
        assert done(cb) == 1
    assert eventually(lambda: at_end(there))
    there.close()


def test_a_file_that_was_closed_in_flight_is_warned_of(pipe: Pipe) -> None:
    """glibc goes on with the number, which may be another file's by then."""
    file = os.fdopen(os.dup(pipe.read), "rb", buffering=0)
    cb = aio.aiocb(file, bytearray(1))
    aio.aio_read(cb)
    pipe.started.append(cb)
    eventually(lambda: False, 0.05)
    file.close()
    pipe.feed()
    with pytest.warns(ResourceWarning, match=r"closed while a request on its descriptor \d+"):
        done(cb)


def test_a_file_that_is_closed_afterwards_is_not_warned_of(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with (tmp_path / "file").open("wb", buffering=0) as file:
            cb = aio.aiocb(file, b"x")
            aio.aio_write(cb)
            assert done(cb) == 1
        gc.collect()


def test_a_sigevent_in_use_cannot_be_made_anew_until_its_request_is_over(pipe: Pipe) -> None:
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=lambda cb: None)
    cb = pipe.blocked(aio_sigevent=event)
    with pytest.raises(BlockingIOError) as refused:
        event.__init__()  # type: ignore[misc]
    assert refused.value.errno == errno.EINPROGRESS
    pipe.feed()
    done(cb)

    def made_anew() -> bool:
        try:
            event.__init__()  # type: ignore[misc]
        except BlockingIOError:
            return False
        return True

    assert eventually(made_anew)


def test_a_cycle_through_a_sigevent_is_collected(file: int) -> None:
    class Holder:
        cb: aio.aiocb | None = None

        def called(self, cb: aio.aiocb) -> None: ...

    holder = Holder()
    gone = weakref.ref(holder)
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=holder.called)
    holder.cb = aio.aiocb(file, bytearray(1), aio_sigevent=event)
    del holder, event
    gc.collect()
    assert gone() is None


def test_a_refused_submission_releases_the_value_that_it_promised() -> None:
    class Value: ...

    value = Value()
    gone = weakref.ref(value)
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=print, sigev_value=value)
    with pytest.raises(OSError, check=lambda error: error.errno == errno.EBADF):
        aio.aio_fsync(os.O_SYNC, aio.aiocb(2**31 - 1, aio_sigevent=event))
    del value, event
    gc.collect()
    assert gone() is None


def test_what_came_out_of_a_queue_has_released_its_buffer(file: int) -> None:
    with aio.CompletionQueue() as queue:
        buffer = bytearray(4)
        aio.aio_read(aio.aiocb(file, buffer, aio_sigevent=queue.sigevent()))
        (cb,) = queue.get(10)
        buffer.clear()
        assert aio.aio_return(cb) == 4


def test_what_another_thread_submits_while_the_drain_ends_is_written(tmp_path: Path) -> None:
    """Between the drain and the closing of the gate (G16)."""
    path = tmp_path / "file"
    fresh.output(
        "import atexit, os; atexit.register(os._exit, 0)  # called last"
        + FULL_POOL
        + f"""
from aio_posix import flight
real = flight.lib
class Lib:
    def __getattr__(self, name): return getattr(real, name)
    def gate_close(self):
        fd = os.open({str(path)!r}, os.O_WRONLY | os.O_CREAT)
        lio_listio(LIO_NOWAIT, [aiocb(fd, bytes(65536), i * 65536, aio_lio_opcode=LIO_WRITE)
                                for i in range(400)])
        real.gate_close()
flight.lib = Lib()
first = aiocb(memfd(), b"x"); aio_write(first)
"""
    )
    assert path.stat().st_size == 400 * 65536
