"""Programs for tests/test_memory_errors.py: the same steps with each allocation failing in turn.

python tests/memory_errors.py NAME: allocation n of Python's fails (n = 0, 1, ...), until a round
has had enough. After each nothing may be in flight, kept or owed, and nothing may be lost.

Allocations fail in every thread of the process, and no other may be in Python or on its way there
meanwhile. A callback that finds no memory for its own work has been called, and nobody could tell.
PyThreadState_New of 3.11 crashes where its allocation is the first to fail. Requests therefore read
from sockets, which get their data afterwards.
"""

from __future__ import annotations

import _testcapi  # type: ignore[import-not-found] # of CPython's own tests
import errno
import functools
import gc
import operator
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import aio_posix as aio
from aio_posix import _calls, flight
from aio_posix._ffi import lib

SIGNO = signal.SIGRTMIN + 3
LATER = 60  # rounds without an error of the program's after which all allocations have been tried
BY_THE_INTERPRETER = 12  # of 200; 3.11: 4
fd = os.memfd_create("file")
os.write(fd, b"0123456789")
queue = aio.CompletionQueue()
called: list[Any] = [None]
call = functools.partial(operator.setitem, called, 0)  # needs no memory
EVENTS = {
    "none": None,
    "callback": aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=call),
    "queue": queue.sigevent(),
    "object": aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO, sigev_value="object"),
    "itself": aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO),
    "number": aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO, sigev_value=7),
}


def eventually(true: Callable[[], object]) -> bool:
    end = time.monotonic() + 10
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def starved(call: Callable[[], object], n: int) -> BaseException | None:
    """Calls with no memory from allocation n on, up to twenty of them; what it raised."""
    _testcapi.set_nomemory(n, n + 20)
    try:
        call()
    except BaseException as error:
        _testcapi.remove_mem_hooks()
        return error
    _testcapi.remove_mem_hooks()
    return None


def result(cb: aio.aiocb, n: int) -> object:
    """aio_return in want of memory: whatever it raises for that leaves the result."""
    got: list[object] = [None]

    def take() -> None:
        got[0] = aio.aio_return(cb)

    error = starved(take, n)
    if error is None:
        return got[0]
    assert isinstance(error, MemoryError), repr(error)
    return aio.aio_return(cb)


def came() -> bool:
    """Whether the callback has been called, and its thread has left Python."""
    came = eventually(lambda: called[0] is not None and not lib.gate_inside())
    called[0] = None
    return came


def finished(cb: aio.aiocb) -> None:
    while cb.in_progress:
        aio.aio_suspend([cb], 10)


def submission(event: str, listed: bool, whole: bool) -> None:
    easy = n = 0
    while easy < LATER:
        here, there = socket.socketpair()
        file = here if whole else here.fileno()
        cb = aio.aiocb(file, bytearray(300), aio_nbytes=10, aio_lio_opcode=aio.LIO_READ)
        if listed:
            sig = EVENTS[event]
            error = starved(lambda: aio.lio_listio(aio.LIO_NOWAIT, [cb], sig), n)  # noqa: B023
        else:
            cb.aio_sigevent = EVENTS[event]
            error = starved(lambda: aio.aio_read(cb), n)  # noqa: B023
        assert error is None or isinstance(error, (MemoryError, BlockingIOError)), repr(error)
        submitted = _calls.state(cb) != 0
        assert submitted or error is not None
        there.send(b"0123456789")
        if submitted:
            finished(cb)
            if event == "callback":
                assert came()
            if event == "queue":
                assert taken(n) == [[cb] if listed else cb]
            if event in ("object", "itself", "number"):
                assert aio.sigwaitinfo([SIGNO], 10) is not None
            assert result(cb, n) == 10
        if whole:
            assert eventually(lambda: here._io_refs == 0)  # type: ignore[attr-defined] # noqa: B023
        here.close()
        there.close()
        easy = easy + 1 if error is None else 0
        n += 1
        del cb
        clean()


def taken(n: int) -> list[Any]:
    """What comes out of the queue, though get() has no memory the first time."""
    values: list[list[Any]] = [[]]
    assert eventually(lambda: not _calls.in_flight())

    def get() -> None:
        values[0] = queue.get(10)

    error = starved(get, n)
    assert error is None or isinstance(error, MemoryError), repr(error)
    return values[0] or queue.get(10)


def clean() -> None:
    gc.collect()
    assert eventually(lambda: not (_calls.in_flight() or _calls.kept() or _calls.owed())), (
        flight.in_flight(),
        _calls.kept(),
        _calls.owed(),
    )


def wait() -> None:
    """LIO_WAIT and aio_suspend in want of memory."""
    for n in range(150):
        cbs = [aio.aiocb(fd, bytearray(5), aio_lio_opcode=aio.LIO_READ) for _ in range(5)]
        error = starved(lambda: aio.lio_listio(aio.LIO_WAIT, cbs), n)  # noqa: B023
        assert error is None or isinstance(error, MemoryError), repr(error)
        states = {_calls.state(cb) for cb in cbs}
        assert error is not None or states == {2}
        if states == {0}:
            aio.lio_listio(aio.LIO_NOWAIT, cbs)
        error = starved(lambda: aio.aio_suspend(cbs), n)  # noqa: B023
        assert error is None or isinstance(error, MemoryError), repr(error)
        for cb in cbs:
            finished(cb)
            assert result(cb, n) == 5
        clean()


def failure() -> None:
    """The error of a request is not lost, except by the interpreter.

    Python makes a frame object and a traceback for an exception that leaves a call, and replaces
    the exception if it has no memory for these.
    """
    lost = 0
    for n in range(200):
        cb = aio.aiocb(2**30, bytearray(5))
        aio.aio_read(cb)
        finished(cb)
        error = starved(lambda: aio.aio_return(cb), n)  # noqa: B023
        if isinstance(error, MemoryError):
            error = error.__context__ or starved(lambda: aio.aio_return(cb), 10**6)  # noqa: B023
        assert isinstance(error, OSError)
        lost += error.errno != errno.EBADF
        clean()
    assert lost <= BY_THE_INTERPRETER, lost


def awaited() -> None:
    """A callback comes though no thread state can be made for a while."""
    for _ in range(20):
        here, there = socket.socketpair()
        cb = aio.aiocb(here, bytearray(5), aio_sigevent=EVENTS["callback"])
        aio.aio_read(cb)
        _testcapi.set_nomemory(0, 3)  # and not removed, while a thread may be on its way
        there.send(b"01234")
        while called[0] is None:
            time.sleep(0.001)
        assert came()
        assert aio.aio_return(cb) == 5
        here.close()
        there.close()
    clean()


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [SIGNO])
    sys.unraisablehook = lambda _: None  # a warning that found no memory, for one
    name, *rest = sys.argv[1].split("-")
    if name == "submission":
        event, listed, file = rest
        submission(event, listed == "listed", file == "socket")
    else:
        {"wait": wait, "failure": failure, "awaited": awaited}[name]()
    print("well")


if __name__ == "__main__":
    main()
