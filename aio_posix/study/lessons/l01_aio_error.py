"""Lesson 1: the life of a request as aio_error and aio_return tell it."""

from __future__ import annotations

import errno
import os
import socket

import aio_posix
from aio_posix.study import raw
from aio_posix.study.lesson import Show
from aio_posix.study.look import blocked, eventually

NUMBER = 1
ASK = "What does aio_error really return?"
GUESS = (
    "0 if all is well and -1 with errno if the request failed, as every other call "
    "does."
)
C = """
if (aio_error(cb) == -1)        /* dead code: no failed request ever gets here */
    perror("aio_error");

switch (error = aio_error(cb)) {
case EINPROGRESS: break;                             /* not yet: aio_return would lie */
case 0:           n = aio_return(cb); break;         /* once */
case ECANCELED:   break;
default:          fprintf(stderr, "%s\\n", strerror(error));
}
"""
SOURCE = """
rt/aio_error.c: aio_error returns aiocbp->__error_code, under the one mutex.
rt/aio_return.c: aio_return returns aiocbp->__return_value, and checks nothing.
rt/aio_misc.c: handle_fildes_io stores the I/O's result in __return_value as soon as it
has it, even that of a pread which is then tried again as read.
"""
TRY = """
Add "past the end": os.open("/dev/null", os.O_RDONLY) to the failures. That is no
failure. aio_error gives 0 and aio_return gives 0, which is how the end of a file looks.
In the same way a handler learns that a client has gone.
"""


def name(error: int) -> str:
    return errno.errorcode.get(error, str(error))


def both(cb: raw.aiocb) -> str:
    return f"aio_error {name(raw.aio_error(cb)):<12} aio_return {raw.aio_return(cb)}"


def returned(cb: aio_posix.aiocb) -> int | str:
    try:
        return aio_posix.aio_return(cb)
    except OSError as error:
        return name(error.errno or 0)


def run(show: Show) -> None:
    ours, peer = socket.socketpair()
    show("The life of a request, as glibc tells it to a C program:")
    cb = raw.aiocb(ours.fileno())
    show("  never submitted      ", both(cb))
    raw.aio_read(cb)
    eventually(lambda: [row.doing for row in blocked(ours.fileno())] == ["read"])
    show("  blocked in read      ", both(cb), "(left by the pread before it)")
    assert (raw.aio_error(cb), raw.aio_return(cb)) == (errno.EINPROGRESS, -1)
    behind = raw.aiocb(ours.fileno())
    raw.aio_read(behind)
    show("  queued behind it     ", both(behind))
    raw.aio_cancel(ours.fileno(), behind)
    show("  cancelled            ", both(behind))
    assert (raw.aio_error(behind), raw.aio_return(behind)) == (errno.ECANCELED, -1)
    peer.send(b"hello")
    eventually(lambda: raw.aio_error(cb) != errno.EINPROGRESS)
    show("  complete             ", both(cb))
    show("  once more            ", both(cb))
    assert (raw.aio_error(cb), raw.aio_return(cb)) == (0, 5)

    show("Reads that fail. aio_read itself returns 0 for each:")
    listener = socket.socket()
    listener.listen()
    ours.setblocking(False)
    failures = {
        "no descriptor": 999,
        "a directory": os.open("/", os.O_RDONLY),
        "open for writing only": os.open("/dev/null", os.O_WRONLY),
        "a listening socket": listener.fileno(),
        "O_NONBLOCK, no data": ours.fileno(),
    }
    seen = []
    for what, fd in failures.items():
        cb = raw.aiocb(fd)
        assert raw.aio_read(cb) == 0
        eventually(lambda: raw.aio_error(cb) != errno.EINPROGRESS)  # noqa: B023  runs now
        show(f"  {what:<22}", both(cb))
        seen.append(raw.aio_error(cb))
    assert seen == [
        errno.EBADF,
        errno.EISDIR,
        errno.EBADF,
        errno.ENOTCONN,
        errno.EAGAIN,
    ]
    assert -1 not in seen

    show("The binding keeps the life cycle itself:")
    ours.setblocking(True)
    mine = aio_posix.aiocb(ours, bytearray(5))
    answers = [returned(mine)]
    aio_posix.aio_read(mine)
    answers.append(returned(mine))
    peer.send(b"again")
    aio_posix.aio_suspend([mine])
    answers += [returned(mine), returned(mine)]
    show("  aio_return before submission, in flight, complete, once more:", *answers)
    assert answers == ["EINVAL", "EINPROGRESS", 5, "EINVAL"]
