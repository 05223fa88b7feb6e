"""sigwaitinfo(2) with si_value, also for signals that have nothing to do with AIO."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import fresh
import pytest
from conftest import SIGNO, Pipe, done

import aio_posix as aio


@pytest.fixture(autouse=True)
def blocked(signo: int) -> None:
    """All tests wait for the one signal that is blocked."""


def sigqueue(signo: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.sigqueue(os.getpid(), signo, ctypes.c_void_p(value)) == 0


def test_a_completion_is_told_with_its_request(file: int) -> None:
    cb = aio.aiocb(
        file, bytearray(1), aio_sigevent=aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO)
    )
    aio.aio_read(cb)
    info = aio.sigwaitinfo([SIGNO])
    assert info is not None
    assert (info.si_signo, info.si_code) == (SIGNO, -4)
    assert (info.si_pid, info.si_uid) == (os.getpid(), os.getuid())
    assert info.si_value is cb
    assert done(cb) == 1


def test_a_siginfo_has_five_fields() -> None:
    assert aio.siginfo._fields == ("si_signo", "si_code", "si_value", "si_pid", "si_uid")


def test_it_waits_for_the_completion(pipe: Pipe) -> None:
    cb = pipe.blocked(aio_sigevent=aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO))
    timer = threading.Timer(0.1, pipe.feed)
    timer.start()
    info = aio.sigwaitinfo([SIGNO])
    assert info is not None
    assert info.si_value is cb
    timer.join()


def test_real_time_signals_queue(file: int) -> None:
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO)
    cbs = [aio.aiocb(file, bytearray(1), aio_sigevent=event) for _ in range(50)]
    for cb in cbs:
        aio.aio_read(cb)
    got = [aio.sigwaitinfo([SIGNO], 10) for _ in cbs]
    assert [info.si_value for info in got if info is not None] == cbs
    done(*cbs)


def test_the_timeout_ends_the_wait() -> None:
    begin = time.monotonic()
    assert aio.sigwaitinfo([SIGNO], 0.2) is None
    assert time.monotonic() - begin >= 0.2


@pytest.mark.parametrize("timeout", [0, 1e-9, 5e-324, False, 0.0199999999999])
def test_any_short_timeout_is_a_poll(timeout: Any) -> None:
    """G7"""
    assert aio.sigwaitinfo([SIGNO], timeout) is None


@pytest.mark.parametrize("timeout", [None, 1.9999999999, 1e9, 1e20, math.inf, 10**30])
def test_any_long_timeout_waits_for_the_signal(timeout: Any) -> None:
    """G7"""
    timer = threading.Timer(0.05, os.kill, [os.getpid(), SIGNO])
    timer.start()
    info = aio.sigwaitinfo([SIGNO], timeout)
    assert info is not None
    assert info.si_signo == SIGNO
    timer.join()


@pytest.mark.parametrize("timeout", [-1, -1e-9, math.nan, -math.inf])
def test_a_timeout_is_a_length_of_time(timeout: float) -> None:
    """G7"""
    with pytest.raises(ValueError, match="timeout"):
        aio.sigwaitinfo([SIGNO], timeout)


@pytest.mark.parametrize(
    "wrong", [[0], [-1], [32], [33], [65], [99], ["SIGUSR1"], [SIGNO, 0], [2**40]]
)
def test_only_signals_can_be_waited_for(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        aio.sigwaitinfo(wrong, 0)


@pytest.mark.parametrize("wrong", [SIGNO, None, 1.5])
def test_signals_come_in_an_iterable(wrong: Any) -> None:
    with pytest.raises(TypeError, match="iterable"):
        aio.sigwaitinfo(wrong, 0)


def test_any_iterable_of_signals_will_do() -> None:
    for signals in ({SIGNO}, (SIGNO,), iter([SIGNO]), [signal.Signals.SIGUSR1, SIGNO]):
        os.kill(os.getpid(), SIGNO)
        assert aio.sigwaitinfo(signals, 10) is not None


def test_a_signal_from_kill_tells_its_sender() -> None:
    os.kill(os.getpid(), SIGNO)
    info = aio.sigwaitinfo([SIGNO], 10)
    assert info is not None
    assert (info.si_code, info.si_pid, info.si_uid) == (0, os.getpid(), os.getuid())


def test_a_signal_from_another_process_tells_that() -> None:
    program = f"import os; os.kill({os.getpid()}, {SIGNO})"
    sender = subprocess.Popen([sys.executable, "-c", program])
    info = aio.sigwaitinfo([SIGNO], 10)
    assert sender.wait(10) == 0
    assert info is not None
    assert info.si_pid == sender.pid


@pytest.mark.parametrize("value", [0, 1, 2**31 - 1, 2**40, 0xA105 << 48, -1])
def test_a_value_from_sigqueue_is_the_int_that_was_sent(value: int) -> None:
    """Also one that looks like a request of ours."""
    sigqueue(SIGNO, value)
    info = aio.sigwaitinfo([SIGNO], 10)
    assert info is not None
    assert (info.si_code, info.si_value & 2**64 - 1) == (-1, value & 2**64 - 1)


def test_signal_handlers_of_others_run_during_the_wait_which_goes_on() -> None:
    """PEP 475"""
    seen: list[int] = []
    old = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    begin = time.monotonic()
    assert aio.sigwaitinfo([SIGNO], 0.3) is None
    assert time.monotonic() - begin >= 0.3
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)
    assert len(seen) > 3


def test_ctrl_c_ends_the_wait() -> None:
    """G5"""
    output = fresh.output("""
        import os, signal, threading
        from aio_posix import *
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        try:
            sigwaitinfo([signal.SIGRTMIN])
        except KeyboardInterrupt:
            print("interrupted")
        """)
    assert output == "interrupted\n"


def test_several_threads_may_wait(file: int) -> None:
    got: list[Any] = []

    def wait() -> None:
        info = aio.sigwaitinfo([SIGNO], 10)
        assert info is not None
        got.append(info.si_value)

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO)
    cbs = [aio.aiocb(file, bytearray(1), aio_sigevent=event) for _ in threads]
    for cb in cbs:
        aio.aio_read(cb)
    for thread in threads:
        thread.join()
    assert set(map(id, got)) == set(map(id, cbs))
    done(*cbs)


def test_nothing_of_ours_dies_of_a_signal_that_is_blocked_for_this() -> None:
    """Our thread and the pool's block every signal (G19)."""
    fresh.output("""
        import os, signal
        from aio_posix import *
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
        fd = os.memfd_create("m"); os.write(fd, b"x")
        queued = sigevent(SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN)
        for _ in range(300):
            cb = aiocb(fd, bytearray(1), aio_sigevent=queued)
            aio_read(cb)
            aio_suspend([cb])
            assert sigwaitinfo([signal.SIGRTMIN], 10).si_value is cb
        """)


def test_every_thread_of_the_library_blocks_every_signal() -> None:
    """G19"""
    output = fresh.output("""
        import os, threading, time
        from aio_posix import *
        r, w = os.pipe()
        cbs = [aiocb(r, bytearray(1)), aiocb(os.dup(r), bytearray(1))]
        for cb in cbs: aio_read(cb)
        time.sleep(0.1)
        others = set(os.listdir("/proc/self/task")) - {str(os.getpid())}
        for task in others:
            status = open(f"/proc/self/task/{task}/status").read()
            blocked = int(status.split("SigBlk:")[1].split()[0], 16)
            known = 1 << 8 | 1 << 18 | 1 << 31 | 1 << 32
            if ~blocked & 0xFFFF_FFFF_FFFF_FFFF & ~known: print(task, hex(blocked))
        print(len(others))
        os.write(w, b"xx")
        for cb in cbs: aio_suspend([cb])
        """)
    assert output == "3\n"
