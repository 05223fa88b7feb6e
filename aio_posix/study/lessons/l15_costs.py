"""Lesson 15: what it costs to be told, to wait in a queue, and what a batch saves."""

from __future__ import annotations

import os
import queue
import threading
import time

from aio_posix import (
    LIO_NOWAIT,
    LIO_READ,
    SIGEV_THREAD,
    aio_read,
    aio_return,
    aiocb,
    lio_listio,
    sigevent,
)
from aio_posix.study.costs import LANES, WAYS, enqueue, rate
from aio_posix.study.lesson import Show
from aio_posix.study.look import eventually
from aio_posix.study.model import Glibc
from aio_posix.study.parts import Request

NUMBER = 15
ASK = (
    "What does an asynchronous read cost, when the data is in the page cache: more or "
    "less than a read that blocks?"
)
GUESS = (
    "Less: there is nothing to wait for. And a thousand requests cost a thousand "
    "times what one costs."
)
C = """
aio_read(cb);          /* lock; walk the descriptors; walk this one's queue; unlock; */
                       /* wake a helper: pread; lock; pthread_create; unlock */
                       /* a new thread: your function */
pread(fd, buf, n, 0);  /* the same bytes */
"""
SOURCE = """
rt/aio_misc.c: __aio_enqueue_request walks the queue from the head to find the place
behind equal priorities: n requests on one descriptor cost n * n / 2 steps, under the
mutex that all need. rt/aio_notify.c: __aio_notify_only makes a thread for each
notification; rt/aio_notify.c: __aio_notify counts a list down and makes one for all of
it.
"""
TRY = """
Double QUEUED: twice as many requests take four times as long on one descriptor, and
twice as long on its dup()s. For more, python -m aio_posix.study.costs --svg costs.svg;
such a picture is docs/study/costs.svg.
"""
READS = 200
QUEUED, STEP = 8000, 2000


def run(show: Show) -> None:
    file = os.open(__file__, os.O_RDONLY)
    tids: queue.SimpleQueue[int] = queue.SimpleQueue()

    def callback(value: object) -> None:
        tids.put(threading.get_native_id())

    told = sigevent(SIGEV_THREAD, sigev_notify_function=callback)
    for _ in range(READS):
        aio_read(aiocb(file, bytearray(1), aio_sigevent=told))
    eventually(lambda: tids.qsize() == READS)
    threads = {tids.get() for _ in range(READS)}
    show(f"{READS} reads, each announced:", len(threads), "threads were made to say so")
    batch = [aiocb(file, bytearray(1), aio_lio_opcode=LIO_READ) for _ in range(READS)]
    lio_listio(LIO_NOWAIT, batch, told)
    eventually(lambda: tids.qsize() == 1)
    show(
        f"{READS} reads in a list, announced together:",
        tids.qsize(),
        "thread; bytes read:",
        sum(map(aio_return, batch)),
    )
    assert (len(threads), tids.qsize()) == (READS, 1)

    show("4 KiB reads a second, 32 in flight, from Python:")
    for name, way in WAYS.items():
        show(f"  {name:<16}{rate(way, 32, 960):>10,.0f}", measured=True)

    show(
        "In the model a request of the same descriptor passes all that wait before it"
        " finds its place:"
    )
    model, places = Glibc(), []
    for n in range(4):
        model = model.submit(Request(f"read{n}", 7))
        places.append(model.queue(7).index(model.queue(7)[-1]))
    show("  the first four pass", *places, "- n requests so pass n * (n - 1) / 2")
    assert places == [0, 1, 2, 3]
    began = time.perf_counter()
    show(
        f"microseconds for one more, when so many wait:{'':7}"
        + "".join(f"{n:8}" for n in range(0, QUEUED, STEP))
    )
    for lanes, where in ((1, "one descriptor"), (LANES, "dup()s of it")):
        times = enqueue(QUEUED, lanes, STEP)
        show(f"  {where:<48}" + "".join(f"{one:8.1f}" for one in times), measured=True)
        # All were accepted, and all of them are done
        assert len(times) == QUEUED // STEP
    show(f"{2 * QUEUED} requests in {time.perf_counter() - began:.1f} s", measured=True)
