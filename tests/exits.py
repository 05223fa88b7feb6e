"""Interpreter exits with completions arriving: python tests/exits.py 1000 [jobs] prints how many
went wrong.

Each exit is a process of its own that keeps reads, writes and lists in flight, told by callbacks,
queues and signals at once, and ends after a few milliseconds in one of several ways.  Another
process goes on completing its reads until it is gone.  Which mixture is a matter of the exit's
number, so that a crash can be looked for again: python tests/exits.py --one NUMBER
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

SHOWN = 5
TIME_LIMIT = 60  # seconds for one exit; none needs more than two
DRIPS = (
    1000  # reads that another process completes, one after the other, for longer than an exit takes
)
ENDS = ("return", "sys.exit", "exception", "gc", "os._exit")


def one(number: int) -> None:
    """Runs in the process that is to exit."""
    tap = dripping()
    atexit.register(
        turn_on, tap
    )  # registered first, so called last: when the gate is closed already
    import aio_posix as aio

    chance = random.Random(number)
    signal.signal(signal.SIGRTMIN, lambda *_: None)
    aio.aio_init(aio_threads=8 + number % 8)
    there, here = pair = socket.socketpair()
    globals()["kept_open"] = pair, tap
    file = os.memfd_create("exits")
    os.pwrite(file, bytes(1 << 16), 0)
    queue = aio.CompletionQueue()

    def again(cb: aio.aiocb) -> None:
        try:
            aio.aio_return(cb)
        except OSError:
            return
        if cb.aio_fildes is tap:
            return
        if number % 3 == 0:
            logging.debug("completed")
        if number % 7 == 0:
            time.sleep(0.001)
        with contextlib.suppress(OSError):  # the interpreter is exiting
            aio.aio_read(cb)

    callback = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=again)
    by_signal = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN)
    told = [callback] * 3 + [queue.sigevent()] * 2 + [by_signal, None]

    def request(fd: int, opcode: aio.LioOpcode) -> aio.aiocb:
        cb = aio.aiocb(
            fd, bytearray(512), 512 * chance.randrange(64), aio_sigevent=chance.choice(told)
        )
        cb.aio_lio_opcode = opcode
        return cb

    def write_back() -> None:
        for _ in range(100):
            for cb in queue.get():
                if isinstance(cb, aio.aiocb) and cb.aio_fildes == file and not cb.in_progress:
                    try:  # not to a socket, where a write waits behind the blocked reads
                        aio.aio_write(cb)
                    except OSError:
                        return
            time.sleep(0.0002)

    kept = [
        request(fd, aio.LIO_READ) for fd in (file, os.dup(file), here.fileno()) for _ in range(8)
    ]
    for cb in kept:
        aio.aio_read(cb)
    for _ in range(9):
        cbs = [request(file, chance.choice((aio.LIO_READ, aio.LIO_WRITE))) for _ in range(9)]
        look = aio.sigevent(
            aio.SIGEV_THREAD, sigev_notify_function=lambda of: [cb.in_progress for cb in of]
        )
        aio.lio_listio(aio.LIO_NOWAIT, cbs, chance.choice((look, queue.sigevent(), by_signal)))
        kept += cbs
    threading.Thread(target=write_back, daemon=True).start()
    if number % 2:
        threading.Thread(target=send, args=(there, 100), daemon=number % 4 == 1).start()
    if number % 5 == 0:
        atexit.register(send, there, 20)

    drips = [aio.aiocb(tap, bytearray(1), aio_sigevent=chance.choice(told)) for _ in range(DRIPS)]
    for cb in drips:
        aio.aio_read(cb)
    if number % 2:
        turn_on(tap)
    time.sleep(chance.random() * 0.02)
    end = ENDS[number % len(ENDS)]
    if end == "sys.exit":
        sys.exit(0)
    if end == "exception":
        sys.excepthook = lambda *_: None
        raise RuntimeError
    if end == "gc":
        del kept, drips
        globals()["survivors"] = queue
    if end == "os._exit":
        os._exit(0)


def dripping() -> socket.socket:
    """A socket that is sent a byte at a time from the first one that it sends."""
    here, there = socket.socketpair()
    if os.fork():
        there.close()
        return here
    here.close()
    os.closerange(0, 3)
    there.recv(1)
    with contextlib.suppress(OSError):  # the reader is gone
        for _ in range(DRIPS):
            there.send(b"x")
            time.sleep(20e-6)
    os._exit(0)


def turn_on(tap: socket.socket) -> None:
    with contextlib.suppress(BrokenPipeError):  # it is on already, and has run dry
        tap.send(b"!")


def send(there: socket.socket, times: int) -> None:
    for _ in range(times):
        there.send(bytes(64), socket.MSG_DONTWAIT)


def watch(number: int) -> str:
    """Starts exit NUMBER; returns what went wrong with it, or nothing."""
    options = ["-X", "faulthandler", "-W", "ignore::ResourceWarning"]
    command = [sys.executable, *options, __file__, "--one", str(number)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired as hung:
        return f"exit {number} hung: {hung.stderr!r}"
    expected = 1 if ENDS[number % len(ENDS)] == "exception" else 0
    if ended.returncode == expected and not ended.stderr:
        return ""
    end = ended.stderr[-3000:]
    return f"exit {number} gave status {ended.returncode} instead of {expected}:\n{end}"


def crashes(count: int, jobs: int = 2) -> list[str]:
    with ThreadPoolExecutor(jobs) as pool:
        return [trouble for trouble in pool.map(watch, range(count)) if trouble]


def main() -> NoReturn:
    if sys.argv[1:2] == ["--one"]:
        one(int(sys.argv[2]))
        sys.exit(0)
    count, jobs = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2
    found = crashes(count, jobs)
    for trouble in found[:SHOWN]:
        print(trouble)
    version = sys.version.split()[0]
    print(f"Python {version}: {count} exits with completions arriving, {len(found)} went wrong")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
