"""Lesson 14: what a child process has of its parent's AIO, and what is left at exit."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from aio_posix import aio_init, aio_read, aiocb
from aio_posix.study import raw
from aio_posix.study.lesson import Show
from aio_posix.study.look import eventually, helpers

NUMBER = 14
ASK = (
    "A program with AIO forks: does AIO work in the child? It exits with writes still "
    "queued: are they written?"
)
GUESS = (
    "The child gets a copy of everything, so yes. Accepted writes are safe: write() "
    "loses nothing at exit either."
)
SOURCE = """
rt/aio_misc.c: __aio_enqueue_request finds idle_thread_count > 0 in the child and
signals a condition; fork copied the count and not the thread. There is no
pthread_atfork in AIO. Nor is there an atexit handler: exit ends the helpers wherever
they are, and what is in the queue was only in the queue.
"""
TRY = """
Leave out aio_init and sleep 1.5 seconds before the fork: the idle helper has gone, the
count is 0, and glibc's AIO works in the child. End the program QUEUE with os._exit(0):
nobody waits then, and what is queued is lost as in C.
"""
HANGS = 1  # second: what is not done after that has no thread to do it
WRITES = 100
QUEUE_IN_C = f"""
import socket, sys
from aio_posix.study import raw
us, them = (one.detach() for one in socket.socketpair())
raw.LIBRARY.aio_init((raw.c_int * 8)(1, 64))  # struct aioinit: one helper
raw.aio_read(read := raw.aiocb(us))           # which is held here
file = open(sys.argv[1], "wb")
cbs = [raw.aiocb(file.fileno(), 65536) for _ in range({WRITES})]
for n, cb in enumerate(cbs):
    cb.aio_offset = n * 65536
    assert raw.aio_write(cb) == 0
"""
QUEUE = f"""
import sys, aio_posix
file = open(sys.argv[1], "wb")
for n in range({WRITES}):
    aio_posix.aio_write(aio_posix.aiocb(file, bytes(65536), n * 65536))
"""
BLOCKED = """
import socket, aio_posix
us, them = socket.socketpair()
aio_posix.aio_read(aio_posix.aiocb(us, bytearray(1)))
"""


def in_a_child(experiment: Callable[[], int]) -> int:
    """Forks; the errno that the experiment returns."""
    pid = os.fork()
    if pid == 0:
        answer = 255
        try:
            answer = experiment()
        finally:
            os._exit(answer)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ends_with(program: str) -> int:
    """Runs it until its end; how many bytes are in its file then."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, file.name],
            check=True,
            timeout=30,
        )
        return os.path.getsize(file.name)


def run(show: Show) -> None:
    # So that the helper is there when the program forks, however slow the machine
    aio_init(aio_idle_time=30)
    file = os.open(__file__, os.O_RDONLY)

    def in_c() -> int:
        cb = raw.aiocb(file)
        raw.aio_read(cb)
        time.sleep(HANGS)
        return int(raw.aio_error(cb))

    def by_the_binding() -> int:
        try:
            aio_read(aiocb(file, bytearray(1)))
        except OSError as error:
            return error.errno or 0
        return 0

    cb = aiocb(file, bytearray(1))
    aio_read(cb)
    eventually(lambda: [row.doing for row in helpers()] == ["idle"])
    show("The parent has read, and one helper idles. The child of a fork reads a file:")
    answers = [in_a_child(in_c), in_a_child(by_the_binding)]
    show(
        f"  glibc:       after {HANGS} s aio_error is",
        errno.errorcode.get(answers[0]),
        "and will be for ever",
    )
    show("  the binding:", errno.errorcode.get(answers[1]), "at once")
    assert answers == [errno.EINPROGRESS, errno.ENOTSUP]

    show(f"A program ends with {WRITES} writes of 64 KiB queued. In its file are then:")
    sizes = [ends_with(QUEUE_IN_C), ends_with(QUEUE)]
    show("  a C program: ", sizes[0] >> 10, "KiB, exit status 0")
    show(
        "  the binding: ",
        sizes[1] >> 10,
        "KiB; it waits for accepted writes, at most 10 s",
    )
    assert sizes == [0, WRITES << 16]
    show(
        "A program ends while a read of a silent socket is blocked. It did end:",
        ends_with(BLOCKED) == 0,
    )
