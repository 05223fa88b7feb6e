"""python -m aio_posix.study.costs [--svg FILE]: what announcing, queueing and batches cost.

There are three measurements, all from Python, of reads that the page cache serves and of reads that
wait. Each figure is the median of several runs, and the contenders take turns. Lesson 15 makes
small ones. This program draws docs/study/costs.svg.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from aio_posix import (
    LIO_NOWAIT,
    LIO_READ,
    SIGEV_THREAD,
    CompletionQueue,
    aio_error,
    aio_read,
    aio_return,
    aio_suspend,
    aiocb,
    lio_listio,
    sigevent,
)
from aio_posix.study import chart, raw
from aio_posix.study.machine import machine

SIZE = 4096  # bytes of a read
IN_FLIGHT = 32
READS = 3200  # of one run
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
QUEUED = 16_000  # requests that wait
STEP = 1000  # of them are timed together
LANES = 32  # dup()s of the descriptor


def requests(fd: int, count: int, told: sigevent | None = None) -> list[aiocb]:
    return [
        aiocb(fd, bytearray(SIZE), aio_sigevent=told, aio_lio_opcode=LIO_READ) for _ in range(count)
    ]


def by_pread(fd: int, in_flight: int, reads: int) -> None:
    for _ in range(reads):
        os.pread(fd, SIZE, 0)


def by_callback(fd: int, in_flight: int, reads: int) -> None:
    """A Python function in a new thread for each read, which starts the next."""
    more, ended, done = iter(range(reads - in_flight)), itertools.count(1), threading.Event()

    def handler(cb: aiocb) -> None:
        aio_return(cb)
        if next(more, None) is not None:
            aio_read(cb)
        elif next(ended) == in_flight:
            done.set()

    for cb in requests(fd, in_flight, sigevent(SIGEV_THREAD, sigev_notify_function=handler)):
        aio_read(cb)
    done.wait()


def by_queue(fd: int, in_flight: int, reads: int) -> None:
    """A thread of C for each read, which puts it into a queue."""
    with CompletionQueue() as queue:
        for cb in requests(fd, in_flight, queue.sigevent()):
            aio_read(cb)
        started = in_flight
        while in_flight:
            for cb in queue.get():
                aio_return(cb)
                if started < reads:
                    aio_read(cb)
                    started += 1
                else:
                    in_flight -= 1


def by_suspend(fd: int, in_flight: int, reads: int) -> None:
    """No thread is notified. aio_suspend waits, and then every request is asked for its state."""
    flying = requests(fd, in_flight)
    for cb in flying:
        aio_read(cb)
    started = in_flight
    while flying:
        aio_suspend(flying)
        for cb in [cb for cb in flying if aio_error(cb) == 0]:
            aio_return(cb)
            if started < reads:
                aio_read(cb)
                started += 1
            else:
                flying.remove(cb)


def by_list(fd: int, in_flight: int, reads: int) -> None:
    """lio_listio, and one notification for the whole list."""
    with CompletionQueue() as queue:
        told, batch = queue.sigevent(), requests(fd, in_flight)
        for _ in range(reads // in_flight):
            lio_listio(LIO_NOWAIT, batch, told)
            queue.get()
            for cb in batch:
                aio_return(cb)


WAYS: dict[str, Callable[[int, int, int], None]] = {
    "callback": by_callback,
    "CompletionQueue": by_queue,
    "aio_suspend": by_suspend,
    "lio_listio": by_list,
    "os.pread": by_pread,
}


def rate(way: Callable[[int, int, int], None], in_flight: int, reads: int = READS) -> float:
    """Reads a second."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(SIZE))
        file.flush()
        began = time.perf_counter()
        way(file.fileno(), in_flight, reads)
        return reads / (time.perf_counter() - began)


def enqueue(queued: int, lanes: int, step: int = STEP) -> list[float]:
    """Microseconds to enqueue one more request behind 0, step, 2 * step ... that wait on `lanes`
    descriptors.

    This is glibc's own aio_read. ctypes, which calls it, adds about 1 microsecond.
    """
    ours, peer = socket.socketpair()
    fds = [os.dup(ours.fileno()) for _ in range(lanes)]
    cbs = [raw.aiocb(fds[n % lanes], 1) for n in range(queued)]
    times = []
    for start in range(0, queued, step):
        began = time.perf_counter()
        for cb in cbs[start : start + step]:
            raw.aio_read(cb)
        times.append((time.perf_counter() - began) / step * 1e6)
    for fd in fds:
        raw.aio_cancel(fd, None)
    peer.close()  # which ends those that are running
    for cb in cbs:
        while raw.aio_error(cb) == errno.EINPROGRESS:
            time.sleep(0.001)
    for fd in fds:
        os.close(fd)
    ours.close()
    return times


def measure(repeat: int) -> list[chart.Panel]:
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    batches: dict[int, list[float]] = {size: [] for size in BATCHES}
    queues: dict[int, list[list[float]]] = {1: [], LANES: []}
    for _ in range(repeat):
        for name, way in WAYS.items():
            rates[name].append(rate(way, IN_FLIGHT))
        for size in BATCHES:
            batches[size].append(rate(by_list, size, READS - READS % size))
        for lanes in queues:
            queues[lanes].append(enqueue(QUEUED, lanes))
    middle = statistics.median
    steps = [*range(0, QUEUED, STEP)]
    lines = {
        lanes: [middle(run[n] for run in runs) for n in range(len(steps))]
        for lanes, runs in queues.items()
    }
    return [
        chart.Bars(
            "Being told",
            f"cached 4 KiB reads a second, {IN_FLIGHT} in flight, from Python",
            {name: middle(values) for name, values in rates.items()},
        ),
        chart.Lines(
            "Waiting in a queue",
            "microseconds to enqueue one more, by how many wait already",
            steps,
            {"on one descriptor": lines[1], f"on {LANES} dup()s of it": lines[LANES]},
        ),
        chart.Lines(
            "Batches",
            "reads a second, by the length of the list",
            [*BATCHES],
            {"lio_listio, one notification": [middle(batches[size]) for size in BATCHES]},
            doubling=True,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        "aio_posix.study.costs", description="what POSIX AIO costs, from Python"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it")
    parser.add_argument(
        "--repeat", type=int, default=5, metavar="N", help="runs of which the median is taken"
    )
    options = parser.parse_args()
    panels = measure(options.repeat)
    print("\n\n".join(panel.text() for panel in panels))
    if options.svg:
        options.svg.write_text(chart.drawing(panels, f"{machine()}; median of {options.repeat}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
