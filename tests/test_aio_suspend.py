"""aio_suspend(3) waits for one of several requests, without glibc's ways to crash."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, Pipe, done

import aio_posix as aio


@pytest.fixture
def ticking() -> Iterator[list[int]]:
    """A timer signal every 10 ms with a handler that notes it."""
    seen: list[int] = []
    old = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    yield seen
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


def later(pipe: Pipe, seconds: float = 0.1) -> threading.Timer:
    timer = threading.Timer(seconds, pipe.feed)
    timer.start()
    return timer


def test_a_complete_request_ends_the_wait_at_once(file: int) -> None:
    cb = aio.aiocb(file, bytearray(4))
    aio.aio_read(cb)
    assert aio.aio_suspend([cb]) is True


def test_a_request_that_failed_is_complete_too() -> None:
    cb = aio.aiocb(999, bytearray(4))
    aio.aio_read(cb)
    assert aio.aio_suspend([cb], 10) is True


def test_the_wait_ends_when_one_of_several_is_complete(pipes: list[Pipe]) -> None:
    cbs = [pipe.blocked() for pipe in pipes]
    timer = later(pipes[1])
    assert aio.aio_suspend(cbs) is True
    assert [aio.aio_error(cb) == 0 for cb in cbs] == [False, True, False]
    timer.join()


def test_the_timeout_ends_the_wait(pipe: Pipe) -> None:
    begin = time.monotonic()
    assert aio.aio_suspend([pipe.blocked()], 0.2) is False
    assert time.monotonic() - begin >= 0.2


def test_a_wait_may_be_repeated(pipe: Pipe) -> None:
    cb = pipe.blocked()
    assert not aio.aio_suspend([cb], 0.01)
    pipe.feed()
    assert aio.aio_suspend([cb], 10)
    assert aio.aio_suspend([cb], 10)


@pytest.mark.parametrize("timeout", [0, 0.0, -0.0, False, 1e-9, 5e-324, Fraction(1, 1000)])
def test_any_short_timeout_is_a_poll(pipe: Pipe, timeout: Any) -> None:
    """G7"""
    assert aio.aio_suspend([pipe.blocked()], timeout) is False


@pytest.mark.parametrize(
    "timeout", [None, 1.9999999999, True, 1e9, 1e10, 1e20, 1e308, math.inf, 10**30]
)
def test_any_long_timeout_waits_for_the_completion(pipe: Pipe, timeout: Any) -> None:
    """tv_nsec of 10^9 aborts the process; seconds beyond a time_t end the wait at once (G7)."""
    cb = pipe.blocked()
    timer = later(pipe)
    assert aio.aio_suspend([cb], timeout) is True
    timer.join()


@pytest.mark.parametrize("timeout", [-1, -1e-9, -math.inf, math.nan])
def test_a_timeout_must_be_a_length_of_time(pipe: Pipe, timeout: float) -> None:
    """G7"""
    with pytest.raises(ValueError, match="timeout"):
        aio.aio_suspend([pipe.blocked()], timeout)


@pytest.mark.parametrize("timeout", ["1", b"1", [], 1j, object()])
def test_a_timeout_must_be_a_number(pipe: Pipe, timeout: Any) -> None:
    with pytest.raises(TypeError):
        aio.aio_suspend([pipe.blocked()], timeout)


@pytest.mark.parametrize("nothing", [[], (), [None], [None, None]])
def test_an_empty_list_is_an_error(nothing: Any) -> None:
    """glibc calls it success (G7)."""
    with pytest.raises(ValueError, match="nothing to wait for"):
        aio.aio_suspend(nothing)


def test_none_entries_are_skipped(file: int) -> None:
    cb = aio.aiocb(file, bytearray(4))
    aio.aio_read(cb)
    assert aio.aio_suspend([None, cb, None], 10)


def test_any_iterable_of_requests_will_do(file: int) -> None:
    cb = aio.aiocb(file, bytearray(4))
    aio.aio_read(cb)
    assert aio.aio_suspend(iter([cb]), 10)
    assert aio.aio_suspend({cb}, 10)


@pytest.mark.parametrize("wrong", [[0], ["aiocb"], [object()], [[]]])
def test_only_requests_can_be_waited_for(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected an aiocb"):
        aio.aio_suspend(wrong)


def test_a_single_request_is_not_a_list_of_requests(file: int) -> None:
    with pytest.raises(TypeError, match="iterable"):
        aio.aio_suspend(aio.aiocb(file, bytearray(1)))  # type: ignore[arg-type]


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_request_never_submitted_is_an_error_wherever_it_stands(file: int, first: bool) -> None:
    """glibc counts it as complete (G8)."""
    cb, never = aio.aiocb(file, bytearray(4)), aio.aiocb(file, bytearray(4))
    aio.aio_read(cb)
    assert aio.aio_suspend([cb], 10)
    with pytest.raises(OSError, match="never submitted"):
        aio.aio_suspend([never, cb] if first else [cb, never])


def test_a_request_whose_result_was_returned_is_an_error(file: int) -> None:
    """G8"""
    cb = aio.aiocb(file, bytearray(4))
    aio.aio_read(cb)
    done(cb)
    with pytest.raises(OSError, match="has been returned"):
        aio.aio_suspend([cb], 10)


def test_the_same_request_may_be_listed_twice(pipe: Pipe) -> None:
    cb = pipe.blocked()
    timer = later(pipe)
    assert aio.aio_suspend([cb, cb])
    timer.join()


def test_signal_handlers_run_during_the_wait_which_goes_on(pipe: Pipe, ticking: list[int]) -> None:
    """PEP 475"""
    assert aio.aio_suspend([pipe.blocked()], 0.3) is False
    assert len(ticking) > 3


def test_the_timeout_is_not_prolonged_by_signals(pipe: Pipe, ticking: list[int]) -> None:
    """PEP 475"""
    begin = time.monotonic()
    aio.aio_suspend([pipe.blocked()], 0.3)
    assert 0.3 <= time.monotonic() - begin < 5


def test_an_exception_in_a_signal_handler_ends_the_wait_and_not_the_request(pipe: Pipe) -> None:
    def interrupt(*_: object) -> None:
        raise KeyError("from the handler")

    cb = pipe.blocked()
    old = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    with pytest.raises(KeyError, match="from the handler"):
        aio.aio_suspend([cb])
    signal.signal(signal.SIGALRM, old)
    pipe.feed(b"abc")
    assert done(cb) == 3


def test_ctrl_c_ends_a_wait_without_timeout() -> None:
    output = fresh.output("""
        import os, signal, threading
        from aio_posix import *
        r, w = os.pipe()
        cb = aiocb(r, bytearray(1))
        aio_read(cb)
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        try:
            aio_suspend([cb])
        except KeyboardInterrupt:
            print("interrupted")
        os.write(w, b"x")
        aio_suspend([cb])
        """)
    assert output == "interrupted\n"


def test_waiting_releases_the_interpreter(pipe: Pipe) -> None:
    cb = pipe.blocked()
    counted = 0
    waiting = threading.Thread(target=aio.aio_suspend, args=([cb],))
    waiting.start()
    for _ in range(100_000):
        counted += 1
    pipe.feed()
    waiting.join(10)
    assert counted == 100_000
    assert not waiting.is_alive()


def test_several_threads_may_wait_for_the_same_request(pipe: Pipe) -> None:
    cb = pipe.blocked()
    ended: list[bool] = []
    threads = [
        threading.Thread(target=lambda: ended.append(aio.aio_suspend([cb]))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    pipe.feed()
    for thread in threads:
        thread.join(10)
    assert ended == [True] * 5


def test_a_request_dropped_by_another_thread_lives_while_it_is_waited_for() -> None:
    """On waking glibc reads every entry of the list (G11)."""
    fresh.output("""
        import os, threading, time
        from aio_posix import *
        for _ in range(50):
            pipes = [os.pipe() for _ in range(4)]
            cbs = [aiocb(r, bytearray(1)) for r, _ in pipes]
            for cb in cbs: aio_read(cb)
            waiting = threading.Thread(target=aio_suspend, args=(list(cbs),))
            waiting.start()
            time.sleep(0.002)
            for _, w in pipes: os.write(w, b"x")
            while not all(aio_error(cb) == 0 for cb in cbs): pass
            cbs = None
            junk = [bytearray(300) for _ in range(100)]
            waiting.join(10)
            assert not waiting.is_alive()
            for pipe in pipes: os.close(pipe[0]), os.close(pipe[1])
        """)


def test_a_request_that_its_callback_submits_again_ends_the_wait_all_the_same(pipe: Pipe) -> None:
    again: list[aio.aiocb] = []

    def callback(cb: aio.aiocb) -> None:
        if not again:
            aio.aio_read(cb)
        again.append(cb)

    cb = pipe.blocked(
        1, aio_sigevent=aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=callback)
    )
    timer = later(pipe)
    assert aio.aio_suspend([cb], 10) is True
    timer.join()


@pytest.mark.parametrize("n", [1024, 1025, 3000])
def test_long_lists_can_be_waited_for(pipe: Pipe, n: int) -> None:
    """glibc copies the list to the stack (G6)."""
    cbs = [aio.aiocb(pipe.read, bytearray(1)) for _ in range(n)]
    pipe.started += cbs
    for cb in cbs:
        aio.aio_read(cb)
    assert aio.aio_suspend(cbs, 0.05) is False
    pipe.feed()
    assert aio.aio_suspend(cbs, 10) is True
    aio.aio_cancel(pipe.read)


def test_a_list_of_100_000_can_be_waited_for_in_a_thread_with_a_small_stack() -> None:
    """40 bytes of stack for each entry (G6)."""
    fresh.output("""
        import os, threading
        from aio_posix import *
        r, w = os.pipe()
        blocked = aiocb(r, bytearray(1))
        aio_read(blocked)
        ended = []
        def wait(): ended.append(aio_suspend([blocked] * 100_000, 0.05))
        threading.stack_size(65536)
        thread = threading.Thread(target=wait)
        thread.start(); thread.join()
        wait()
        assert ended == [False, False]
        os.write(w, b"x")
        wait()
        assert ended == [False, False, True]
        """)


def test_a_wait_with_a_full_pool_ends_when_the_pool_gets_to_it() -> None:
    """G1"""
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
cb = aiocb(memfd(b"data"), bytearray(4))
aio_read(cb)
assert not aio_suspend([cb], 0.2)
threading.Timer(0.1, release).start()
assert aio_suspend([cb], 10)
"""
    )


@pytest.mark.parametrize("how", ["callbacks", "cancellations"])
def test_a_request_that_is_submitted_again_while_others_wait_for_it_crashes_nobody(
    how: str,
) -> None:
    """glibc's clean-up after a wait walks the waiters of whatever is in progress once more: SIGSEGV
    in seconds.
    """
    ended = fresh.run(f"""
        import os, random, threading, time
        import aio_posix as aio
        aio.aio_init(aio_threads=4)
        fd = os.memfd_create("m"); os.write(fd, b"x" * 100)
        fds, end = [os.dup(fd) for _ in range(6)], time.monotonic() + 3
        def again(cb):
            if time.monotonic() < end: aio.aio_read(cb)
        event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=again)
        rearmed = [aio.aiocb(os.dup(fd), bytearray(1), aio_sigevent=event) for _ in range(8)]
        callbacks = {how == "callbacks"}
        for cb in rearmed:
            if callbacks: aio.aio_read(cb)
        def work():
            while time.monotonic() < end:
                cbs = [aio.aiocb(random.choice(fds), bytearray(1), aio_reqprio=random.randrange(3))
                       for _ in range(20)]
                for cb in cbs: aio.aio_read(cb)
                if not callbacks:
                    for cb in random.sample(cbs, 3): aio.aio_cancel(cb.aio_fildes, cb)
                while any(cb.in_progress for cb in cbs):
                    listed = [cb for cb in cbs + rearmed * callbacks if cb.in_progress]
                    if listed: aio.aio_suspend(listed, 0.1)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print("alive")
        """)
    assert (ended.returncode, ended.stdout) == (0, "alive\n"), ended.stderr


def test_a_timeout_longer_than_any_float_waits_for_ever(file: int) -> None:
    cb = aio.aiocb(file, bytearray(1))
    aio.aio_read(cb)
    assert aio.aio_suspend([cb], 10**400)
    with pytest.raises(ValueError, match="non-negative"):
        aio.aio_suspend([cb], -(10**400))


@pytest.mark.parametrize("wait", ["aio_suspend", "get", "sigwaitinfo"])
def test_a_timeout_that_is_no_number_is_named(file: int, wait: str) -> None:
    wrong: Any = "1"
    with aio.CompletionQueue() as queue:
        calls: dict[str, Callable[[], object]] = {
            "aio_suspend": lambda: aio.aio_suspend([aio.aiocb(file)], wrong),
            "get": lambda: queue.get(wrong),
            "sigwaitinfo": lambda: aio.sigwaitinfo([signal.SIGURG], wrong),
        }
        with pytest.raises(TypeError, match="timeout must be a number of seconds"):
            calls[wait]()
