"""Lesson 6: the pool of twenty threads, and who waits when all of them do."""

from __future__ import annotations

import errno
import os
import socket

from aio_posix import aio_error, aio_read, aio_return, aiocb
from aio_posix.study.lesson import Show
from aio_posix.study.look import blocked, eventually, stays
from aio_posix.study.model import Glibc
from aio_posix.study.parts import Request

NUMBER = 6
ASK = (
    "Twenty reads are blocked on silent sockets. What happens to the twenty-first "
    "request?"
)
GUESS = (
    "It is asynchronous, so it runs. If it reads a small file from the page cache it "
    "is done at once."
)
SOURCE = """
rt/aio_misc.c: __aio_enqueue_request starts a helper only while nthreads <
optim.aio_threads (20); beyond that it puts the request into the runlist and signals a
condition on which nobody waits. add_request_to_runlist sorts by priority;
handle_fildes_io takes the first when its own request is done.
"""
TRY = """
Give the file's request a place before the socket's: aio_reqprio=1 for socket 21 and 0
for the file (lower is more urgent). One byte to one of the twenty then serves the file
first. Or call aio_init(aio_threads=22) at the top. Then no request waits, and the
lesson stops where it expects a pool of twenty.
"""


def run(show: Show) -> None:
    pairs = [socket.socketpair() for _ in range(21)]
    reads = [aiocb(ours, bytearray(1)) for ours, peer in pairs]
    of_file = aiocb(os.open(__file__, os.O_RDONLY), bytearray(1))

    model = Glibc(files=frozenset({99}))  # first the prediction
    sockets = [Request(f"socket{n}", n) for n in range(1, 22)]
    for request in [*sockets, Request("file", 99)]:
        model = model.submit(request)
    show(
        "The model:",
        len(model.helpers),
        "helpers, runlist:",
        *(one.name for one in model.runlist),
    )

    for read in [*reads, of_file]:
        aio_read(read)
    eventually(lambda: len(blocked()) == 20)
    # The file is in the page cache, and yet
    assert stays(lambda: aio_error(of_file) == errno.EINPROGRESS)
    show(
        "glibc:    ",
        len(blocked()),
        "helpers, each blocked in",
        *{row.doing for row in blocked()},
    )
    show("The read of the file:", errno.errorcode[aio_error(of_file)])

    # One helper is free: for the first of the runlist
    os.write(pairs[0][1].fileno(), b"!")
    eventually(lambda: aio_error(reads[0]) == 0 and blocked(pairs[20][0].fileno()))
    assert stays(lambda: aio_error(of_file) == errno.EINPROGRESS)
    answer = errno.errorcode[aio_error(of_file)]
    show("A byte for socket 1. The helper it frees takes socket 21; the file:", answer)
    model = model.feed(1).settle()
    show("The model's runlist has left:", *(one.name for one in model.runlist))
    assert [one.name for one in model.runlist] == ["file"]

    os.write(pairs[1][1].fileno(), b"!")
    eventually(lambda: aio_error(of_file) == 0)
    show("A byte for socket 2. The read of the file:", aio_return(of_file), "byte")
    assert (len(blocked()), aio_error(reads[1])) == (19, 0)
