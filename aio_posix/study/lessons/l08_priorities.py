"""Lesson 8: who is served first."""

from __future__ import annotations

import os
import signal
import socket
import tempfile

from aio_posix import (
    SIGEV_SIGNAL,
    aio_fsync,
    aio_init,
    aio_read,
    aio_write,
    aiocb,
    sigevent,
    sigwaitinfo,
)
from aio_posix.study.lesson import Show
from aio_posix.study.look import blocked, eventually
from aio_posix.study.model import Glibc
from aio_posix.study.parts import Op, Request
from aio_posix.study.picture import picture

NUMBER = 8
ASK = (
    "aio_reqprio: does the most urgent request run first? And does aio_fsync come "
    "after the writes before it?"
)
GUESS = (
    "Priorities sort all that waits, 0 before 20. An fsync is a barrier: what was "
    "written before it is on the disk."
)
SOURCE = """
rt/aio_misc.c: __aio_enqueue_request sorts a request into its descriptor's queue, but
behind the head, even one that no helper has taken; add_request_to_runlist sorts the
heads alone. rt/aio_fsync.c sets aio_reqprio = 0 in your aiocb, and so puts the fsync
before every queued write with a reqprio above 0.
"""
TRY = """
Call the last write W0b instead of W5, with aio_reqprio 0. The fsync is then an exact
barrier for this descriptor. Then let fsync have descriptor 1, which is a dup() of the
same file. The order is W0 fsync W0b, because each descriptor has its own queue.
"""


def write(name: str, fd: int) -> Request:
    return Request(name, fd, Op.WRITE, aio_reqprio=int(name[1:].rstrip("b")))


def play(show: Show, *script: Request) -> str:
    """Submits the script while the only helper is held; the order when it goes on."""
    fds = {request.fd for request in script}
    gate = Request("gate", max(fds) + 1)
    now = Glibc(aio_threads=1, files=frozenset(fds)).submit(gate)
    for request in script:
        now = now.submit(request)
    show("\n".join(picture(now).splitlines()[1:-2]))
    predicted = now.feed(gate.fd).settle().order.removeprefix("gate ")

    ours, peer = socket.socketpair()
    aio_read(aiocb(ours, bytearray(1)))
    eventually(lambda: blocked(ours.fileno()))
    with tempfile.TemporaryFile() as file:
        number = {fd: os.dup(file.fileno()) for fd in fds}
        # a real-time signal: the helper itself queues it, in order
        signo, asked = (signal.SIGRTMIN, [])
        for request in script:
            told = sigevent(SIGEV_SIGNAL, sigev_signo=signo, sigev_value=request.name)
            cb = aiocb(
                number[request.fd],
                b"x",
                aio_reqprio=request.aio_reqprio,
                aio_sigevent=told,
            )
            asked.append(cb)
            if request.op is Op.SYNC:
                aio_fsync(os.O_SYNC, cb)
            else:
                aio_write(cb)
        peer.send(b"!")
        infos = [sigwaitinfo([signo], timeout=20) for _ in script]
        measured = " ".join(str(info.si_value) for info in infos if info)
    show("  submitted  ", *(request.name for request in script))
    show("  predicted  ", predicted)
    show("  happened   ", measured)
    assert measured == predicted
    return measured


def run(show: Show) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
    aio_init(aio_threads=1)
    show(
        "Names are descriptor and aio_reqprio. One descriptor; A20, the least urgent,"
        " came first:"
    )
    order = play(show, write("A20", 0), write("A5", 0), write("A0", 0), write("A10", 0))
    assert order == "A20 A0 A5 A10"
    show(
        "Three descriptors; A0, the most urgent, stands behind A10, and so behind all"
        " others:"
    )
    order = play(show, write("A10", 0), write("B5", 1), write("A0", 0), write("C3", 2))
    assert order == "C3 B5 A10 A0"
    show("Two writes and an fsync after them:")
    order = play(show, write("W0", 0), write("W5", 0), Request("fsync", 0, Op.SYNC))
    assert order == "W0 fsync W5"
