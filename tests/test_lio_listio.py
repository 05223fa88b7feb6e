"""lio_listio(3) takes many requests in one call. A signal cannot turn LIO_WAIT into a crash, and
lists have any length.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import threading
from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, Pipe, done
from deadline import eventually

import aio_posix as aio
from aio_posix import _calls, flight, signalled


def reads(fd: int, n: int, nbytes: int = 1, **fields: Any) -> list[aio.aiocb]:
    return [
        aio.aiocb(fd, bytearray(nbytes), i, aio_lio_opcode=aio.LIO_READ, **fields) for i in range(n)
    ]


def test_lio_wait_returns_when_all_are_complete(file: int) -> None:
    cbs = reads(file, 10)
    assert aio.lio_listio(aio.LIO_WAIT, cbs) is None
    assert [aio.aio_error(cb) for cb in cbs] == [0] * 10
    assert b"".join(cb.aio_buf for cb in cbs) == b"0123456789"


def test_lio_nowait_returns_at_once(pipe: Pipe) -> None:
    cbs = reads(pipe.read, 2)
    pipe.started += cbs
    aio.lio_listio(aio.LIO_NOWAIT, cbs)
    assert [cb.in_progress for cb in cbs] == [True, True]


def test_lio_wait_waits_for_the_slowest(pipe: Pipe, file: int) -> None:
    timer = threading.Timer(0.1, pipe.feed)
    timer.start()
    cbs = [*reads(file, 1), *reads(pipe.read, 1), *reads(file, 1)]
    aio.lio_listio(aio.LIO_WAIT, cbs)
    assert [aio.aio_return(cb) for cb in cbs] == [1, 1, 1]
    timer.join()


def test_a_list_mixes_reads_and_writes(file: int) -> None:
    read = aio.aiocb(file, bytearray(2), 8, aio_lio_opcode=aio.LIO_READ)
    write = aio.aiocb(file, b"ab", 0, aio_lio_opcode=aio.LIO_WRITE)
    aio.lio_listio(aio.LIO_WAIT, [read, write])
    assert done(read, write) == [2, 2]
    assert (read.aio_buf, os.pread(file, 3, 0)) == (b"89", b"ab2")


def test_none_and_lio_nop_entries_are_skipped(file: int) -> None:
    nop = aio.aiocb(999, bytearray(1))
    cbs = reads(file, 1)
    aio.lio_listio(aio.LIO_WAIT, [None, nop, *cbs, None])
    assert done(*cbs) == 1
    with pytest.raises(OSError, match="never submitted"):
        aio.aio_error(nop)


@pytest.mark.parametrize("mode", [aio.LIO_WAIT, aio.LIO_NOWAIT])
@pytest.mark.parametrize("nothing", [[], (), [None], [None, None]])
def test_a_list_without_requests_is_done(mode: int, nothing: Any) -> None:
    aio.lio_listio(mode, nothing)


def test_lio_wait_raises_eio_when_a_request_failed_and_each_tells_its_fate(file: int) -> None:
    cbs = [*reads(file, 1), *reads(999, 1), *reads(file, 1)]
    with pytest.raises(OSError, match="aio_error") as raised:
        aio.lio_listio(aio.LIO_WAIT, cbs)
    assert raised.value.errno == errno.EIO
    assert [aio.aio_error(cb) for cb in cbs] == [0, errno.EBADF, 0]


def test_lio_nowait_leaves_a_failure_to_aio_error() -> None:
    cbs = reads(999, 1)
    aio.lio_listio(aio.LIO_NOWAIT, cbs)
    aio.aio_suspend(cbs)
    assert aio.aio_error(cbs[0]) == errno.EBADF


@pytest.mark.parametrize("mode", [2, -1, 7, "LIO_WAIT", None])
def test_there_are_two_modes(file: int, mode: Any) -> None:
    with pytest.raises(ValueError, match="LioMode"):
        aio.lio_listio(mode, reads(file, 1))


@pytest.mark.parametrize("wrong", [[0], ["aiocb"], [object()], "ab"])
def test_only_requests_can_be_listed(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected an aiocb"):
        aio.lio_listio(aio.LIO_NOWAIT, wrong)


@pytest.mark.parametrize("mode", [aio.LIO_WAIT, aio.LIO_NOWAIT])
@pytest.mark.parametrize("wrong", [0, "sigevent", print])
def test_the_announcement_is_a_sigevent_or_none(mode: int, wrong: Any) -> None:
    with pytest.raises(TypeError, match="sig must be"):
        aio.lio_listio(mode, [], wrong)


def test_a_request_listed_twice_is_refused_with_nothing_submitted(file: int) -> None:
    """G18"""
    first, second = reads(file, 2)
    with pytest.raises(ValueError, match="listed twice"):
        aio.lio_listio(aio.LIO_NOWAIT, [first, second, first])
    with pytest.raises(OSError, match="never submitted"):
        aio.aio_error(second)


def test_a_list_with_a_request_in_flight_is_refused_with_nothing_submitted(
    pipe: Pipe, file: int
) -> None:
    """G18"""
    flying = pipe.blocked(aio_lio_opcode=aio.LIO_READ)
    other = reads(file, 1)[0]
    with pytest.raises(BlockingIOError):
        aio.lio_listio(aio.LIO_NOWAIT, [other, flying])
    with pytest.raises(OSError, match="never submitted"):
        aio.aio_error(other)
    assert len(flight.in_flight()) == 1


def test_a_list_with_a_buffer_of_the_wrong_kind_is_refused_with_nothing_submitted(
    file: int,
) -> None:
    wrong = aio.aiocb(file, b"read-only", aio_lio_opcode=aio.LIO_READ)
    cbs = reads(file, 1)
    with pytest.raises(TypeError, match="read-only"):
        aio.lio_listio(aio.LIO_NOWAIT, [*cbs, wrong])
    assert not flight.in_flight()


def test_of_two_threads_that_submit_overlapping_lists_one_wins(file: int) -> None:
    """G18"""
    for _ in range(50):
        cbs = reads(file, 20)
        barrier, outcomes = threading.Barrier(2), []

        def submit(
            cbs: list[aio.aiocb], barrier: threading.Barrier = barrier, out: list[int] = outcomes
        ) -> None:
            barrier.wait()
            try:
                aio.lio_listio(aio.LIO_NOWAIT, cbs)
                out.append(0)
            except BlockingIOError as error:
                out.append(error.errno)

        threads = [threading.Thread(target=submit, args=(part,)) for part in (cbs[:12], cbs[8:])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        accepted = {id(cb) for cb in cbs if _calls.state(cb)}
        assert outcomes.count(0) >= 1
        assert len(accepted) == (20 if outcomes == [0, 0] else 12)
        done(*[cb for cb in cbs if id(cb) in accepted])


# The announcement of a list


def test_a_callback_is_told_once_when_the_whole_list_is_complete(pipe: Pipe, file: int) -> None:
    called: list[Any] = []
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=called.append)
    cbs = [*reads(file, 3), *reads(pipe.read, 1)]
    aio.lio_listio(aio.LIO_NOWAIT, cbs, event)
    assert not eventually(lambda: called, 0.1)
    pipe.feed()
    assert eventually(lambda: called)
    assert called == [cbs]
    assert called[0] is cbs


def test_a_queue_is_told_the_value_of_the_list(file: int) -> None:
    with aio.CompletionQueue() as queue:
        cbs = reads(file, 3)
        aio.lio_listio(aio.LIO_NOWAIT, cbs, queue.sigevent("done"))
        assert queue.get(10) == ["done"]


def test_a_signal_carries_the_list(file: int, signo: int) -> None:
    cbs = reads(file, 3)
    aio.lio_listio(aio.LIO_NOWAIT, cbs, aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signo))
    info = aio.sigwaitinfo([signo], 10)
    assert info is not None
    assert info.si_value is cbs


@pytest.mark.parametrize("n", [1025, 5000])
def test_a_signal_for_a_long_list_comes_once_and_after_all_of_it(
    pipe: Pipe, file: int, signo: int, n: int
) -> None:
    """A list in pieces must not be announced with its last piece (G6)."""
    slow = reads(pipe.read, 1)
    cbs = [*slow, *reads(file, n - 1)]
    aio.lio_listio(aio.LIO_NOWAIT, cbs, aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signo))
    assert eventually(lambda: not cbs[-1].in_progress)
    assert aio.sigwaitinfo([signo], 0.1) is None
    pipe.feed()
    info = aio.sigwaitinfo([signo], 10)
    assert info is not None
    assert info.si_value is cbs
    assert aio.sigwaitinfo([signo], 0.1) is None


@pytest.mark.parametrize("n", [1024, 1025, 5000])
def test_a_queue_is_told_of_a_long_list_once_and_after_all_of_it(
    pipe: Pipe, file: int, n: int
) -> None:
    """G6"""
    with aio.CompletionQueue() as queue:
        cbs = [*reads(pipe.read, 1), *reads(file, n - 1)]
        aio.lio_listio(aio.LIO_NOWAIT, cbs, queue.sigevent())
        assert eventually(lambda: not cbs[-1].in_progress)
        assert queue.get(0.1) == []
        pipe.feed()
        assert queue.get(10)[0] is cbs
        assert queue.get(0.1) == []


@pytest.mark.parametrize("nothing", [[], [None]])
def test_an_empty_list_is_announced_at_once(nothing: list[None], signo: int) -> None:
    called: list[Any] = []
    aio.lio_listio(
        aio.LIO_NOWAIT, nothing, aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=called.append)
    )
    assert eventually(lambda: called == [nothing])
    aio.lio_listio(aio.LIO_NOWAIT, nothing, aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signo))
    info = aio.sigwaitinfo([signo], 10)
    assert info is not None
    assert info.si_value is nothing


def test_with_lio_wait_the_announcement_is_ignored(file: int) -> None:
    called: list[Any] = []
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=called.append)
    cbs = reads(file, 2)
    aio.lio_listio(aio.LIO_WAIT, cbs, event)
    assert not eventually(lambda: called, 0.1)
    done(*cbs)


def test_each_request_is_announced_beside_its_list(file: int) -> None:
    with aio.CompletionQueue() as queue:
        cbs = reads(file, 3, aio_sigevent=queue.sigevent())
        aio.lio_listio(aio.LIO_NOWAIT, cbs, queue.sigevent("list"))
        got: list[Any] = []
        assert eventually(lambda: got.extend(queue.get(0)) or len(got) == 4)
        assert got.count("list") == 1
        assert all(cb in got for cb in cbs)


def test_with_lio_wait_each_request_is_announced_by_its_own_sigevent(file: int) -> None:
    with aio.CompletionQueue() as queue:
        cbs = reads(file, 3, aio_sigevent=queue.sigevent())
        aio.lio_listio(aio.LIO_WAIT, cbs)
        got: list[Any] = []
        assert eventually(lambda: got.extend(queue.get(0)) or len(got) == 3)
        done(*cbs)


def test_a_lost_announcement_of_a_list_comes_all_the_same(file: int) -> None:
    """G4"""
    called: list[Any] = []
    lost = aio.sigevent(
        aio.SIGEV_THREAD, sigev_notify_function=called.append, sigev_notify_attributes=1 << 46
    )
    cbs = reads(file, 3)
    aio.lio_listio(aio.LIO_NOWAIT, cbs, lost)
    assert eventually(lambda: called)
    assert not eventually(lambda: len(called) > 1, 0.6)
    done(*cbs)


def test_the_requests_of_a_list_live_until_it_is_announced(file: int) -> None:
    """Whoever drops them, or empties the list (G11)."""
    with aio.CompletionQueue() as queue:
        cbs = reads(file, 3)
        lost = aio.sigevent(
            aio.SIGEV_THREAD,
            sigev_notify_function=queue,
            sigev_value="done",
            sigev_notify_attributes=1 << 46,
        )
        aio.lio_listio(aio.LIO_NOWAIT, cbs, lost)
        done(*cbs)
        cbs.clear()
        gc.collect()
        assert queue.get(10) == ["done"]


def test_a_list_that_nobody_holds_is_announced_with_all_its_requests(
    signo: int, pipe: Pipe
) -> None:
    """G11"""
    aio.lio_listio(
        aio.LIO_NOWAIT, reads(pipe.read, 2), aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signo)
    )
    gc.collect()
    pipe.feed(b"ab")
    info = aio.sigwaitinfo([signo], 10)
    assert info is not None
    assert done(*info.si_value) == [1, 1]


def test_the_same_list_may_be_submitted_again_and_again(file: int, signo: int) -> None:
    cbs = reads(file, 3)
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signo)
    before = set(signalled.signalled)
    for _ in range(200):
        aio.lio_listio(aio.LIO_NOWAIT, cbs, event)
        info = aio.sigwaitinfo([signo], 10)
        assert info is not None
        assert info.si_value is cbs
        done(*cbs)
    assert len(set(signalled.signalled) - before) < 10


# A wait that a signal interrupts (G5)


def test_signal_handlers_run_during_lio_wait_which_goes_on(pipe: Pipe) -> None:
    """glibc would crash when the request completes (G5)."""
    seen: list[int] = []
    old = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    timer = threading.Timer(0.3, pipe.feed)
    timer.start()
    cbs = reads(pipe.read, 1)
    aio.lio_listio(aio.LIO_WAIT, cbs)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)
    timer.join()
    assert len(seen) > 3
    done(*cbs)


def test_ctrl_c_ends_lio_wait_and_the_requests_go_on() -> None:
    """G5"""
    output = fresh.output("""
        import os, signal, threading
        from aio_posix import *
        def deep(n, *args): return deep(n - 1, *args) if n else lio_listio(*args)
        for _ in range(5):
            r, w = os.pipe()
            cbs = [aiocb(r, bytearray(1), aio_lio_opcode=LIO_READ) for _ in range(20)]
            timer = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT])
            timer.start()
            try:
                deep(50, LIO_WAIT, cbs)
            except KeyboardInterrupt:
                print("interrupted")
            timer.join()
            os.write(w, bytes(20))
            for cb in cbs:
                aio_suspend([cb])
                assert aio_return(cb) == 1
        """)
    assert output == "interrupted\n" * 5


def test_ctrl_c_during_the_submission_of_a_long_list_leaves_all_or_nothing_submitted() -> None:
    """Whatever was promised for the list is kept (G5)."""
    fresh.output("""
        import gc, os, signal, time
        from aio_posix import *
        from aio_posix import _calls, flight
        class Stop(Exception): pass
        def stop(*_): raise Stop
        signal.signal(signal.SIGALRM, stop)
        fd = os.memfd_create("m"); os.write(fd, b"x")
        hit, called = 0, []
        event = sigevent(SIGEV_THREAD, sigev_notify_function=called.append)
        def eventually(true):
            end = time.monotonic() + 20
            while not true() and time.monotonic() < end: time.sleep(0.001)
            return true()
        for i in range(30):
            cbs = [aiocb(fd, bytearray(1), aio_lio_opcode=LIO_READ) for _ in range(6000)]
            called.clear()
            signal.setitimer(signal.ITIMER_REAL, 0.001 + i * 0.001)
            try:
                lio_listio(LIO_NOWAIT, cbs, event)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Stop:
                hit += 1
            submitted = {_calls.state(cb) != 0 for cb in cbs}
            assert len(submitted) == 1, "some"
            if submitted == {True}:
                assert eventually(lambda: called), "not told"
                assert called[0] is cbs
                for cb in cbs: aio_suspend([cb]); aio_return(cb)
            assert eventually(lambda: not flight.in_flight() and not flight.owed()), flight.owed()
        assert hit > 3, hit
        """)


def test_a_callback_that_submits_again_does_not_keep_lio_wait_waiting(file: int) -> None:
    rounds = 0

    def callback(cb: aio.aiocb) -> None:
        nonlocal rounds
        rounds += 1
        if rounds < 2000:
            aio.aio_read(cb)

    cbs = reads(
        file, 1, aio_sigevent=aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=callback)
    )
    aio.lio_listio(aio.LIO_WAIT, cbs)
    assert rounds < 2000
    assert eventually(lambda: rounds == 2000, 30)


# Long lists (G6)


@pytest.mark.parametrize(
    ("mode", "thread"),
    [("LIO_WAIT", False), ("LIO_NOWAIT", True)],
    ids=["main thread", "thread with a small stack"],
)
def test_a_list_of_100_000_works_in_every_thread(mode: str, thread: bool) -> None:
    """glibc copies the list to the stack (G6)."""
    fresh.output(
        FULL_POOL
        + f"""
fds = [memfd(b"x" * 4) for _ in range(16)]
def work():
    queue = CompletionQueue()
    cbs = [aiocb(fds[i % 16], bytearray(1), i % 4, aio_lio_opcode=LIO_READ) for i in range(100_000)]
    lio_listio({mode}, cbs, queue.sigevent("told"))
    if {mode} == LIO_NOWAIT: assert queue.get(60) == ["told"]
    assert sum(map(aio_return, cbs)) == 100_000
    finished.append(True)
finished = []
if {thread}:
    threading.stack_size(65536)
    thread = threading.Thread(target=work)
    thread.start(); thread.join()
else:
    work()
assert finished
"""
    )


def test_a_signal_for_a_list_of_20_000_works_in_a_thread_with_a_small_stack() -> None:
    """Such a list is not cut, or the signal would come too early (G6)."""
    fresh.output(
        FULL_POOL
        + """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
fds = [memfd(b"x" * 4) for _ in range(16)]
def work():
    cbs = [aiocb(fds[i % 16], bytearray(1), i % 4, aio_lio_opcode=LIO_READ) for i in range(20_000)]
    lio_listio(LIO_NOWAIT, cbs, sigevent(SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN))
    assert sigwaitinfo([signal.SIGRTMIN], 60).si_value is cbs
    assert sum(map(aio_return, cbs)) == 20_000
    finished.append(True)
finished = []
threading.stack_size(65536)
thread = threading.Thread(target=work)
thread.start(); thread.join()
assert finished
"""
    )


def test_what_glibc_has_no_memory_for_fails_with_eagain_and_does_not_hang() -> None:
    """What a larger aio_num, given past our aio_init, does to every request after it (G17)."""
    fresh.output(
        FULL_POOL
        + """
import ctypes
fields = [("threads", ctypes.c_int), ("num", ctypes.c_int)]
fields += [(f"f{i}", ctypes.c_int) for i in range(6)]
class aioinit(ctypes.Structure): _fields_ = fields
ctypes.CDLL(None).aio_init(ctypes.byref(aioinit(20, 2**31 - 1)))
fd = memfd(b"x")
cbs = [aiocb(fd, bytearray(1), aio_lio_opcode=LIO_READ) for _ in range(3)]
try:
    lio_listio(LIO_NOWAIT, cbs)
except BlockingIOError as error:
    assert error.errno == errno.EAGAIN
    assert [aio_error(cb) for cb in cbs] == [errno.EAGAIN] * 3
else:
    assert all(aio_suspend([cb], 10) for cb in cbs)     # a machine with memory for that
try:
    lio_listio(LIO_WAIT, cbs)
except OSError as error:
    assert error.errno == errno.EIO
"""
    )
