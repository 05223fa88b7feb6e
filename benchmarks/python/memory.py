"""memory none|callback|queue: prints the bytes of resident memory that one request in flight costs.

Reads of an empty pipe, all of them outstanding at once. One is in a helper thread, the others stand
in glibc's queue for that descriptor. They share one buffer, so that it is not part of the figure.
"""

import os
import sys

from aio_posix import SIGEV_THREAD, CompletionQueue, aio_read, aiocb, sigevent

REQUESTS = (
    10_000  # glibc walks the descriptor's queue at each submission, and 100,000 would take minutes
)
# submitted before the first look, so that what exists once is not divided among the others
FIRST = 1_000


def resident() -> int:
    """Bytes."""
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Rss:"))


def ignore(cb: aiocb) -> None:
    pass


def main(kind: str) -> None:
    queue = CompletionQueue()
    events = {
        "none": sigevent(),
        "callback": sigevent(SIGEV_THREAD, sigev_notify_function=ignore),
        "queue": queue.sigevent(),
    }
    event, buffer, (reader, _) = events[kind], bytearray(1), os.pipe()
    requests: list[aiocb] = []
    for i in range(FIRST + REQUESTS):
        if i == FIRST:
            before = resident()
        cb = aiocb(reader, buffer, aio_sigevent=event)
        aio_read(cb)
        requests.append(cb)
    print(f"{(resident() - before) / REQUESTS:.0f}", flush=True)
    os._exit(0)  # a blocked read cannot be cancelled, and 10,000 callbacks are not what is measured


main(sys.argv[1])
