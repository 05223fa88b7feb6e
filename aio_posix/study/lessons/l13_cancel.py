"""Lesson 13: what aio_cancel can end, what it leaves behind, and what close does."""

from __future__ import annotations

import errno
import os
import socket
import tempfile

from aio_posix import AIO_CANCELED, aio_cancel, aio_error, aio_init, aio_read, aiocb
from aio_posix.study import raw
from aio_posix.study.lesson import Show
from aio_posix.study.look import blocked, eventually, helpers, stays
from aio_posix.study.model import Glibc
from aio_posix.study.parts import Request
from aio_posix.study.picture import picture

NUMBER = 13
ASK = (
    "Three reads of a silent socket, and aio_cancel. What ends, what goes on, and "
    "what does close do?"
)
GUESS = (
    "aio_cancel ends them. If not, closing the descriptor does: whoever is blocked in "
    "a read of it is thrown out."
)
SOURCE = """
rt/aio_cancel.c: aio_cancel takes out what no helper has begun; it never interrupts one.
rt/aio_misc.c: __aio_remove_request makes the next of the queue its head, but only
handle_fildes_io puts heads into the runlist, so no helper runs the head after a
cancelled head. No function of glibc's AIO hears of close(2).
"""
TRY = """
In the part on orphans cancel the one behind instead, or the whole descriptor (None):
nothing is stranded. Cancel from the tail, if you have to in C. Instead of dup2 just
open the file after the close: it gets the lowest free number.
"""


def pending(fd: int) -> raw.aiocb:
    cb = raw.aiocb(fd, 1)
    raw.aio_read(cb)
    return cb


def name(error: int) -> str:
    return errno.errorcode.get(error, str(error))


def run(show: Show) -> None:
    aio_init(aio_threads=1)
    ours, _peer = socket.socketpair()
    reads = [aiocb(ours, bytearray(1)) for _ in range(3)]
    for cb in reads:
        aio_read(cb)
    eventually(blocked)
    answers = [aio_cancel(ours, reads[1]), aio_cancel(ours, reads[0]), aio_cancel(ours)]
    show("Cancel the second:", answers[0].name, "- the first, which runs:",
         answers[1].name, "- all of them:", answers[2].name)  # fmt: skip
    show(
        "  aio_error of the three:",
        *(name(aio_error(cb)) for cb in reads),
        "- helpers blocked:",
        len(blocked()),
    )
    assert [aio_error(cb) for cb in reads] == [
        errno.EINPROGRESS,
        errno.ECANCELED,
        errno.ECANCELED,
    ]
    ours.shutdown(socket.SHUT_RD)
    eventually(lambda: aio_error(reads[0]) == 0)
    answers.append(aio_cancel(ours))
    show(
        "shutdown ends the read that runs: aio_error",
        aio_error(reads[0]),
        "- cancel once more:",
        answers[3].name,
    )
    assert [int(answer) for answer in answers] == [0, 1, 1, 2]

    show("The head of a queue that no helper has taken yet is cancelled. The model:")
    gate, head, behind = Request("gate", 4), Request("head", 7), Request("behind", 7)
    model = (
        Glibc(aio_threads=1, files=frozenset({7}))
        .submit(gate)
        .submit(head)
        .submit(behind)
    )
    model = model.cancel(7, head).feed(4).settle()
    show("\n".join(picture(model).splitlines()[1:2]), "  (! nobody will take it)")
    assert model.orphans == (behind,)
    us, them = socket.socketpair()
    file = os.open(__file__, os.O_RDONLY)
    holding = pending(us.fileno())
    eventually(blocked)
    first, second = pending(file), pending(file)
    raw.aio_cancel(file, first)
    them.send(b"!")
    eventually(
        lambda: (
            raw.aio_error(holding) == 0
            and all(row.doing == "idle" for row in helpers())
        )
    )
    assert stays(lambda: raw.aio_error(second) == errno.EINPROGRESS)
    show(
        "  glibc: the helper is idle, and the one behind:", name(raw.aio_error(second))
    )
    assert raw.aio_cancel(file, None) == 0  # this at least ends it

    holding = pending(us.fileno())
    eventually(blocked)
    mine = [aiocb(file, bytearray(1)) for _ in range(2)]
    for cb in mine:
        aio_read(cb)
    assert aio_cancel(file, mine[0]) == AIO_CANCELED
    them.send(b"!")
    eventually(lambda: aio_error(mine[1]) == 0)
    show("  the binding wakes the queue; the one behind:", aio_error(mine[1]))

    show(
        "close(2). A C program reads a silent socket, has a write queued behind,"
        " closes, and opens a file:"
    )
    us, them = socket.socketpair()
    fd = us.detach()
    read, write = pending(fd), raw.aiocb(fd, 5)
    eventually(lambda: blocked(fd))
    write.memory.value = b"WRONG"
    raw.aio_write(write)
    os.close(fd)
    assert stays(lambda: raw.aio_error(read) == errno.EINPROGRESS)
    with tempfile.TemporaryFile() as other:
        # As the next open might: it gives the lowest free number
        os.dup2(other.fileno(), fd)
        show("  after close the read is still", name(raw.aio_error(read)))
        them.send(b"!")
        eventually(lambda: raw.aio_error(write) != errno.EINPROGRESS)
        content = os.pread(other.fileno(), 9, 0)
    show(
        "  the peer speaks: the read has it,",
        read.memory.raw[:1],
        "- and the other file now contains",
        content,
    )
    assert (read.memory.raw[:1], content) == (b"!", b"WRONG")
