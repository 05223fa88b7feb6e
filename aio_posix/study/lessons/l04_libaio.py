"""Lesson 4: Linux's own AIO (libaio) and io_uring, beside POSIX AIO."""

from __future__ import annotations

import mmap
import os
import select
import socket
import threading
from typing import Any

from aio_posix.study import proc, raw, syscalls
from aio_posix.study.lesson import Show
from aio_posix.study.look import blocked, eventually
from aio_posix.study.uring import Ring

NUMBER = 4
ASK = (
    "libaio instead of POSIX AIO: the kernel does it, so does nothing block any more? "
    "And does it serve sockets?"
)
GUESS = (
    "Linux AIO is the real thing: io_submit always returns at once. glibc's threads "
    "are a stand-in for it."
)
C = """
io_submit(ctx, 1, &cb);                /* reads here and now, unless O_DIRECT */
io_prep_poll(cb, socket_fd, POLLIN);   /* IOCB_CMD_POLL, Linux 4.18: when to recv */
io_submit(ctx, 1, &cb);
io_getevents(ctx, 1, 1, &event, NULL);
"""
SOURCE = """
fs/aio.c of Linux, io_submit_one: it calls the file's own read and is asynchronous only
if that says EIOCBQUEUED; O_DIRECT files do, sockets and the page cache do not.
rt/aio_misc.c: handle_fildes_io blocks too, but in a helper.
"""
TRY = """
python -m aio_posix.study.echoes runs the echo server on libaio's poll mode, which makes
four system calls for each message, and on seven other interfaces.
"""


def calls() -> set[int]:
    return {task.syscall[0] for task in proc.read(os.getpid()).threads if task.syscall}


def tasks() -> int:
    return len(os.listdir("/proc/self/task"))


def completed(context: Any) -> int:
    return len(context.getEvents(0, timeout=0))


def run(show: Show) -> None:
    # Where the package is missing, its names stand for bare system calls.
    libaio = syscalls.library()
    show("the package libaio is here:", int(libaio is not syscalls), measured=True)
    ours, peer = socket.socketpair()
    with libaio.AIOContext(8) as context:
        read = libaio.AIOBlock(libaio.AIOBLOCK_MODE_READ, ours, [bytearray(5)])
        submitter = threading.Thread(target=context.submit, args=[[read]], daemon=True)
        submitter.start()
        eventually(lambda: syscalls.number("io_submit") in calls())
        show("A read of a silent socket.")
        show("  libaio: io_submit blocks its caller, completed:", completed(context))
        peer.send(b"hello")
        submitter.join()
        show("  the peer speaks: io_submit returns, completed:", completed(context))
        assert bytes(read.buffer_list[0]) == b"hello"
        cb = raw.aiocb(ours.fileno(), 5)
        raw.aio_read(cb)
        eventually(lambda: blocked(ours.fileno()))
        helpers = len(blocked(ours.fileno()))
        show(
            "  POSIX AIO: aio_read has returned;", helpers, "helper is blocked instead"
        )
        peer.send(b"again")
        eventually(lambda: raw.aio_error(cb) == 0)

        with open(__file__, "rb") as file:
            mode = libaio.AIOBLOCK_MODE_READ
            context.submit([libaio.AIOBlock(mode, file, [bytearray(9)])])
            assert completed(context) == 1
        show("A read of a file: complete when io_submit returns; its caller read it")
        done = direct(libaio, context)
        show(
            "With O_DIRECT:", done, "(0 of 0: this file system has none)", measured=True
        )

        show("Poll mode, on the same socket:")
        eventually(lambda: tasks() == 1)  # the helper's idle second is over
        for message in (b"one", b"two", b"three"):
            mode, mask = libaio.AIOBLOCK_MODE_POLL, select.POLLIN
            context.submit([libaio.AIOBlock(mode, ours, event_mask=mask)])
            before = completed(context)
            peer.send(message)
            ((block, events, _),) = context.getEvents(1)
            block.target_file.sendall(block.target_file.recv(64))
            echo = peer.recv(64)
            show("  completed before the peer speaks:", before, "- after: 1 - echo",
                 echo, "- threads", tasks())  # fmt: skip
            assert (before, events & select.POLLIN, tasks()) == (0, select.POLLIN, 1)
    seen = uring(ours, peer)
    show(
        "io_uring, a silent socket:", seen, "(errno 1 or 38: forbidden)", measured=True
    )


def direct(libaio: Any, context: Any) -> str:
    try:
        fd = os.open(__file__, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return "0 of 0"
    page = mmap.mmap(-1, mmap.PAGESIZE)  # aligned
    context.submit(
        [
            libaio.AIOBlock(
                libaio.AIOBLOCK_MODE_READ, os.fdopen(fd, "rb", buffering=0), [page]
            )
        ]
    )
    at_once = completed(context)
    context.getEvents(1 - at_once)
    return f"{at_once} of 1"


def uring(ours: socket.socket, peer: socket.socket) -> str:
    try:
        ring = Ring(4)
    except OSError as error:  # EPERM, ENOSYS
        return f"errno {error.errno}; reads started at once 0, bytes 0"
    ring.read(ours.fileno(), bytearray(5))
    assert ring.enter(submit=1) == {}
    peer.send(b"hello")
    nbytes = ring.enter(submit=0, wait_for=1)[ours.fileno()]
    ring.close()
    return f"errno 0; reads started at once 1, bytes {nbytes}"
