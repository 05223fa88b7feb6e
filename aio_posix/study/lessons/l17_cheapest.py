"""Lesson 17: four ways to be told, what each makes glibc do, and what that costs."""

from __future__ import annotations

import os
import signal
import threading

from aio_posix import (
    LIO_NOWAIT,
    LIO_READ,
    SIGEV_NONE,
    SIGEV_SIGNAL,
    SIGEV_THREAD,
    aio_error,
    aio_read,
    aio_suspend,
    aiocb,
    lio_listio,
    sigevent,
    sigwaitinfo,
)
from aio_posix.study.costs import WAYS, rate
from aio_posix.study.lesson import Show
from aio_posix.study.look import eventually, helpers

NUMBER = 17
ASK = "SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, a list: which notification is cheapest?"
GUESS = "SIGEV_THREAD is a function call, which is cheaper than a signal."
C = """
cb.aio_sigevent.sigev_notify = SIGEV_NONE;    /* nothing; aio_suspend uses a futex */
cb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;  /* the helper: rt_sigqueueinfo */
cb.aio_sigevent.sigev_notify = SIGEV_THREAD;  /* the helper: clone; a new thread */
lio_listio(LIO_NOWAIT, cbs, n, &of_all);      /* one of these for n requests */
"""
SOURCE = """
rt/aio_notify.c: __aio_notify_only makes a thread for SIGEV_THREAD and calls
__aio_sigqueue for SIGEV_SIGNAL, in the helper that did the I/O and before it takes more
work. rt/aio_suspend.c: aio_suspend puts the waiter into the request, and
rt/aio_notify.c: __aio_notify wakes that by a futex. A list has one counter for all.
"""
TRY = """
Let READS be 600: SIGEV_THREAD makes 600 threads, and the list still makes one. For more
reads a second, python -m aio_posix.study.costs measures the five ways of the last part.
"""
READS = 60


def run(show: Show) -> None:
    file = os.open(__file__, os.O_RDONLY)
    me, makers = os.getpid(), []

    def reads(told: sigevent | None) -> list[aiocb]:
        return [
            aiocb(file, bytearray(1), aio_sigevent=told, aio_lio_opcode=LIO_READ)
            for _ in range(READS)
        ]

    def callback(value: object) -> None:
        makers.append(threading.get_native_id())

    show(f"{READS} reads, and who is made or asked to tell of them:")
    quiet = reads(sigevent(SIGEV_NONE))
    for cb in quiet:
        aio_read(cb)
    while running := [cb for cb in quiet if aio_error(cb)]:
        aio_suspend(running)
    show("  SIGEV_NONE    nobody; aio_suspend sleeps in the thread that waits")

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
    for cb in reads(sigevent(SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN)):
        aio_read(cb)
    infos = [sigwaitinfo([signal.SIGRTMIN], timeout=20) for _ in range(READS)]
    senders = {info.si_pid for info in infos if info}
    show("  SIGEV_SIGNAL ", len(infos), "signals, sent by helpers of this process:",
         senders == {me})  # fmt: skip
    assert senders == {me}

    told = sigevent(SIGEV_THREAD, sigev_notify_function=callback)
    for cb in reads(told):
        aio_read(cb)
    eventually(lambda: len(makers) == READS)
    show("  SIGEV_THREAD ", len(set(makers)), "threads")
    assert len(set(makers)) == READS
    assert not {*makers} & {me, *(row.tid for row in helpers())}

    makers.clear()
    lio_listio(LIO_NOWAIT, reads(None), told)
    eventually(lambda: makers)
    show("  a list       ", len(makers), "thread for all of them")
    assert len(makers) == 1

    show("Cached 4 KiB reads a second, 32 in flight, from Python:")
    for name, way in WAYS.items():
        show(f"  {name:<16}{rate(way, 32, 640):>10,.0f}", measured=True)
