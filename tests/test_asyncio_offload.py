"""No job of aio_posix.asyncio waits for a thread that is not there."""

from __future__ import annotations

import functools
import threading

from deadline import eventually

from aio_posix.asyncio.threads import USUAL, Threads


def waited_for(gate: threading.Event) -> None:
    gate.wait()


def test_a_thread_that_took_a_waiting_job_does_not_count_as_idle() -> None:
    """Or the next job would be left to it, though it may be blocked for good."""
    threads = Threads()
    gates = [threading.Event() for _ in range(USUAL + 1)]

    def block(number: int) -> None:
        assert threads.start(functools.partial(waited_for, gates[number]))

    for number in range(USUAL):
        block(number)
    waited = threading.Event()
    assert threads.start(waited.set)
    gates[0].set()
    assert waited.wait(10)
    assert eventually(lambda: threads.idle == 1)
    block(USUAL)
    assert eventually(lambda: threads.idle == 0)
    done = threading.Event()
    try:
        assert threads.start(done.set)
        assert done.wait(10)
    finally:
        for gate in gates:
            gate.set()
