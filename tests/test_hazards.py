"""The rows of docs/design.md's hazards, each taken away or turned into a clear error.

G2 and G3 are what one descriptor is (one queue): they are documented and studied.  G10 is in
test_fork.py, G12 and G16 in test_exit.py, G13's tasks in the tests of asyncio.
"""

from __future__ import annotations

import errno
import math
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import fresh
import pytest
from deadline import TAKEN, eventually

import aio_posix as aio
from aio_posix import flight

FULL_POOL = f"""\
import os, tempfile, time, errno, signal, resource, threading, socket, sys
import aio_posix as aio
def full_pool(threads=1):
    "A pool all of whose helpers are blocked; a call to what it returns releases them."
    aio.aio_init(aio_threads=threads)
    pipes = [os.pipe() for _ in range(threads)]
    blocked = [aio.aiocb(r, bytearray(1)) for r, _ in pipes]
    for cb in blocked: aio.aio_read(cb)
    time.sleep({TAKEN})
    def release():
        for _, w in pipes: os.write(w, b"x")
        while not all(aio.aio_error(cb) == 0 for cb in blocked): time.sleep(0.001)
    return release
"""


@pytest.fixture
def file() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(b"0123456789" * 10)
        yield file


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets; what still reads from them at the end is let go, and nothing stays in
    flight.
    """
    here, there = socket.socketpair()
    yield here, there
    here.shutdown(socket.SHUT_RDWR)
    assert eventually(
        lambda: all(flight.look(kept[0]) & 3 != 1 for kept in list(flight.in_flight.values()))
    )
    here.close()
    there.close()


def refused(error: int) -> pytest.RaisesExc[OSError]:
    return pytest.raises(OSError, check=lambda raised: raised.errno == error)


def test_aio_init_after_the_first_request_is_an_error_that_says_so(file: IO[bytes]) -> None:
    """G1"""
    cb = aio.aiocb(file, bytearray(1))
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    with pytest.raises(OSError, match="too late"):
        aio.aio_init(aio_threads=4)


def test_the_21st_blocked_read_waits_for_a_thread_and_so_does_a_file() -> None:
    """G1"""
    fresh.output(
        FULL_POOL
        + """
release = full_pool(20)
with tempfile.TemporaryFile() as file:
    cb = aio.aiocb(file, bytearray(1))
    aio.aio_read(cb)
    assert not aio.aio_suspend([cb], 0.2)
    release()
    assert aio.aio_suspend([cb], 10)
"""
    )


@pytest.mark.parametrize("kind", ["callable", "queue"])
def test_a_notification_that_glibc_lost_comes_all_the_same_and_once(
    file: IO[bytes], kind: str
) -> None:
    """G4: a stack of 64 TiB makes pthread_create fail, which glibc does not notice."""
    told: list[object] = []
    queue = aio.CompletionQueue()
    function = told.append if kind == "callable" else queue
    lost = aio.sigevent(
        aio.SIGEV_THREAD, sigev_notify_function=function, sigev_notify_attributes=1 << 46
    )
    cbs = [aio.aiocb(file, bytearray(1), i, aio_sigevent=lost) for i in range(50)]
    for cb in cbs:
        aio.aio_read(cb)

    def collected() -> bool:
        told.extend(queue.get(0))
        return len(told) >= len(cbs)

    assert eventually(collected)
    assert not eventually(lambda: queue.get(0) or len(told) > len(cbs), 0.6)
    assert set(map(id, told)) == set(map(id, cbs))
    queue.close()


def test_with_thread_creation_forbidden_a_callback_still_comes() -> None:
    """G4"""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody whose limit binds")
    fresh.output(
        FULL_POOL
        + """
os.setgid(65534); os.setuid(65534)
file = os.memfd_create("m")
os.write(file, b"x" * 100)
first = aio.aiocb(file, bytearray(1))
aio.aio_read(first); aio.aio_suspend([first])   # one helper is there now
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
told = []
event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=told.append)
cbs = [aio.aiocb(file, bytearray(1), i, aio_sigevent=event) for i in range(20)]
for cb in cbs: aio.aio_read(cb)
end = time.monotonic() + 10
while len(told) < 20 and time.monotonic() < end: time.sleep(0.01)
time.sleep(0.6)
assert len(told) == 20, len(told)
"""
    )


@pytest.mark.parametrize(
    "wait", ["aio.lio_listio(aio.LIO_WAIT, [cb])", "aio.aio_suspend([cb])", "queue.get()"]
)
def test_a_signal_handler_that_raises_ends_the_wait_and_not_the_process(wait: str) -> None:
    """G5: the request completes after the wait has been left."""
    fresh.output(
        FULL_POOL
        + f"""
here, there = socket.socketpair()
queue = aio.CompletionQueue()
cb = aio.aiocb(here, bytearray(1), aio_lio_opcode=aio.LIO_READ)
def interrupt(*_): raise InterruptedError
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.2)
if not {wait!r}.startswith("aio.lio"): aio.aio_read(cb)
try:
    {wait}
    raise SystemExit("not interrupted")
except InterruptedError:
    pass
there.send(b"x")
assert aio.aio_suspend([cb], 10) and aio.aio_return(cb) == 1
"""
    )


@pytest.mark.parametrize("stack", [0, 65536])
def test_a_list_of_100_000_works_in_any_thread(stack: int) -> None:
    """G6"""
    fresh.output(
        FULL_POOL
        + f"""
import threading
file = os.memfd_create("m"); os.write(file, b"x" * 8)
def work():
    cbs = [aio.aiocb(file, bytearray(1), aio_lio_opcode=aio.LIO_READ) for _ in range(100_000)]
    aio.lio_listio(aio.LIO_NOWAIT, cbs)
    assert aio.aio_suspend(cbs, 60)
    while sum(aio.aio_error(cb) == 0 for cb in cbs) < len(cbs): time.sleep(0.01)
    assert sum(map(aio.aio_return, cbs)) == len(cbs)
    done.append(True)
done = []
if {stack}: threading.stack_size({stack})
thread = threading.Thread(target=work); thread.start(); thread.join()
assert done
"""
    )


@pytest.mark.parametrize("timeout", [0, 1e-9, 0.0199999999999, 0.1])
def test_any_timeout_that_makes_sense_ends_without_an_abort(
    pair: tuple[socket.socket, socket.socket], timeout: float
) -> None:
    """G7"""
    cb = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(cb)
    assert aio.aio_suspend([cb], timeout) is False
    pair[1].send(b"x")
    assert aio.aio_suspend([cb], 10)


@pytest.mark.parametrize("timeout", [1.9999999999, 1e20, math.inf])
def test_a_long_timeout_lasts_until_the_completion(
    pair: tuple[socket.socket, socket.socket], timeout: float
) -> None:
    """G7"""
    cb = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(cb)
    threading.Timer(0.1, pair[1].send, [b"x"]).start()
    assert aio.aio_suspend([cb], timeout)


@pytest.mark.parametrize("timeout", [-1, -1e-9, math.nan, -math.inf])
def test_a_timeout_that_makes_no_sense_is_refused(file: IO[bytes], timeout: float) -> None:
    """G7"""
    cb = aio.aiocb(file, bytearray(1))
    aio.aio_read(cb)
    for wait in (
        lambda: aio.aio_suspend([cb], timeout),
        lambda: aio.sigwaitinfo([signal.SIGUSR1], timeout),
    ):
        with pytest.raises(ValueError, match="timeout"):
            wait()
    aio.aio_suspend([cb])


@pytest.mark.parametrize("nothing", [[], [None, None]])
def test_there_must_be_something_to_wait_for(nothing: list[None]) -> None:
    """G7"""
    with pytest.raises(ValueError, match="nothing to wait for"):
        aio.aio_suspend(nothing)


def test_a_result_is_there_once_and_neither_early_nor_twice(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """G8"""
    cb = aio.aiocb(pair[0], bytearray(4))
    for call in (aio.aio_error, aio.aio_return):
        with refused(errno.EINVAL):
            call(cb)
    aio.aio_read(cb)
    with refused(errno.EINPROGRESS):
        aio.aio_return(cb)
    pair[1].send(b"ab")
    assert aio.aio_suspend([cb], 10)
    assert (aio.aio_error(cb), aio.aio_return(cb)) == (0, 2)
    for call in (aio.aio_error, aio.aio_return):
        with refused(errno.EINVAL):
            call(cb)


@pytest.mark.parametrize("signo", [0, -1, 32, 33, 65, 99])
def test_a_signal_that_cannot_be_sent_is_refused_before_the_result_could_be_overwritten(
    signo: int,
) -> None:
    """G9"""
    with pytest.raises(ValueError, match="not a signal"):
        aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signo)


def test_a_buffer_in_flight_cannot_be_resized_and_is_free_afterwards(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """G11"""
    buffer = bytearray(8)
    cb = aio.aiocb(pair[0], buffer)
    aio.aio_read(cb)
    with pytest.raises(BufferError):
        buffer.clear()
    pair[1].send(b"x")
    assert aio.aio_suspend([cb], 10)
    assert aio.aio_return(cb) == 1
    buffer.clear()


def test_a_request_dropped_in_flight_warns_and_leaves_nothing_behind(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """G11"""
    cb = aio.aiocb(pair[0], bytearray(8))
    aio.aio_read(cb)
    with pytest.warns(ResourceWarning, match="dropped while in flight"):
        del cb
    assert len(flight.in_flight) == 1
    pair[1].send(b"x")
    assert eventually(lambda: not flight.in_flight)


def test_a_file_object_given_as_aio_fildes_lives_as_long_as_the_request(tmp_path: Path) -> None:
    """G11: its descriptor would be closed, and reused, by a garbage collection."""
    fresh.output(
        FULL_POOL
        + f"""
release = full_pool()
file = open({str(tmp_path / "right")!r}, "wb", buffering=0)
cb = aio.aiocb(file, b"right")
aio.aio_write(cb)
del file
other = open({str(tmp_path / "wrong")!r}, "wb")
release()
aio.aio_suspend([cb]); aio.aio_return(cb)
assert open({str(tmp_path / "right")!r}, "rb").read() == b"right"
assert open({str(tmp_path / "wrong")!r}, "rb").read() == b""
"""
    )


def test_a_running_request_cannot_be_cancelled_but_shutdown_ends_it(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """G13"""
    cb = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(cb)
    assert not eventually(lambda: False, TAKEN)
    assert aio.aio_cancel(pair[0], cb) == aio.AIO_NOTCANCELED
    pair[0].shutdown(socket.SHUT_RD)
    assert aio.aio_suspend([cb], 10)
    assert aio.aio_return(cb) == 0
    assert aio.aio_cancel(pair[0], cb) == aio.AIO_ALLDONE


def test_an_exception_in_a_callback_goes_to_unraisablehook_and_the_next_callback_runs(
    file: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """G14"""
    hooked: list[object] = []
    monkeypatch.setattr(
        "sys.unraisablehook", lambda args: hooked.append((args.exc_type, args.object))
    )
    told: list[object] = []

    def callback(cb: aio.aiocb) -> None:
        told.append(cb)
        raise KeyError

    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=callback)
    for _ in range(3):
        aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
    assert eventually(lambda: len(hooked) == 3)
    assert hooked == [(KeyError, callback)] * 3
    assert len(told) == 3


def test_cancelling_a_head_strands_nobody() -> None:
    """G15: the pool is full, so the head has not started; its followers have priorities and every
    notification.
    """
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
file = os.memfd_create("m")
queue, list_queue, told = aio.CompletionQueue(), aio.CompletionQueue(), []
callback = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=told.append)
head = aio.aiocb(file, b"00", 0)
called = aio.aiocb(file, b"11", 2, aio_sigevent=callback, aio_reqprio=5)
queued = aio.aiocb(file, b"22", 4, aio_sigevent=queue.sigevent())
listed = aio.aiocb(file, b"33", 6, aio_lio_opcode=aio.LIO_WRITE)
for cb in (head, called, queued): aio.aio_write(cb)
aio.lio_listio(aio.LIO_NOWAIT, [listed], list_queue.sigevent("list"))
assert aio.aio_cancel(file, head) == aio.AIO_CANCELED
assert aio.aio_error(head) == errno.ECANCELED
assert not told and not queue.get(0.3) and not list_queue.get(0.3)
release()
assert queue.get(10) == [queued] and list_queue.get(10) == ["list"]
while not told: time.sleep(0.001)
assert [aio.aio_return(cb) for cb in (called, queued, listed)] == [2, 2, 2]
assert os.pread(file, 10, 0) == bytes(2) + b"112233"
time.sleep(0.6)
assert told == [called] and not queue.get(0) and not list_queue.get(0)
"""
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"aio_threads": 0},
        {"aio_threads": -1},
        {"aio_num": 0},
        {"aio_num": 2**31 - 1},
        {"aio_idle_time": 2**31},
    ],
)
def test_aio_init_refuses_what_would_be_changed_in_silence_or_end_all_aio(
    wrong: dict[str, int],
) -> None:
    """G17"""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        aio.aio_init(**wrong)


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


def test_nothing_of_ours_dies_of_a_signal_blocked_for_sigwaitinfo() -> None:
    """G19: the sweeper, our one thread, blocks every signal; helpers of glibc do, too."""
    fresh.output(
        FULL_POOL
        + """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
file = os.memfd_create("m"); os.write(file, b"x")
event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN)
for _ in range(200):
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=event)
    aio.aio_read(cb)
    assert aio.sigwaitinfo([signal.SIGRTMIN], 10).si_value is cb
    aio.aio_return(cb)
"""
    )


def test_a_write_of_more_than_linux_moves_at_once_tells_how_much_it_moved() -> None:
    """G20: 3 GiB of zeros nobody ever touched, to a file without room on disk."""
    fresh.output(
        """
import mmap, os
import aio_posix as aio
memory = mmap.mmap(-1, 3 << 30)
cb = aio.aiocb(os.open("/dev/null", os.O_WRONLY), memory)
aio.aio_write(cb)
aio.aio_suspend([cb])
assert aio.aio_return(cb) in (0x7FFFF000, 3 << 30)
"""
    )


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
