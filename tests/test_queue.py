"""CompletionQueue gives completions in batches, without Python in glibc's threads."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import select
import selectors
import signal
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, Pipe, done
from deadline import eventually

import aio_posix as aio
from aio_posix import flight


@pytest.fixture
def queue() -> Iterator[aio.CompletionQueue]:
    with aio.CompletionQueue() as queue:
        yield queue


def collect(queue: aio.CompletionQueue, n: int) -> list[Any]:
    """n completions, and not one more."""
    got: list[Any] = []
    assert eventually(lambda: got.extend(queue.get(0)) or len(got) >= n)
    got += queue.get(0)
    assert len(got) == n
    return got


def readable(queue: aio.CompletionQueue) -> bool:
    return bool(select.select([queue], [], [], 0)[0])


def test_what_completes_comes_out(queue: aio.CompletionQueue, file: int) -> None:
    cb = aio.aiocb(file, bytearray(4), aio_sigevent=queue.sigevent())
    aio.aio_read(cb)
    assert queue.get() == [cb]
    assert aio.aio_return(cb) == 4


def test_get_without_timeout_waits(queue: aio.CompletionQueue, pipe: Pipe) -> None:
    cb = pipe.blocked(aio_sigevent=queue.sigevent())
    timer = threading.Timer(0.1, pipe.feed)
    timer.start()
    assert queue.get() == [cb]
    timer.join()


def test_get_returns_nothing_when_the_timeout_ends(queue: aio.CompletionQueue, pipe: Pipe) -> None:
    pipe.blocked(aio_sigevent=queue.sigevent())
    begin = time.monotonic()
    assert queue.get(0.2) == []
    assert time.monotonic() - begin >= 0.2


@pytest.mark.parametrize("timeout", [0, 0.0, 1e-9, 5e-324, False])
def test_a_short_timeout_is_a_poll(queue: aio.CompletionQueue, timeout: Any) -> None:
    """G7"""
    assert queue.get(timeout) == []


@pytest.mark.parametrize("timeout", [1.9999999999, 1e9, 1e20, math.inf, None, 10**30])
def test_a_long_timeout_waits_for_a_completion(
    queue: aio.CompletionQueue, pipe: Pipe, timeout: Any
) -> None:
    """G7"""
    pipe.blocked(aio_sigevent=queue.sigevent("told"))
    timer = threading.Timer(0.05, pipe.feed)
    timer.start()
    assert queue.get(timeout) == ["told"]
    timer.join()


@pytest.mark.parametrize("timeout", [-1, -1e-9, math.nan, -math.inf])
def test_a_timeout_is_a_length_of_time(queue: aio.CompletionQueue, timeout: float) -> None:
    """G7"""
    with pytest.raises(ValueError, match="timeout"):
        queue.get(timeout)


@pytest.mark.parametrize("timeout", ["1", [], object()])
def test_a_timeout_is_a_number(queue: aio.CompletionQueue, timeout: Any) -> None:
    with pytest.raises(TypeError):
        queue.get(timeout)


def test_completions_come_in_their_order(queue: aio.CompletionQueue, pipes: list[Pipe]) -> None:
    for i, pipe in enumerate(pipes):
        pipe.blocked(aio_sigevent=queue.sigevent(i))
    for i in (2, 0, 1):
        pipes[i].feed()
        assert eventually(lambda i=i: not pipes[i].started[0].in_progress)
        eventually(lambda: False, 0.05)
    assert collect(queue, 3) == [2, 0, 1]


def test_the_value_is_the_request_unless_given(queue: aio.CompletionQueue, file: int) -> None:
    values: list[Any] = ["text", 0, {"a": 1}]
    cbs = [
        aio.aiocb(file, bytearray(1), aio_sigevent=queue.sigevent(value))
        for value in [*values, None]
    ]
    for cb in cbs:
        aio.aio_read(cb)
    got = collect(queue, 4)
    assert all(value in got for value in [*values, cbs[-1]])


def test_a_batch_has_1024_at_most_and_the_rest_comes_next(
    queue: aio.CompletionQueue, file: int
) -> None:
    cbs = [
        aio.aiocb(file, bytearray(1), i % 10, aio_sigevent=queue.sigevent(i)) for i in range(3000)
    ]
    for cb in cbs:
        aio.aio_read(cb)
    assert eventually(lambda: not any(cb.in_progress for cb in cbs))
    got: list[int] = []
    while len(got) < 3000:
        batch = queue.get(10)
        assert 0 < len(batch) <= 1024
        got += batch
    assert sorted(got) == list(range(3000))


def test_a_request_that_failed_comes_out_like_any_other(queue: aio.CompletionQueue) -> None:
    cb = aio.aiocb(999, bytearray(1), aio_sigevent=queue.sigevent())
    aio.aio_read(cb)
    assert queue.get(10) == [cb]
    with pytest.raises(OSError, match="Bad file"):
        aio.aio_return(cb)


def test_a_queue_serves_many_sigevents_and_threads(queue: aio.CompletionQueue, file: int) -> None:
    def submit(k: int) -> None:
        for i in range(200):
            cb = aio.aiocb(file, bytearray(1), aio_sigevent=queue.sigevent((k, i)))
            cbs.append(cb)
            aio.aio_read(cb)

    cbs: list[aio.aiocb] = []
    threads = [threading.Thread(target=submit, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(collect(queue, 800)) == [(k, i) for k in range(4) for i in range(200)]


def test_of_several_threads_that_get_each_completion_goes_to_one(
    queue: aio.CompletionQueue, file: int
) -> None:
    got: list[Any] = []
    stop = threading.Event()

    def take() -> None:
        while not stop.is_set():
            got.extend(queue.get(0.01))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    cbs = [aio.aiocb(file, bytearray(1), aio_sigevent=queue.sigevent(i)) for i in range(2000)]
    for cb in cbs:
        aio.aio_read(cb)
    assert eventually(lambda: len(got) >= 2000)
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(2000))


def test_sigevent_is_short_for_sigev_thread_with_the_queue(queue: aio.CompletionQueue) -> None:
    event = queue.sigevent("value")
    assert (event.sigev_notify, event.sigev_value) == (aio.SIGEV_THREAD, "value")
    assert event.sigev_notify_function is queue


def test_a_queue_can_be_given_as_the_function_itself(queue: aio.CompletionQueue, file: int) -> None:
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=queue)
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=event)
    aio.aio_read(cb)
    assert queue.get(10) == [cb]


# fileno


def test_it_is_readable_while_there_is_something_to_get(
    queue: aio.CompletionQueue, pipe: Pipe
) -> None:
    assert not readable(queue)
    pipe.blocked(aio_sigevent=queue.sigevent())
    assert not readable(queue)
    pipe.feed()
    assert eventually(lambda: readable(queue))
    queue.get(0)
    assert not readable(queue)


def test_it_stays_readable_while_a_batch_left_something(
    queue: aio.CompletionQueue, file: int
) -> None:
    cbs = [aio.aiocb(file, bytearray(1), aio_sigevent=queue.sigevent()) for _ in range(1500)]
    for cb in cbs:
        aio.aio_read(cb)
    got: list[Any] = []
    while len(got) < 1500:
        assert eventually(lambda: readable(queue))
        got += queue.get(0)
    assert not readable(queue)


def test_epoll_sees_it(queue: aio.CompletionQueue, pipe: Pipe) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(queue, selectors.EVENT_READ, "the queue")
        pipe.blocked(aio_sigevent=queue.sigevent("told"))
        pipe.feed()
        ((key, _),) = selector.select(10)
        assert key.data == "the queue"
        assert queue.get(0) == ["told"]


def test_epoll_may_be_edge_triggered(queue: aio.CompletionQueue, file: int) -> None:
    """A reader that gets until there is nothing is woken for whatever comes after."""
    got: list[Any] = []
    with select.epoll() as epoll:
        epoll.register(queue, select.EPOLLIN | select.EPOLLET)
        cbs = [aio.aiocb(file, bytearray(1), aio_sigevent=queue.sigevent(i)) for i in range(2000)]
        for cb in cbs:
            aio.aio_read(cb)
        while len(got) < 2000:
            assert epoll.poll(10)
            while batch := queue.get(0):
                got += batch
    assert sorted(got) == list(range(2000))


def test_asyncio_can_watch_it(queue: aio.CompletionQueue, file: int) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Any]] = loop.create_future()
        loop.add_reader(queue, lambda: future.set_result(queue.get(0)))
        aio.aio_read(cb)
        try:
            return await asyncio.wait_for(future, 10)
        finally:
            loop.remove_reader(queue)

    cb = aio.aiocb(file, bytearray(1), aio_sigevent=queue.sigevent("told"))
    assert asyncio.run(main()) == ["told"]


def test_its_descriptor_is_not_inherited(queue: aio.CompletionQueue) -> None:
    assert not os.get_inheritable(queue.fileno())


def test_without_descriptors_there_is_no_queue() -> None:
    fresh.output("""
        import errno, os, resource
        from aio_posix import *
        CompletionQueue().close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        try:
            CompletionQueue()
        except OSError as error:
            assert error.errno == errno.EMFILE
        else:
            raise SystemExit("no error")
        """)


# close


def test_a_closed_queue_refuses_everything(file: int) -> None:
    queue = aio.CompletionQueue()
    event = queue.sigevent()
    queue.close()
    for call in (queue.get, lambda: queue.get(0), queue.fileno, queue.sigevent):
        with pytest.raises(ValueError, match="closed"):
            call()
    with pytest.raises(ValueError, match="closed"):
        aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
    with pytest.raises(ValueError, match="closed"):
        aio.lio_listio(aio.LIO_NOWAIT, [], event)


def test_closing_twice_is_closing_once() -> None:
    queue = aio.CompletionQueue()
    queue.close()
    queue.close()
    assert queue.closed


def test_with_closes_it_also_after_an_exception() -> None:
    with pytest.raises(KeyError), aio.CompletionQueue() as queue:
        raise KeyError
    assert queue.closed


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_close_gives_the_descriptor_back() -> None:
    before = descriptors()
    queues = [aio.CompletionQueue() for _ in range(10)]
    events = [queue.sigevent() for queue in queues]
    assert descriptors() == before + 10
    for queue in queues:
        queue.close()
    assert descriptors() == before
    assert len(events) == 10


def test_a_forgotten_queue_gives_the_descriptor_back() -> None:
    before = descriptors()
    aio.CompletionQueue()
    gc.collect()
    assert descriptors() == before


def test_close_forgets_what_was_not_taken_and_its_values(file: int) -> None:
    """G11"""

    class Value:
        pass

    queue = aio.CompletionQueue()
    value = Value()
    gone = weakref.ref(value)
    event = queue.sigevent(value)
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=event)
    aio.aio_read(cb)
    assert eventually(lambda: readable(queue))
    queue.close()
    assert not flight.owed()
    assert aio.aio_return(cb) == 1
    del value, event, cb
    assert gone() is None


def test_closing_takes_nobody_out_of_the_table_of_threads(file: int) -> None:
    """The main thread lets go of what was not taken; it is no notification thread."""
    queue = aio.CompletionQueue()
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=queue.sigevent())
    aio.aio_read(cb)
    assert eventually(lambda: readable(queue))
    queue.close()
    assert threading.current_thread() is threading.main_thread()
    assert threading.main_thread() in threading.enumerate()


def test_closing_with_requests_in_flight_leaves_them_in_flight(pipe: Pipe) -> None:
    queue = aio.CompletionQueue()
    cb = pipe.blocked(aio_sigevent=queue.sigevent())
    queue.close()
    assert cb.in_progress
    pipe.feed(b"abc")
    assert done(cb) == 3
    assert eventually(lambda: not flight.owed())


def test_what_completes_after_close_writes_into_no_other_descriptor(pipe: Pipe) -> None:
    """The eventfd's number must not be somebody else's by then (G11)."""
    queue = aio.CompletionQueue()
    fd = queue.fileno()
    pipe.blocked(aio_sigevent=queue.sigevent())
    queue.close()
    others = [os.pipe() for _ in range(10)]
    assert fd not in {end for pair in others for end in pair}
    pipe.feed()
    assert eventually(lambda: not flight.owed())
    assert select.select([read for read, _ in others], [], [], 0.05)[0] == []
    for read, write in others:
        os.close(read)
        os.close(write)


def test_closing_ends_the_waits_of_other_threads_with_an_error() -> None:
    queue = aio.CompletionQueue()
    errors: list[str] = []

    def wait() -> None:
        try:
            queue.get()
        except ValueError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    eventually(lambda: False, 0.05)
    queue.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert errors == ["the CompletionQueue is closed"] * 5


def test_closing_while_completions_arrive_never_crashes() -> None:
    """Pushing and closing at the same moment, many times (G11)."""
    fresh.output(
        FULL_POOL
        + """
from aio_posix import _calls, flight
fd = memfd(b"x")
for round in range(150):
    queue = CompletionQueue()
    cbs = [aiocb(fd, bytearray(1), aio_sigevent=queue.sigevent(i)) for i in range(30)]
    closer = threading.Thread(target=queue.close)
    for i, cb in enumerate(cbs):
        if i == round % 30: closer.start()
        try: aio_read(cb)
        except ValueError: break
    closer.join()
    for cb in cbs:
        if _calls.state(cb): aio_suspend([cb]) and aio_return(cb)
assert eventually(lambda: not flight.owed() and not flight.in_flight()), flight.in_flight()
assert len(os.listdir("/proc/self/fd")) < 20
"""
    )


def test_a_destructor_that_uses_the_queue_may_run_while_it_is_closed(file: int) -> None:
    """What is let go of may run any code: no lock may be held then."""
    queue = aio.CompletionQueue()
    errors: list[str] = []

    class Value:
        def __del__(self) -> None:
            try:
                queue.get(0)
            except ValueError as error:
                errors.append(str(error))

    cb = aio.aiocb(file, bytearray(1), aio_sigevent=queue.sigevent(Value()))
    aio.aio_read(cb)
    assert eventually(lambda: readable(queue))
    done(cb)
    del cb
    queue.close()
    assert eventually(lambda: errors == ["the CompletionQueue is closed"])


# G4, G5, G11


def test_a_lost_notification_comes_all_the_same_and_once(
    queue: aio.CompletionQueue, file: int
) -> None:
    """glibc does not notice that its thread could not be made (G4)."""
    lost = aio.sigevent(
        aio.SIGEV_THREAD, sigev_notify_function=queue, sigev_notify_attributes=1 << 46
    )
    cbs = [aio.aiocb(file, bytearray(1), aio_sigevent=lost) for _ in range(20)]
    for cb in cbs:
        aio.aio_read(cb)
    assert set(map(id, collect(queue, 20))) == set(map(id, cbs))
    assert queue.get(0.6) == []


def test_requests_live_until_they_come_out(queue: aio.CompletionQueue, file: int) -> None:
    """G11"""
    for _ in range(100):
        aio.aio_read(aio.aiocb(file, bytearray(4), aio_sigevent=queue.sigevent()))
    gc.collect()
    assert [aio.aio_return(cb) for cb in collect(queue, 100)] == [4] * 100


def test_a_dropped_request_with_a_value_of_its_own_still_comes_out(
    queue: aio.CompletionQueue, pipe: Pipe
) -> None:
    """G11"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        aio.aio_read(aio.aiocb(pipe.read, bytearray(4), aio_sigevent=queue.sigevent("value")))
        gc.collect()
    pipe.feed()
    assert queue.get(10) == ["value"]


def test_a_request_can_be_submitted_again_as_soon_as_it_came_out(
    queue: aio.CompletionQueue, file: int
) -> None:
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=queue.sigevent())
    for _ in range(500):
        aio.aio_read(cb)
        assert queue.get(10) == [cb]
        assert aio.aio_return(cb) == 1


def test_signal_handlers_run_while_get_waits(queue: aio.CompletionQueue) -> None:
    """PEP 475"""
    seen: list[int] = []
    old = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    begin = time.monotonic()
    assert queue.get(0.3) == []
    assert time.monotonic() - begin >= 0.3
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)
    assert len(seen) > 3


def test_ctrl_c_ends_get() -> None:
    """G5"""
    output = fresh.output("""
        import os, signal, threading
        from aio_posix import *
        with CompletionQueue() as queue:
            threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
            try:
                queue.get()
            except KeyboardInterrupt:
                print("interrupted")
            print(queue.get(0))
        """)
    assert output == "interrupted\n[]\n"


def test_a_queue_needs_no_python_in_the_threads_of_glibc(
    queue: aio.CompletionQueue, file: int
) -> None:
    """Completions arrive while this thread holds on to the interpreter."""
    cbs = [aio.aiocb(file, bytearray(1), aio_sigevent=queue.sigevent()) for _ in range(50)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(100)
    try:
        for cb in cbs:
            aio.aio_read(cb)
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        assert len(queue.get(0)) == 50
    finally:
        sys.setswitchinterval(interval)


def test_a_signal_handler_that_raises_in_get_takes_no_completion_along() -> None:
    """What get() has not returned comes with the next get()."""
    fresh.output("""
        import os, signal, sys, time, traceback
        import aio_posix as aio
        class Alarm(Exception): pass
        def handler(*_): raise Alarm
        signal.signal(signal.SIGALRM, handler)
        fd = os.memfd_create("m"); os.write(fd, b"x")
        queue, hits, end = aio.CompletionQueue(), 0, time.monotonic() + 20
        while hits < 3 and time.monotonic() < end:
            cbs = [aio.aiocb(fd, bytearray(1), aio_sigevent=queue.sigevent()) for _ in range(1000)]
            for cb in cbs: aio.aio_read(cb)
            while any(cb.in_progress for cb in cbs): pass
            time.sleep(0.02)  # they are all in the queue
            got, inside = [], False
            try:
                signal.setitimer(signal.ITIMER_REAL, 20e-6)
                while len(got) < 1000: got += queue.get(1)
                signal.setitimer(signal.ITIMER_REAL, 0)
                time.sleep(0.001)
            except Alarm as alarm:
                # else it is the caller's loss
                inside = traceback.extract_tb(alarm.__traceback__)[1].name == "get"
            while batch := queue.get(0.1): got += batch
            assert not inside or len(got) == 1000, len(got)
            hits += inside
        assert hits, "no handler ran in get()"
        """)
