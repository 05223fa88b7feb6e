"""Lesson 10: one echo server on select, poll, epoll, asyncio, libaio and AIO."""

from __future__ import annotations

from collections import Counter

from aio_posix.study.echoes.clients import talk
from aio_posix.study.echoes.counting import calls
from aio_posix.study.echoes.servers import SERVERS
from aio_posix.study.lesson import Show

NUMBER = 10
ASK = (
    "select, poll and epoll are synchronous, AIO is asynchronous. What does one "
    "echoed message cost with each?"
)
GUESS = (
    "With AIO fewest system calls: one starts the read, and the program is told when "
    "the data is in its buffer."
)
C = """
while ((n = epoll_wait(ep, events, MAX, -1)) > 0)     /* 1: who has something? many */
    for (i = 0; i < n; i++)
        if ((len = recv(events[i].data.fd, buf, sizeof buf, 0)) > 0)      /* 2 */
            send(events[i].data.fd, buf, len, 0);                         /* 3 */

void handler(sigval_t value)  /* a clone, a set-up, an exit: for one message */
{
    struct aiocb *cb = value.sival_ptr;
    send(cb->aio_fildes, (void *)cb->aio_buf, aio_return(cb), 0);
    aio_read(cb);  /* a futex wakes a helper; pread: ESPIPE; read, which waits */
}
"""
SOURCE = """
rt/aio_misc.c: handle_fildes_io makes two system calls for each read of a socket, in
another thread, which has to be woken for it. rt/aio_notify.c: __aio_notify_only starts
a thread to say that it is done. rt/aio_suspend.c: aio_suspend needs no notification
thread, because a futex wakes it.
"""
TRY = """
python -m aio_posix.study.echoes prints the table with messages per second and the names
of all calls; one such table is in docs/study. With 16 clients select, poll and epoll
find many messages at each call and come down towards two; asyncio has three more for
each message, since it allocates and returns 256 KiB for every recv.
"""
MESSAGES = 50
CLONES = ("clone", "clone3")


def run(show: Show) -> None:
    counts: dict[str, Counter[str] | None] = {}
    rates: dict[str, float] = {}
    for name in SERVERS:
        # Raises for a wrong or missing byte
        rates[name] = talk(name, clients=3, rounds=MESSAGES)
        show(
            f"{name:<13} 3 clients have each had {MESSAGES} messages back, every byte"
            " right"
        )
        counts[name] = calls(name, 1, MESSAGES)

    show(
        "For each message (calls and threads are all 0 where strace is missing or"
        " forbidden):"
    )
    threads: dict[str, float] = {}
    for name, count in counts.items():
        count = count or Counter()
        threads[name] = sum(count[clone] for clone in CLONES) / MESSAGES
        show(
            f"{name:<13} system calls {count.total() / MESSAGES:5.1f}  threads started"
            f" {threads[name]:4.1f}  messages/s {rates[name]:7,.0f}",
            measured=True,
        )
    if any(count is None for count in counts.values()):
        return

    total = {
        name: round((count or Counter()).total() / MESSAGES)
        for name, count in counts.items()
    }
    assert total["select"] == total["poll"] == total["epoll"] == 3  # wait, recv, send
    assert total["libaio"] == 4  # io_submit, io_getevents, recv, send
    assert (
        min(total["aio callback"], total["aio queue"], total["aio_suspend"])
        > total["libaio"]
    )
    # The notification
    assert round(threads["aio callback"]) == round(threads["aio queue"]) == 1
    assert not any(
        round(share)
        for name, share in threads.items()
        if name not in ("aio callback", "aio queue")
    )
