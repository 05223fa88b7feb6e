"""What the tests share: things to read from that block, things to read from that do not, and a last
look at the end.

Every test must leave nothing in flight and nothing owed. What a fixture has blocked it lets go.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deadline import TAKEN, eventually

import aio_posix as aio
from aio_posix import _calls, flight

# For sigwaitinfo: blocked before there is any thread, for a thread that starts with it unblocked
# (pytest's watchdog is one for a moment) would take it, and its default action ends the process
# (G19).
SIGNO = signal.SIGRTMIN + 3
signal.pthread_sigmask(signal.SIG_BLOCK, [SIGNO])

# A shell starts what runs in its background with Ctrl-C ignored, and programs would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

FULL_POOL = f"""
import errno, os, signal, socket, sys, tempfile, threading, time
import aio_posix as aio
from aio_posix import *
def eventually(true, timeout=10.0):
    end = time.monotonic() + timeout
    while not true():
        if time.monotonic() > end: return False
        time.sleep(0.001)
    return True
def full_pool(threads=1):
    "All helpers of a pool of this size are blocked; a call to what it returns lets them go."
    aio_init(aio_threads=threads)
    pipes = [os.pipe() for _ in range(threads)]
    blocked = [aiocb(r, bytearray(1)) for r, _ in pipes]
    for cb in blocked: aio_read(cb)
    time.sleep({TAKEN})
    def release():
        for _, w in pipes: os.write(w, b"x")
        assert eventually(lambda: all(aio_error(cb) == 0 for cb in blocked))
    return release
def memfd(data=b""):
    fd = os.memfd_create("m")
    os.write(fd, data)
    return fd
"""


def left() -> tuple[int, int, int]:
    """How many submissions are in flight or kept, and how many notifications are owed."""
    return len(flight.in_flight()), _calls.kept(), flight.owed()


def may_take_signo() -> set[str]:
    """The threads that do not block it, as far as that can be seen."""
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            status = (thread / "status").read_bytes()
            mask = re.search(rb"^SigBlk:\s*([0-9a-f]+)", status, re.MULTILINE)
            if mask and not int(mask[1], 16) >> (SIGNO - 1) & 1:
                found.add(thread.name)
    return found


@pytest.fixture(autouse=True)
def nobody_else_takes_the_signal() -> Iterator[None]:
    """A notification thread of glibc blocks no signal. The last one of a test may not have ended
    yet, would take SIGNO of the next test, and the process would end.
    """
    before = may_take_signo()  # an emulator has such threads, too
    yield
    eventually(lambda: may_take_signo() <= before)


@pytest.fixture(autouse=True)
def nothing_left_in_flight() -> Iterator[None]:
    before = left()  # what an earlier test is to blame for
    yield
    if any(now > then for now, then in zip(left(), before, strict=True)):
        gc.collect()
        assert eventually(
            lambda: all(now <= then for now, then in zip(left(), before, strict=True))
        ), (left(), flight.in_flight())


class Pipe:
    """An empty pipe; reads from it block until it is fed, or until the test is over."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.started: list[aio.aiocb] = []

    def blocked(self, nbytes: int = 16, **fields: Any) -> aio.aiocb:
        """A read that has been submitted and waits; the first one runs, the others are queued
        behind it.
        """
        cb = aio.aiocb(self.read, bytearray(nbytes), **fields)
        aio.aio_read(cb)
        self.started.append(cb)
        eventually(lambda: False, TAKEN)
        return cb

    def feed(self, data: bytes = b"x") -> None:
        os.write(self.write, data)

    def close(self) -> None:
        os.close(self.write)
        assert eventually(lambda: not any(cb.in_progress for cb in self.started))
        os.close(self.read)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def pipes() -> Iterator[list[Pipe]]:
    pipes = [Pipe() for _ in range(3)]
    yield pipes
    for pipe in pipes:
        pipe.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets; what still reads from them at the end is let go."""
    here, there = socket.socketpair()
    yield here, there
    for end in (here, there):
        if end.fileno() >= 0:
            end.shutdown(socket.SHUT_RDWR)
    assert eventually(lambda: not flight.in_flight())
    here.close()
    there.close()


@pytest.fixture
def file() -> Iterator[int]:
    """A descriptor of a regular file that contains the ten digits."""
    fd = os.memfd_create("digits")
    os.write(fd, b"0123456789")
    yield fd
    os.close(fd)


@pytest.fixture
def signo() -> Iterator[int]:
    """A real-time signal that is blocked; what is pending of it in the end is taken away."""
    yield SIGNO
    while signal.sigtimedwait([SIGNO], 0) is not None:
        pass


def done(*cbs: aio.aiocb) -> Any:
    """The results of requests that come to their end soon: one, or a list."""
    for cb in cbs:
        assert aio.aio_suspend([cb], 10)
    results = [aio.aio_return(cb) for cb in cbs]
    return results[0] if len(cbs) == 1 else results
