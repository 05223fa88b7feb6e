"""Lesson 7: how the pool grows, waits and dies."""

from __future__ import annotations

import os
import socket
import time

from aio_posix import (
    LIO_NOWAIT,
    LIO_READ,
    aio_error,
    aio_init,
    aio_read,
    aiocb,
    lio_listio,
)
from aio_posix.study.lesson import Show
from aio_posix.study.look import blocked, eventually, helpers
from aio_posix.study.model import Glibc
from aio_posix.study.parts import Request
from aio_posix.study.reports import Row

NUMBER = 7
ASK = "When does glibc start a helper thread, and when does a helper end?"
GUESS = (
    "A pool of 20 starts with the first request and stays for the life of the process."
)
SOURCE = """
rt/aio_misc.c: __aio_enqueue_request starts a helper only if none is idle (the caller of
aio_read pays for the clone). rt/aio_misc.c: handle_fildes_io, when the runlist is
empty, waits aio_idle_time (1 second; here 4) and leaves. If it takes one head and
others are left, it wakes or starts the next helper.
"""
TRY = """
Set aio_idle_time=-1. No helper is ever idle then, each request that comes alone pays
for a new thread, and the lesson stops where it waits for three idle helpers. Or leave
aio_init out. Helpers then stay for one second, so a program that reads every two
seconds makes a thread each time.
"""


def doing() -> str:
    return counted(helpers())


def counted(rows: list[Row]) -> str:
    idle = sum(row.doing == "idle" for row in rows)
    return f"{len(rows)} helpers, {idle} idle"


def run(show: Show) -> None:
    aio_init(aio_idle_time=4)  # time enough to look
    pairs = [socket.socketpair() for _ in range(4)]
    reads = [aiocb(ours, bytearray(1), aio_lio_opcode=LIO_READ) for ours, peer in pairs]
    show("Before the first request:      ", doing())
    assert not helpers()
    for count, read in enumerate(reads[:3], 1):
        aio_read(read)
        eventually(lambda: len(blocked()) == count)  # noqa: B023  runs now
        show(f"{count} blocked in read:             ", doing())
    first = {row.tid for row in helpers()}

    for _, peer in pairs[:3]:
        peer.send(b"!")
    eventually(lambda: doing() == "3 helpers, 3 idle")
    show("All three have their byte:      3 helpers, 3 idle")
    aio_read(reads[0])
    eventually(blocked)
    rows = helpers()
    show(
        "One more read:                 ",
        counted(rows),
        "- the same threads:",
        {row.tid for row in rows} == first,
    )
    assert {row.tid for row in rows} == first

    pairs[0][1].send(b"!")
    eventually(lambda: aio_error(reads[0]) == 0)
    began = time.monotonic()
    eventually(lambda: not helpers())
    show("aio_idle_time later:           ", doing())
    show(
        f"which was {time.monotonic() - began:.2f} s after the last completion",
        measured=True,
    )

    aio_read(reads[0])
    eventually(blocked)
    rows = helpers()
    show(
        "A read after that:             ",
        counted(rows),
        "- a new thread:",
        rows[0].tid not in first,
    )
    assert (len(rows), rows[0].tid in first) == (1, False)
    os.write(pairs[0][1].fileno(), b"!")
    eventually(lambda: doing() == "1 helpers, 1 idle")

    show("One is idle, and a list of four reads comes. The model, step by step:")
    start = Glibc().with_idle(1).submit(*(Request(f"read{n}", n) for n in range(4)))
    for now in (start, *start.steps()):
        runlist = " ".join(one.name for one in now.runlist) or "empty"
        show(
            "  ",
            now.event.split(" read ")[0].ljust(20),
            f"helpers: {len(now.helpers)}  runlist: {runlist}",
        )
    lio_listio(LIO_NOWAIT, reads)
    eventually(lambda: len(blocked()) == 4)
    show("glibc:                         ", doing(), "- each helper started the next")
    assert len(now.helpers) == len(helpers()) == 4
