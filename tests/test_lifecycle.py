"""The life of a request (G8, G18), step by step in every order that hypothesis can think of.

unsubmitted -> in flight -> complete -> returned -> in flight ...; each wrong step raises and
changes nothing. Reads of one byte from pipes: a pipe's reads are served in their order, so it is
known which are complete. Not covered here: priorities, notifications, lists.
"""

from __future__ import annotations

import errno
import os
import warnings
from typing import Any

import pytest
from deadline import TAKEN, eventually
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

import aio_posix as aio
from aio_posix import flight

PIPES = 3


class Request:
    """What ought to be true of one aiocb."""

    def __init__(self, pipe: int, cb: aio.aiocb) -> None:
        self.pipe = pipe
        self.cb = cb
        self.state = "unsubmitted"
        self.error = 0


def fails(number: int) -> Any:
    return pytest.raises(OSError, check=lambda error: error.errno == number)


class Life(RuleBasedStateMachine):
    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.pipes = [os.pipe() for _ in range(PIPES)]
        self.waiting: list[list[Request]] = [[] for _ in range(PIPES)]  # in flight, in their order
        self.bytes: list[list[int]] = [[] for _ in range(PIPES)]  # fed and not yet read
        self.fed = 0
        self.made: list[Request] = []

    def settle(self, pipe: int) -> None:
        """Bytes meet reads."""
        while self.bytes[pipe] and self.waiting[pipe]:
            request, byte = self.waiting[pipe].pop(0), self.bytes[pipe].pop(0)
            request.state = "complete"
            if request.cb is not None:
                assert aio.aio_suspend([request.cb], 10)
                assert request.cb.aio_buf == bytes([byte])

    @rule(target=requests, pipe=st.integers(0, PIPES - 1))
    def make(self, pipe: int) -> Request:
        self.made.append(
            Request(pipe, aio.aiocb(self.pipes[pipe][0], bytearray(1), aio_lio_opcode=aio.LIO_READ))
        )
        return self.made[-1]

    @rule(request=requests, as_list=st.booleans())
    def submit(self, request: Request, as_list: bool) -> None:
        def start() -> None:
            aio.lio_listio(aio.LIO_NOWAIT, [request.cb]) if as_list else aio.aio_read(request.cb)

        if request.state == "in flight":
            with fails(errno.EINPROGRESS):
                start()
            return
        start()
        request.state, request.error = "in flight", 0
        self.waiting[request.pipe].append(request)
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
    def resize_the_buffer(self, request: Request) -> None:
        if request.state == "in flight":
            with pytest.raises(BufferError):
                request.cb.aio_buf.append(0)
        else:
            request.cb.in_progress  # noqa: B018 - whoever looks at a complete request lets its buffer go
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
    def let_helpers_take_what_they_can(self) -> None:
        if any(
            self.waiting
        ):  # no precondition: after a cancellation it depends on the helpers, and is no choice
            eventually(lambda: False, TAKEN)

    @invariant()
    def in_progress_is_what_it_should_be(self) -> None:
        for queue in self.waiting:
            assert all(request.cb is None or request.cb.in_progress for request in queue)

    def teardown(self) -> None:
        for _, write in self.pipes:
            os.close(write)
        held = [request.cb for request in self.made if request.cb is not None]
        assert eventually(lambda: sum(cb.in_progress for cb in held) == 0 and not flight.in_flight)
        for read, _ in self.pipes:
            os.close(read)


Life.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLife = Life.TestCase
