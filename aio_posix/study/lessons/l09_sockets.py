"""Lesson 9: files have offsets and sockets have none; one that listens is not read."""

from __future__ import annotations

import errno
import queue
import socket

from aio_posix import SIGEV_THREAD, aio_error, aio_read, aiocb, sigevent
from aio_posix.study import raw
from aio_posix.study.lesson import Show
from aio_posix.study.look import blocked, eventually, stays, threads

NUMBER = 9
ASK = (
    "An aiocb has an offset and a socket has none. What does aio_read do with one - "
    "and with a socket that listens?"
)
GUESS = (
    "AIO does not do sockets; or if it does, a read of a listening socket completes "
    "when a client comes."
)
C = """
/* Of the listening socket. It runs at once, and not when somebody comes. */
void handler(sigval_t value)
{
    struct aiocb *cb = value.sival_ptr;  /* aio_error(cb): ENOTCONN; nobody looks */
    int client = accept(cb->aio_fildes, NULL, NULL);  /* this waits for the client */
    ...
    aio_read(cb);              /* fails at once again: a way to start the next thread */
}
"""
SOURCE = """
rt/aio_misc.c: handle_fildes_io does not ask what a descriptor is. It calls pread for
every request, and read if pread failed with ESPIPE. Writes are done likewise. So a
negative offset is EINVAL even for a socket, as pread looks at it first.
rt/aio_notify.c: __aio_notify announces failure as it announces success.
"""
TRY = """
Set aio_sigevent of the listener's request to SIGEV_NONE and wait with aio_suspend: it
returns at once, before any client. There is no asynchronous accept in <aio.h>. Where
strace is installed, count what one request costs: strace -f -e pread64,read python -m
aio_posix.study.lesson 9
"""


def ended(cb: aiocb) -> str:
    eventually(lambda: aio_error(cb) != errno.EINPROGRESS)
    return errno.errorcode.get(aio_error(cb), "0")


def callbacks() -> list[str]:
    return [row.doing for row in threads() if row.kind == "notification"]


def run(show: Show) -> None:
    ours, peer = socket.socketpair()
    show("Reads of a connected socket with an offset of")
    seen = []
    for offset in (0, 9999, -1):
        peer.send(b"x")
        cb = aiocb(ours, bytearray(1), offset)
        aio_read(cb)
        seen.append(ended(cb))
        show(f"  {offset:>4}: aio_error {seen[-1]}")
    assert seen == ["0", "0", "EINVAL"]
    ours.recv(1)

    cb_in_c = raw.aiocb(ours.fileno())
    raw.aio_read(cb_in_c)
    eventually(lambda: [row.doing for row in blocked(ours.fileno())] == ["read"])
    doing, early = blocked(ours.fileno())[0].doing, raw.aio_return(cb_in_c)
    show("The helper waits in", doing, "- and aio_return already says", early,
         "(pread has failed before it)")  # fmt: skip
    assert raw.aio_return(cb_in_c) == -1
    peer.send(b"x")
    eventually(lambda: raw.aio_error(cb_in_c) == 0)

    ours.settimeout(5)  # which makes it O_NONBLOCK
    cb = aiocb(ours, bytearray(1))
    aio_read(cb)
    show(
        "A Python socket with a timeout, no data:",
        ended(cb),
        "at once; O_NONBLOCK is asynchronous in its own way",
    )
    assert ended(cb) == "EAGAIN"

    show("Sockets that listen:")
    answers = []
    for family, name in (
        (socket.AF_INET, ("127.0.0.1", 0)),
        (socket.AF_UNIX, ""),
    ):  # "": a name of the kernel's choice
        listener = socket.socket(family)
        listener.bind(name)
        listener.listen()
        cb = aiocb(listener, bytearray(1))
        aio_read(cb)
        answers.append(ended(cb))
        show(f"  {family.name:<7} aio_error {answers[-1]}, and no client in sight")
        assert stays(lambda: not blocked())
    assert answers == ["ENOTCONN", "EINVAL"]

    show("So how does the echo server work, which waits for its clients in this way?")
    arrivals: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()

    def handler(cb: aiocb) -> None:
        # What the server of 2016 does not look at
        error = errno.errorcode[aio_error(cb)]
        client, _ = cb.aio_fildes.accept()
        with client:
            data = client.recv(64)
            client.sendall(data)
        arrivals.put((error, data))

    listener = socket.create_server(("127.0.0.1", 0))
    aio_read(
        aiocb(
            listener,
            bytearray(1),
            aio_sigevent=sigevent(SIGEV_THREAD, sigev_notify_function=handler),
        )
    )
    eventually(lambda: callbacks() == ["accept"])
    show(
        "  no client yet:  the handler is running, blocked in",
        *callbacks(),
        "in its notification thread",
    )
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"hello")
        echo = client.recv(64)
    error, data = arrivals.get(timeout=20)
    show(
        "  a client came:  aio_error",
        error,
        "- echo",
        echo,
        "- the error of the read served to start a thread",
    )
    assert (error, data, echo) == ("ENOTCONN", b"hello", b"hello")
