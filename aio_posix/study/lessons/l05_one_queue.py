"""Lesson 5: requests of one descriptor run one at a time."""

from __future__ import annotations

import errno
import os
import socket

from aio_posix import aio_error, aio_read, aio_return, aio_write, aiocb
from aio_posix.study.lesson import Show
from aio_posix.study.look import blocked, eventually, stays
from aio_posix.study.model import Glibc
from aio_posix.study.parts import Op, Request
from aio_posix.study.picture import picture

NUMBER = 5
ASK = (
    "Three reads and a write on one socket: how many threads work on them? And with "
    "dup()?"
)
GUESS = (
    "Four, one for each: they are asynchronous. A socket has two directions, so the "
    "write at least is free to go."
)
SOURCE = """
rt/aio_misc.c: __aio_enqueue_request looks for a running request with the same
aio_fildes and, if there is one, puts the new one behind it ("it makes no sense to start
another thread"). The key is the number: dup() gives another.
"""
TRY = """
Give each read a bytearray(3), and let the peer send all three bytes at once. The first
read has them all. The second and the third go on waiting, and so does the write behind
them.
"""


def run(show: Show) -> None:
    model = Glibc()
    for request in (
        Request("read1", 5),
        Request("read2", 5),
        Request("read3", 5),
        Request("write", 5, Op.WRITE),
    ):
        model = model.submit(request)
    show("The model:\n" + picture(model))
    assert len(model.helpers) == 1

    ours, peer = socket.socketpair()
    reads = [aiocb(ours, bytearray(1)) for _ in range(3)]
    write = aiocb(ours, b"out")
    for read in reads:
        aio_read(read)
    aio_write(write)
    eventually(lambda: blocked(ours.fileno()))
    assert stays(lambda: len(blocked()) == 1 and aio_error(write) == errno.EINPROGRESS)
    of_write = errno.errorcode[aio_error(write)]
    show("glibc:", len(blocked()), "helper in", blocked()[0].doing, "of the socket.",
         "The write, which nothing hinders:", of_write)  # fmt: skip

    over_there = os.dup(ours.fileno())
    beside = aiocb(over_there, b"dup")
    aio_write(beside)
    eventually(lambda: aio_error(beside) == 0)
    show(
        "A write to a dup() of the socket:",
        aio_return(beside),
        "bytes at once; the peer has",
        peer.recv(9),
    )
    assert aio_error(write) == errno.EINPROGRESS

    for number, byte in enumerate((b"a", b"b", b"c")):
        peer.send(byte)
        eventually(lambda: aio_error(reads[number]) == 0)  # noqa: B023  runs now
        show(
            "The peer sends",
            byte,
            "- complete:",
            *(bytes(read.aio_buf) for read in reads if not aio_error(read)),
        )
    eventually(lambda: aio_error(write) == 0)
    show("Only now the write:", aio_return(write), "bytes; the peer has", peer.recv(9))
    assert [bytes(read.aio_buf) for read in reads] == [b"a", b"b", b"c"]

    lanes = [aiocb(os.dup(ours.fileno()), bytearray(1)) for _ in range(3)]
    for lane in lanes:
        aio_read(lane)
    eventually(lambda: len(blocked()) == 3)
    show(
        "Three reads on three dup()s of it:",
        len(blocked()),
        "helpers, all in",
        *{row.doing for row in blocked()},
    )
    peer.send(b"xyz")
    eventually(lambda: not any(map(aio_error, lanes)))
    show("The peer sends b'xyz': each has one byte, which one is luck. Sorted:",
         sorted(bytes(lane.aio_buf) for lane in lanes))  # fmt: skip
    assert sorted(bytes(lane.aio_buf) for lane in lanes) == [b"x", b"y", b"z"]
