"""Lesson 12: lio_listio, waiting or not, when some of it fails or a signal comes."""

from __future__ import annotations

import errno
import os
import queue
import signal
import socket
import subprocess
import sys

from aio_posix import (
    LIO_NOP,
    LIO_NOWAIT,
    LIO_READ,
    LIO_WAIT,
    SIGEV_THREAD,
    aio_error,
    aiocb,
    lio_listio,
    sigevent,
)
from aio_posix.study.lesson import Show
from aio_posix.study.look import eventually

NUMBER = 12
ASK = (
    "lio_listio starts a list of requests. What does it say when one of them fails, "
    "and who is told when?"
)
GUESS = (
    "All or nothing: -1 and none has been started, 0 and all is well. LIO_WAIT "
    "returns when all is done, or EINTR."
)
C = """
struct waitlist waitlist[nent];           /* LIO_WAIT, retold: on this stack frame */
for (n = 0; n < nent; n++)
    requests[n]->waiting = &waitlist[n];  /* helpers walk this list with their result */
while (total > 0)
    if (futex_wait(&total) == EINTR)
        return -1;                        /* the frame is gone; helpers point to it */
"""
SOURCE = """
rt/lio_listio-common.c: lio_listio_internal enqueues each entry and checks only whether
it could be enqueued. With LIO_WAIT it looks at the results as well (EIO). Interrupted,
it leaves its waitlist in the queue. rt/aio_notify.c: __aio_notify counts a list down;
the one that reaches zero starts the list's notification.
"""
TRY = """
Let the last handler raise KeyboardInterrupt, as Ctrl-C does: the wait ends, the request
goes on, and aio_error shows its result later. Make the list 1,000,000 long, all but one
of it None: C's LIO_WAIT needs 40 bytes of stack for each and dies of SIGSEGV, the
binding's does not.
"""
INTERRUPTED_IN_C = """
import ctypes, errno, signal, socket, sys, time
from aio_posix.study import raw
us, them = socket.socketpair()
cb = raw.aiocb(us.fileno())
cb.aio_lio_opcode = 0                           # LIO_READ
signal.signal(signal.SIGALRM, lambda *_: None)  # Python's handlers lack SA_RESTART
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)  # again and again, so one interrupts
cbs = (ctypes.c_void_p * 1)(ctypes.addressof(cb))
LIO_WAIT = 0
status = raw.LIBRARY.lio_listio(LIO_WAIT, cbs, 1, None)
error = ctypes.get_errno()
print(status, *(errno.errorcode[e] for e in (error, raw.aio_error(cb))), flush=True)
them.send(b"!")
time.sleep(0.5)                                 # a helper follows the pointers
"""


def names(cbs: list[aiocb]) -> list[str]:
    return [errno.errorcode.get(aio_error(cb), "0") for cb in cbs]


def run(show: Show) -> None:
    file = os.open(__file__, os.O_RDONLY)
    ours, peer = socket.socketpair()

    def some(silent: bool) -> list[aiocb]:
        files = [file, 999, ours if silent else file]
        return [aiocb(one, bytearray(1), aio_lio_opcode=LIO_READ) for one in files]

    cbs = some(silent=False)
    failed = None
    try:
        lio_listio(
            LIO_WAIT, [cbs[0], None, cbs[1], aiocb(-1, aio_lio_opcode=LIO_NOP), cbs[2]]
        )
    except OSError as error:
        failed = error.errno
    show("LIO_WAIT, the second has no descriptor:", errno.errorcode[failed or 0],
         "- each:", *names(cbs), "(None and LIO_NOP are passed over)")  # fmt: skip
    assert (failed, names(cbs)) == (errno.EIO, ["0", "EBADF", "0"])

    told: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    of_list = sigevent(
        SIGEV_THREAD, sigev_notify_function=lambda value: told.put(names(value))
    )
    cbs = some(silent=True)
    lio_listio(LIO_NOWAIT, cbs, of_list)
    eventually(lambda: names(cbs) == ["0", "EBADF", "EINPROGRESS"])
    show(
        "LIO_NOWAIT, the third is a silent socket: no error - each:",
        *names(cbs),
        "- told:",
        told.qsize(),
    )
    assert told.empty()
    peer.send(b"!")
    answer = told.get(timeout=20)
    show("  the peer speaks: told once, that all are done - each:", *answer)
    assert answer == ["0", "EBADF", "0"]
    lio_listio(LIO_NOWAIT, [], of_list)
    show("  an empty list is done at once: told", told.get(timeout=20))
    assert told.empty()

    show("A signal comes while LIO_WAIT waits. In a C program:")
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IN_C],
        capture_output=True,
        text=True,
        timeout=30,
    )
    show(
        "  lio_listio, errno, aio_error:", done.stdout.strip(), "- the request goes on"
    )
    show(
        "  then it completes, and the program ends with signal",
        max(0, -done.returncode),
        measured=True,
    )
    assert done.stdout.split() == ["-1", "EINTR", "EINPROGRESS"]

    handled: list[int] = []

    def handler(signo: int, frame: object) -> None:
        handled.append(signo)
        peer.send(b"!")

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    cb = aiocb(ours, bytearray(1), aio_lio_opcode=LIO_READ)
    lio_listio(LIO_WAIT, [cb])
    show(
        "  the binding: the handler has run",
        len(handled),
        "time, in the wait, which went on; aio_error",
        aio_error(cb),
    )
    assert (len(handled), aio_error(cb)) == (1, 0)
