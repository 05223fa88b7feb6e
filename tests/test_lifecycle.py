"""The life of a request (G8, G18), step by step in every order that hypothesis can think of.

unsubmitted -> in flight -> complete -> returned -> in flight ...; each wrong step raises and
changes nothing. A request is submitted alone, in a list, or by threads that race; it is announced
to nobody, a callback, a queue or by a signal, exactly once; it may be cancelled, dropped and made
anew; a queue may be closed. Reads of one byte from pipes: a pipe's reads are served in their order,
so the test knows which are complete. Not covered: priorities, lost notifications, forks, exits.

`EXAMPLES=5000 pytest tests/test_lifecycle.py` is the long form.
"""

from __future__ import annotations

import errno
import itertools
import os
import signal
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from conftest import SIGNO
from deadline import TAKEN, eventually
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

import aio_posix as aio
from aio_posix import flight

PIPES = 3

tokens = itertools.count(1)  # what an announcement says; an int of 32 bits travels in a signal
told: Counter[int] = Counter()  # over all examples, so that one which comes late and twice is seen


class Request:
    """What ought to be true of one aiocb."""

    def __init__(self, pipe: int, cb: aio.aiocb, token: int) -> None:
        self.pipe = pipe
        self.cb = cb
        self.token = token  # of its sigevent, 0 for none
        self.orphaned = False  # its sigevent names a queue that was closed
        self.state = "unsubmitted"
        self.error = 0


def fails(number: int) -> Any:
    return pytest.raises(OSError, check=lambda error: error.errno == number)


def refuses(requests: list[Request]) -> Any:
    """What submitting them raises, one at least being in flight: which comes first is open."""
    closed = any(request.orphaned for request in requests)
    return pytest.raises((BlockingIOError, ValueError) if closed else BlockingIOError)


def in_threads(*calls: Callable[[], object]) -> list[type[BaseException]]:
    """Runs them at the same time; the classes of what they raised."""
    barrier = threading.Barrier(len(calls))
    raised = []

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except BaseException as error:
            raised.append(type(error))

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


class Life(RuleBasedStateMachine):
    requests = Bundle("requests")
    kinds = ("nobody", "callback", "queue")

    def __init__(self) -> None:
        super().__init__()
        self.pipes = [os.pipe() for _ in range(PIPES)]
        self.waiting: list[list[Request]] = [[] for _ in range(PIPES)]  # in flight, in their order
        self.bytes: list[list[int]] = [[] for _ in range(PIPES)]  # fed and not yet read
        self.fed = 0
        self.made: list[Request] = []
        self.queue = aio.CompletionQueue()
        self.owed: Counter[int] = Counter()  # token: how many submissions announce it
        self.queued: set[int] = set()  # tokens of the queue
        self.listed: list[tuple[int, list[Request]]] = []

    def announcement(self, number: int) -> tuple[aio.sigevent | None, int]:
        kind, token = self.kinds[number % len(self.kinds)], next(tokens)
        if kind == "callback":
            event = aio.sigevent(
                aio.SIGEV_THREAD,
                sigev_notify_function=lambda value: told.update([value]),
                sigev_value=token,
            )
        elif kind == "queue":
            event = self.queue.sigevent(token)
            self.queued.add(token)
        elif kind == "signal":
            event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO, sigev_value=token)
        else:
            return None, 0
        return event, token

    def settle(self, pipe: int) -> None:
        """Bytes meet reads."""
        while self.bytes[pipe] and self.waiting[pipe]:
            request, byte = self.waiting[pipe].pop(0), self.bytes[pipe].pop(0)
            request.state = "complete"
            if request.cb is not None:
                assert aio.aio_suspend([request.cb], 10)
                assert request.cb.aio_buf == bytes([byte])
            else:  # or a cancellation may come before its end
                fd, left = self.pipes[pipe][0], len(self.waiting[pipe])
                numbers = lambda: [one.fd for one in flight.in_flight()]  # noqa: E731
                assert eventually(lambda: numbers().count(fd) <= left)  # noqa: B023

    def mend(self, *requests: Request) -> None:
        """What would announce to a closed queue is refused, and announces to nobody from now on."""
        for request in requests:
            if request.orphaned and request.state != "in flight":
                with pytest.raises(ValueError, match="closed"):
                    aio.aio_read(request.cb)
                request.cb.aio_sigevent = None
                request.token, request.orphaned = 0, False

    def flew(self, request: Request) -> None:
        request.state, request.error = "in flight", 0
        self.waiting[request.pipe].append(request)
        if request.token:
            self.owed[request.token] += 1

    @rule(target=requests, pipe=st.integers(0, PIPES - 1), kind=st.integers(0, 5))
    def make(self, pipe: int, kind: int) -> Request:
        event, token = self.announcement(kind)
        cb = aio.aiocb(
            self.pipes[pipe][0], bytearray(1), aio_lio_opcode=aio.LIO_READ, aio_sigevent=event
        )
        self.made.append(Request(pipe, cb, token))
        return self.made[-1]

    @rule(request=requests, kind=st.integers(0, 5))
    def announce_otherwise(self, request: Request, kind: int) -> None:
        event, token = self.announcement(kind)
        if request.state == "in flight":
            with fails(errno.EINPROGRESS):
                request.cb.aio_sigevent = event
        else:
            request.cb.aio_sigevent = event
            request.token, request.orphaned = token, False

    @rule(request=requests)
    def submit(self, request: Request) -> None:
        self.mend(request)
        if request.state == "in flight":
            with refuses([request]):
                aio.aio_read(request.cb)
        else:
            aio.aio_read(request.cb)
            self.flew(request)
            self.settle(request.pipe)

    @rule(listed=st.lists(requests, min_size=1, max_size=6), kind=st.integers(0, 5))
    def submit_a_list(self, listed: list[Request], kind: int) -> None:
        self.mend(*listed)
        event, token = self.announcement(kind)
        cbs = [request.cb for request in listed]
        if len({id(cb) for cb in cbs}) < len(cbs):
            with pytest.raises(ValueError, match=r"listed twice|CompletionQueue .* is closed"):
                aio.lio_listio(aio.LIO_NOWAIT, cbs, event)
        elif any(request.state == "in flight" for request in listed):
            with refuses(listed):
                aio.lio_listio(aio.LIO_NOWAIT, cbs, event)
        else:
            aio.lio_listio(aio.LIO_NOWAIT, cbs, event)
            for request in listed:
                self.flew(request)
            if event is not None:
                self.owed[token] += 1
            for pipe in range(PIPES):
                self.settle(pipe)

    @rule(request=requests)
    def submit_from_two_threads(self, request: Request) -> None:
        """One wins, unless a byte was there already: then the other one may come after it."""
        self.mend(request)
        cb = request.cb
        raised = in_threads(lambda: aio.aio_read(cb), lambda: aio.aio_read(cb))
        assert (
            set(raised) <= {BlockingIOError, ValueError} if request.orphaned else {BlockingIOError}
        )
        if request.state == "in flight":
            assert len(raised) == 2
            return
        assert len(raised) == 1 or (not raised and len(self.bytes[request.pipe]) > 0)
        if not raised:
            self.flew(request)
            self.waiting[request.pipe].pop()
            self.bytes[request.pipe].pop(0)
        self.flew(request)
        self.settle(request.pipe)

    @rule(pipe=st.integers(0, PIPES - 1), n=st.integers(1, 3))
    def feed(self, pipe: int, n: int) -> None:
        data = [(self.fed + i) % 256 for i in range(n)]
        self.fed += n
        self.bytes[pipe] += data
        os.write(self.pipes[pipe][1], bytes(data))
        self.settle(pipe)

    @rule(request=requests)
    def ask_for_the_error(self, request: Request) -> None:
        if request.state in ("unsubmitted", "returned"):
            with fails(errno.EINVAL):
                aio.aio_error(request.cb)
        else:
            expected = errno.EINPROGRESS if request.state == "in flight" else request.error
            assert aio.aio_error(request.cb) == expected

    @rule(request=requests)
    def ask_for_the_result(self, request: Request) -> None:
        if request.state == "complete":
            request.state = "returned"
            if request.error:
                with fails(request.error):
                    aio.aio_return(request.cb)
            else:
                assert aio.aio_return(request.cb) == 1
        else:
            with fails(errno.EINPROGRESS if request.state == "in flight" else errno.EINVAL):
                aio.aio_return(request.cb)

    @rule(request=requests)
    def wait_a_moment(self, request: Request) -> None:
        if request.state in ("unsubmitted", "returned"):
            with fails(errno.EINVAL):
                aio.aio_suspend([request.cb], 0)
        else:
            assert aio.aio_suspend([request.cb], 0) is (request.state == "complete")

    @rule(request=requests)
    def cancel(self, request: Request) -> None:
        fd = self.pipes[request.pipe][0]
        if request.state == "unsubmitted":
            with fails(errno.EINVAL):
                aio.aio_cancel(fd, request.cb)
            return
        result = aio.aio_cancel(fd, request.cb)
        if request.state != "in flight":
            assert result == aio.AIO_ALLDONE
        elif result == aio.AIO_CANCELED:
            self.waiting[request.pipe].remove(request)
            request.state, request.error = "complete", errno.ECANCELED
        else:
            assert result == aio.AIO_NOTCANCELED
            assert self.waiting[request.pipe][0] is request

    @rule(pipe=st.integers(0, PIPES - 1))
    def cancel_all(self, pipe: int) -> None:
        result = aio.aio_cancel(self.pipes[pipe][0])
        waiting = self.waiting[pipe]
        assert (result == aio.AIO_ALLDONE) is (not waiting)
        running = [waiting[0]] if result == aio.AIO_NOTCANCELED else []
        for request in waiting[len(running) :]:
            request.state, request.error = "complete", errno.ECANCELED
        self.waiting[pipe] = running

    @rule(request=requests)
    def set_a_field(self, request: Request) -> None:
        if request.state == "in flight":
            with fails(errno.EINPROGRESS):
                request.cb.aio_offset = 1
        else:
            request.cb.aio_offset = 1

    @rule(request=requests)
    def make_anew(self, request: Request) -> None:
        fields = (self.pipes[request.pipe][0], bytearray(1))
        if request.state == "in flight":
            with fails(errno.EINPROGRESS):
                request.cb.__init__(*fields)  # type: ignore[misc]
        else:
            request.cb.__init__(*fields, aio_lio_opcode=aio.LIO_READ)  # type: ignore[misc]
            request.state, request.error = "unsubmitted", 0
            request.token, request.orphaned = 0, False

    @rule(request=requests)
    def resize_the_buffer(self, request: Request) -> None:
        if request.state == "in flight":
            with pytest.raises(BufferError):
                request.cb.aio_buf.append(0)
        else:
            # Whoever looks at a complete request releases its buffer.
            request.cb.in_progress  # noqa: B018
            request.cb.aio_buf.append(0)
            request.cb.aio_buf.pop()

    @rule(request=consumes(requests))
    def drop(self, request: Request) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            request.cb = None  # type: ignore[assignment]
        assert [warning.category for warning in caught] == [ResourceWarning] * (
            request.state == "in flight"
        )

    @rule()
    def close_the_queue(self) -> None:
        """What it was owed is forgotten; whoever still announces to it is refused."""
        self.collect()
        self.queue.close()
        for token in self.queued:
            del self.owed[token]
        for request in self.made:
            request.orphaned |= request.token in self.queued
        self.queued.clear()
        self.queue = aio.CompletionQueue()

    @rule()
    def let_helpers_take_what_they_can(self) -> None:
        # no precondition: after a cancellation it depends on the helpers, and is no choice
        if any(self.waiting):
            eventually(lambda: False, TAKEN)

    def collect(self) -> None:
        told.update(self.queue.get(0))
        while (info := aio.sigwaitinfo([SIGNO], 0)) is not None:
            told.update([info.si_value])

    @invariant()
    def in_progress_is_what_it_should_be(self) -> None:
        for queue in self.waiting:
            assert all(request.cb is None or request.cb.in_progress for request in queue)

    @invariant()
    def nothing_is_announced_more_often_than_it_was_submitted(self) -> None:
        self.collect()
        for token, n in self.owed.items():
            assert told[token] <= n, token

    def teardown(self) -> None:
        for _, write in self.pipes:
            os.close(write)
        held = [request.cb for request in self.made if request.cb is not None]
        assert eventually(
            lambda: sum(cb.in_progress for cb in held) == 0 and not flight.in_flight()
        )

        def everything_was_announced() -> bool:
            self.collect()
            return all(told[token] == n for token, n in self.owed.items())

        assert eventually(everything_was_announced), (self.owed, told)
        self.queue.close()
        for read, _ in self.pipes:
            os.close(read)
        assert signal.sigtimedwait([SIGNO], 0) is None


class LifeWithSignals(Life):
    """Apart, because a signal that is blocked for sigwaitinfo ends the process if it finds a
    notification thread (G19).
    """

    kinds = ("nobody", "signal")


many = settings(
    max_examples=int(os.environ.get("EXAMPLES", "50")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLife = Life.TestCase
TestLife.settings = many
TestLifeWithSignals = LifeWithSignals.TestCase
TestLifeWithSignals.settings = many
