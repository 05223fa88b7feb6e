"""Lesson 11: signals that are queued, coalesced or lost, and a result overwritten."""

from __future__ import annotations

import errno
import os
import resource
import signal

from aio_posix import (
    SIGEV_SIGNAL,
    aio_error,
    aio_read,
    aio_write,
    aiocb,
    sigevent,
    sigwaitinfo,
)
from aio_posix.study.lesson import Show
from aio_posix.study.look import eventually

NUMBER = 11
ASK = (
    "Fifty reads, each announced by a signal. How many signals come, and what if the "
    "kernel has no room for them?"
)
GUESS = (
    "Fifty; and whatever happens to a signal, the result of a read is the result of "
    "the read."
)
C = """
sigwaitinfo(&set, &info);          /* blocked in every thread, taken here */
if (info.si_code == SI_ASYNCIO)
    cb = info.si_value.sival_ptr;  /* one for each request if it is real-time */

if (aio_error(cb) == EAGAIN)       /* failed? or only its signal? if the bytes have */
    aio_write(cb);                 /* been written, then this writes them again */
"""
SOURCE = """
sysdeps/unix/sysv/linux/aio_sigqueue.c: __aio_sigqueue calls rt_sigqueueinfo with
SI_ASYNCIO and the si_value. rt/aio_notify.c: __aio_notify, when that fails, stores its
errno in __error_code and -1 in __return_value, over the result. Two pending signals of
the same number below SIGRTMIN are one. That is a rule of signal(7) and not of glibc.
"""
TRY = """
signal.set_wakeup_fd(w) with a non-blocking pipe, beside the handler: it gets 50 bytes
where the Python function is called once. Before taking signals print the line SigQ of
/proc/self/status: how many this user has queued, in all of its processes, and how many
it may.
"""
READS = 50
RT, USR1 = signal.SIGRTMIN, signal.SIGUSR1


def run(show: Show) -> None:
    file = os.open(__file__, os.O_RDONLY)
    signal.pthread_sigmask(signal.SIG_BLOCK, [RT, USR1])

    def read_all(signo: int) -> list[aiocb]:
        told = sigevent(SIGEV_SIGNAL, sigev_signo=signo)
        cbs = [aiocb(file, bytearray(8), aio_sigevent=told) for _ in range(READS)]
        for cb in cbs:
            aio_read(cb)
        eventually(lambda: errno.EINPROGRESS not in map(aio_error, cbs))
        return cbs

    def taken(signo: int) -> list[object]:
        found = []
        while info := sigwaitinfo([signo], timeout=0.1):
            found.append(info.si_value)
        return found

    show(
        f"{READS} reads of one file complete while their signal is blocked. Then"
        " sigwaitinfo takes"
    )
    cbs = read_all(RT)
    values = taken(RT)
    show(
        "  of SIGRTMIN:",
        len(values),
        "- si_value is the aiocb of each, in order:",
        values == cbs,
    )
    assert values == cbs
    read_all(USR1)
    values = taken(USR1)
    show("  of SIGUSR1: ", len(values))
    assert len(values) == 1

    called: list[int] = []
    signal.signal(RT, lambda signo, frame: called.append(signo))
    read_all(RT)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [RT])
    eventually(lambda: called)
    signal.pthread_sigmask(signal.SIG_BLOCK, [RT])
    show(
        f"A handler set by signal.signal is called for {READS} signals of SIGRTMIN",
        len(called),
        "time: Python's flag is one",
    )
    assert len(called) == 1

    hard = resource.getrlimit(resource.RLIMIT_SIGPENDING)[1]
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, hard))
    show(
        "Now RLIMIT_SIGPENDING is 0, as when other processes of this user have all"
        " of it:"
    )
    there, here = os.pipe()
    seen = []
    for signo in (RT, USR1):
        told = sigevent(SIGEV_SIGNAL, sigev_signo=signo)
        read = aiocb(file, bytearray(3), aio_sigevent=told)
        write = aiocb(here, b"abc", aio_sigevent=told)
        aio_read(read)
        aio_write(write)
        both = read, write
        eventually(lambda: errno.EINPROGRESS not in map(aio_error, both))  # noqa: B023  runs now
        errors = [errno.errorcode.get(aio_error(cb), "0") for cb in both]
        seen.append((*errors, bytes(read.aio_buf), os.read(there, 9)))
        show(f"  {signo.name:<8}  read: {errors[0]:<6}  its buffer: {seen[-1][2]!r}  "
             f"write: {errors[1]:<6}  in the pipe: {seen[-1][3]!r}")  # fmt: skip
    assert seen == [("EAGAIN", "EAGAIN", b'"""', b"abc"), ("0", "0", b'"""', b"abc")]
    show("An ordinary signal comes without its value then, but spoils nothing.")
    assert (taken(RT), len(taken(USR1))) == ([], 1)
