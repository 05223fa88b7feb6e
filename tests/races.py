"""Programs for tests/test_free_threads.py: eight threads at one thing.

python tests/races.py NAME: ends with "well" if nothing was lost, came twice, or is left behind.
What may go wrong is a crash or a hang as well, so each runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import random
import signal
import socket
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aio_posix as aio
from aio_posix import _calls, flight, signalled
from aio_posix.asyncio import BinaryFile, pread_many, read, write
from aio_posix.asyncio import open as async_open

THREADS = 8
ROUNDS = 300
SIGNO = signal.SIGRTMIN + 3
DATA = bytes(range(256)) * 16


def eventually(true: Callable[[], object]) -> bool:
    end = time.monotonic() + 20
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def at_once(work: Callable[[int], None], threads: int = THREADS) -> None:
    """Runs work(0), work(1) ... in threads that begin together; raises what one of them raised."""
    barrier = threading.Barrier(threads)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise BaseExceptionGroup("in threads", errors)


def memfd(data: bytes = DATA) -> int:
    fd = os.memfd_create("m")
    os.write(fd, data)
    return fd


def finished(cb: aio.aiocb) -> int:
    while cb.in_progress:
        aio.aio_suspend([cb], 10)
    return aio.aio_return(cb)


def one_queue() -> None:
    """All submit, all get: each value comes once, to one of them."""
    fd, got = memfd(), [Counter[Any]() for _ in range(THREADS)]
    with aio.CompletionQueue() as queue:

        def work(number: int) -> None:
            mine = got[number]
            for i in range(ROUNDS):
                cb = aio.aiocb(fd, bytearray(8), aio_sigevent=queue.sigevent((number, i)))
                aio.aio_read(cb)
                mine.update(queue.get(0))
                if i % 8 == number:
                    del cb  # dropped in flight or not: it is announced all the same
                    gc.collect()
            while flight.owed():
                mine.update(queue.get(0.01))

        at_once(work)
        assert sum(got, Counter()) == Counter(
            (number, i) for number in range(THREADS) for i in range(ROUNDS)
        )


def one_queue_is_closed() -> None:
    """While all submit and get: whoever still wants something of it is told that it is closed."""
    fd = memfd()
    for _ in range(ROUNDS // 10):
        queue = aio.CompletionQueue()

        def work(number: int, queue: aio.CompletionQueue = queue) -> None:
            with contextlib.suppress(ValueError):
                for i in range(40):
                    aio.aio_read(aio.aiocb(fd, bytearray(8), aio_sigevent=queue.sigevent(i)))
                    queue.get(0)
                    if number == 0 and i == 20:
                        queue.close()

        at_once(work)


def one_aiocb() -> None:
    """All submit it: one wins. All ask for its result: one gets it."""
    here, there = os.pipe()
    cb = aio.aiocb(here, bytearray(1))
    barrier = threading.Barrier(THREADS)
    won, got = [0] * THREADS, [0] * THREADS

    def work(number: int) -> None:
        for _ in range(ROUNDS):
            barrier.wait()
            with contextlib.suppress(BlockingIOError):
                aio.aio_read(cb)
                won[number] += 1
            if barrier.wait() == 0:
                assert sum(won) == sum(got) + 1, (won, got)
                os.write(there, b"x")
            with fails(errno.EINVAL):
                while True:
                    with contextlib.suppress(BlockingIOError):
                        assert aio.aio_error(cb) in (0, errno.EINPROGRESS)
                        got[number] += aio.aio_return(cb)

    at_once(work)
    assert sum(won) == sum(got) == ROUNDS


@contextlib.contextmanager
def fails(*numbers: int) -> Iterator[None]:
    """OSErrors that may come."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise


def one_aiocb_and_everything() -> None:
    """Whatever can be done with one, at the same time."""
    fd = memfd()
    cb = aio.aiocb(fd, bytearray(100), aio_lio_opcode=aio.LIO_READ)
    queue = aio.CompletionQueue()
    called: list[Any] = []
    events = [  # no signal, for one would kill the process in the thread of a callback
        None,
        queue.sigevent(),
        aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=called.append),
    ]
    steps: list[Callable[[], object]] = [
        lambda: aio.aio_read(cb),
        lambda: aio.lio_listio(aio.LIO_NOWAIT, [cb, aio.aiocb(fd)], events[1]),
        lambda: aio.aio_return(cb),
        lambda: aio.aio_error(cb),
        lambda: aio.aio_cancel(fd, cb),
        lambda: aio.aio_cancel(fd),
        lambda: aio.aio_suspend([cb], 0.001),
        lambda: setattr(cb, "aio_sigevent", random.choice(events)),
        lambda: setattr(cb, "aio_buf", bytearray(100)),
        lambda: setattr(cb, "aio_offset", random.randrange(1000)),
        lambda: cb.__init__(fd, bytearray(100), aio_lio_opcode=aio.LIO_READ),  # type: ignore[misc]
        lambda: (repr(cb), flight.in_flight(), aio.stats()),
        lambda: queue.get(0),
        gc.collect,
    ]

    def work(number: int) -> None:
        for _ in range(ROUNDS * 4):
            with fails(errno.EINVAL, errno.EINPROGRESS, errno.ECANCELED):
                random.choice(steps)()

    at_once(work)
    with fails(errno.EINVAL, errno.ECANCELED):
        assert finished(cb) == 100
    queue.close()


def one_aiocb_by_signal(value: str | None) -> None:
    """Whoever loses the submission takes nothing away that the signal of the other stands for."""
    fd = memfd()
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO, sigev_value=value)
    barrier, signals = threading.Barrier(THREADS), []
    cbs = [aio.aiocb(fd, bytearray(1), aio_sigevent=event) for _ in range(ROUNDS)]
    won = [0] * THREADS

    def work(number: int) -> None:
        for cb in cbs:
            barrier.wait()
            for _ in range(3):
                with contextlib.suppress(BlockingIOError):
                    aio.aio_read(cb)
                    won[number] += 1
                if info := aio.sigwaitinfo([SIGNO], 0):
                    signals.append(info)
            cb.in_progress  # noqa: B018 - releases what the submission kept

    at_once(work)
    while info := aio.sigwaitinfo([SIGNO], 0.5):
        signals.append(info)
    assert len(signals) == sum(won) >= ROUNDS
    if value is None:
        assert {id(info.si_value) for info in signals} == {id(cb) for cb in cbs}
    else:
        assert {info.si_value for info in signals} == {value}


class Dropping:
    """Its destructor comes back to the table that has dropped it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        signalled.Unheard.drop(self.number + 1)


def one_table() -> None:
    """What is kept for signals that may be pending, and how much that is, agree in the end."""
    table = signalled.Unheard

    def work(number: int) -> None:
        at_random = random.Random(number)
        for _ in range(ROUNDS * 20):
            key = at_random.randrange(1, 3000)
            if at_random.random() < 0.6:
                table.keep(key, at_random.randrange(3), Dropping(key))
            else:
                table.drop(key)

    at_once(work)
    table.drop(0)
    assert table.requests == sum(requests for requests, _ in table.kept.values())
    assert 0 < table.requests <= signalled.UNHEARD
    assert not table._to_do


def one_descriptor() -> None:
    """Each thread has a stretch of the file; cancelled or not, every request ends and is right."""
    fd = memfd(bytes(THREADS * 100))

    def work(number: int) -> None:
        at = number * 100
        for i in range(ROUNDS):
            data = bytes([i % 251]) * 100
            there = aio.aiocb(fd, data, at)
            back = aio.aiocb(fd, bytearray(100), at)
            while True:  # written, whoever cancels
                aio.aio_write(there)
                if i % 8 == number:
                    aio.aio_cancel(fd)
                with fails(errno.ECANCELED):
                    assert finished(there) == 100
                    break
            aio.aio_read(back)
            with fails(errno.ECANCELED):
                assert finished(back) == 100
                assert back.aio_buf == data

    at_once(work)


def one_callback() -> None:
    """Of each request one call."""
    fd, called = memfd(), []

    def callback(value: Any) -> None:
        called.append(value)

    def work(number: int) -> None:
        for i in range(ROUNDS):
            event = aio.sigevent(
                aio.SIGEV_THREAD, sigev_notify_function=callback, sigev_value=(number, i)
            )
            aio.aio_read(aio.aiocb(fd, bytearray(8), aio_sigevent=event))

    at_once(work)
    assert eventually(lambda: len(called) >= THREADS * ROUNDS and not flight.owed())
    assert Counter(called) == Counter((n, i) for n in range(THREADS) for i in range(ROUNDS))


def one_list_entry() -> None:
    """It is in the lists of all: a list is taken whole or not at all."""
    fd = memfd()
    shared = aio.aiocb(fd, bytearray(8), aio_lio_opcode=aio.LIO_READ)

    def work(number: int) -> None:
        own = [aio.aiocb(fd, bytearray(8), aio_lio_opcode=aio.LIO_READ) for _ in range(3)]
        for _ in range(ROUNDS):
            try:
                aio.lio_listio(aio.LIO_WAIT, [*own, shared])
            except BlockingIOError:
                with fails(errno.EINVAL):
                    aio.aio_error(own[0])
                    raise AssertionError("an entry flew") from None
            else:
                assert [aio.aio_return(cb) for cb in own] == [8, 8, 8]

    at_once(work)


def one_socket() -> None:
    """It is open while one of its requests flies, and closed when the last is over."""
    for _ in range(ROUNDS // 10):
        here, there = socket.socketpair()
        there.send(b"x" * THREADS * 10)
        flown = threading.Barrier(THREADS + 1)

        def work(number: int, here: socket.socket = here, flown: threading.Barrier = flown) -> None:
            for _ in range(5):
                cb = aio.aiocb(here, bytearray(1))
                aio.aio_read(cb)
                assert finished(cb) == 1
            cbs = [aio.aiocb(here, bytearray(1)) for _ in range(5)]
            for cb in cbs:
                aio.aio_read(cb)
            flown.wait()
            assert [finished(cb) for cb in cbs] == [1] * 5

        def close(here: socket.socket = here, flown: threading.Barrier = flown) -> None:
            flown.wait()
            here.close()

        closer = threading.Thread(target=close)
        closer.start()
        at_once(work)
        closer.join()
        assert here.fileno() == -1
        there.close()


def one_watcher() -> None:
    """It is replaced while it is called."""
    fd, calls = memfd(), [0]

    def work(number: int) -> None:
        for _ in range(ROUNDS):
            if number < 2:

                def watcher(*event: object) -> None:
                    calls[0] += 1

                _calls.watch(watcher)
            else:
                cb = aio.aiocb(fd, bytearray(8))
                aio.aio_read(cb)
                assert finished(cb) == 8

    at_once(work)
    _calls.watch(None)
    assert calls[0]


def one_view() -> None:
    """Requests of all threads read into parts of one memoryview, and it cannot be released."""
    fd, memory = memfd(), bytearray(DATA)
    view = memoryview(memory)

    def work(number: int) -> None:
        for _ in range(ROUNDS):
            cb = aio.aiocb(fd, view)
            aio.aio_read(cb)
            assert finished(cb) == len(DATA)

    at_once(work)
    try:
        memory.append(0)
    except BufferError:
        view.release()
        memory.append(0)
    else:
        raise AssertionError("the view was given up")


def loops() -> None:
    """A loop in each thread: files of its own, one descriptor of all, and one name of all."""
    fd = memfd()
    with TemporaryDirectory() as folder:
        names = [Path(folder) / str(number) for number in range(THREADS)]
        names[0].write_bytes(DATA)

        async def serve(number: int) -> None:
            for i in range(ROUNDS // 10):
                text = f"{number} {i}\n" * 300
                async with async_open(names[number], "w") as file:
                    await file.write(text)
                async with async_open(names[number]) as file:
                    assert [line async for line in file] == text.splitlines(keepends=True)
                blocks = await asyncio.gather(*(read(fd, 64, 64 * at) for at in range(32)))
                assert b"".join(blocks) == DATA[:2048]
                assert await pread_many(fd, [(64, 64 * at) for at in range(8)]) == blocks[:8]
                assert await write(fd, DATA[64 * number : 64 * number + 64], 64 * number) == 64

        def work(number: int) -> None:
            for _ in range(3):
                asyncio.run(serve(number))

        at_once(work)


def one_file() -> None:
    """It belongs to one loop at a time: others are refused, and it works in the end."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(DATA)

        async def made() -> BinaryFile:
            return await async_open(path, "r+b")

        async def use(file: BinaryFile) -> None:
            for _ in range(ROUNDS):
                with contextlib.suppress(RuntimeError):
                    await file.seek(0)
                    await file.read(10)
                    await file.write(b"x")
                    await file.flush()

        async def use_alone(file: BinaryFile) -> None:
            await file.seek(len(DATA) - 1)
            assert await file.read() == DATA[-1:]
            await file.close()

        file = asyncio.run(made())
        at_once(lambda number: asyncio.run(asyncio.wait_for(use(file), 60)))
        asyncio.run(asyncio.wait_for(use_alone(file), 20))


RACES: dict[str, Callable[[], None]] = {
    "queue": one_queue,
    "closed queue": one_queue_is_closed,
    "aiocb": one_aiocb,
    "aiocb and everything": one_aiocb_and_everything,
    "aiocb by signal": lambda: one_aiocb_by_signal(None),
    "value by signal": lambda: one_aiocb_by_signal("value"),
    "table of signals": one_table,
    "descriptor": one_descriptor,
    "callback": one_callback,
    "list entry": one_list_entry,
    "socket": one_socket,
    "watcher": one_watcher,
    "view": one_view,
    "file": one_file,
    "loops": loops,
}


def main(name: str) -> None:
    warnings.simplefilter("ignore", ResourceWarning)  # of those that are dropped in flight
    signal.pthread_sigmask(signal.SIG_BLOCK, [SIGNO])
    sys.setswitchinterval(1e-5)  # where there is a GIL
    RACES[name]()
    gc.collect()
    assert eventually(lambda: not (_calls.in_flight() or _calls.kept() or flight.owed())), (
        flight.in_flight(),
        _calls.kept(),
        flight.owed(),
    )
    print("well")


if __name__ == "__main__":
    main(sys.argv[1])
