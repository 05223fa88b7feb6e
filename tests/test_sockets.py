"""A socket object counts its users, as makefile() shows, and a request in flight is one of them.

So its descriptor stays open until the last of its requests is over and that was noticed.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import sysconfig
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, done
from deadline import TAKEN, eventually

import aio_posix as aio
from aio_posix import _calls

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Pair]:
    """Two connected sockets; the test closes the first."""
    here, there = socket.socketpair()
    yield here, there
    there.close()
    assert eventually(lambda: not _calls.kept())


def at_end(peer: socket.socket) -> bool:
    """Whether the other side has closed its socket; what it sent before is left alone."""
    try:
        return peer.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False


def noticed_by_error(cb: aio.aiocb) -> None:
    assert eventually(lambda: aio.aio_error(cb) == 0)


def noticed_by_return(cb: aio.aiocb) -> None:
    assert eventually(lambda: not at_return(cb))


def at_return(cb: aio.aiocb) -> bool:
    try:
        aio.aio_return(cb)
    except BlockingIOError:
        return True
    return False


def noticed_by_state(cb: aio.aiocb) -> None:
    assert eventually(lambda: not cb.in_progress)


def noticed_by_suspend(cb: aio.aiocb) -> None:
    while not aio.aio_suspend([cb], 10) or cb.in_progress:
        pass


def noticed_by_nobody(cb: aio.aiocb) -> None:
    pass


NOTICED = [
    noticed_by_error,
    noticed_by_return,
    noticed_by_state,
    noticed_by_suspend,
    noticed_by_nobody,
]


@pytest.mark.parametrize("notice", NOTICED)
def test_a_socket_closed_in_flight_goes_when_the_end_of_its_read_was_noticed(
    ends: Pair, notice: Callable[[aio.aiocb], None]
) -> None:
    here, there = ends
    cb = aio.aiocb(here, bytearray(1))
    aio.aio_read(cb)
    fd = here.fileno()
    here.close()
    os.fstat(fd)
    assert not at_end(there)
    there.send(b"x")
    notice(cb)
    assert eventually(lambda: at_end(there))


@pytest.mark.parametrize("kind", ["callback", "queue", "nothing"])
@pytest.mark.parametrize("listed", [False, True])
def test_each_notification_lets_the_socket_go(ends: Pair, kind: str, listed: bool) -> None:
    here, there = ends
    got: list[Any] = []
    with aio.CompletionQueue() as queue:
        event = {
            "callback": aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=got.append),
            "queue": queue.sigevent(),
            "nothing": None,
        }[kind]
        cb = aio.aiocb(here, bytearray(1), aio_lio_opcode=aio.LIO_READ)
        if listed:
            aio.lio_listio(aio.LIO_NOWAIT, [cb], event)
        else:
            cb.aio_sigevent = event
            aio.aio_read(cb)
        here.close()
        there.send(b"x")
        if kind == "queue":
            assert queue.get(10)
        if kind == "callback":
            assert eventually(lambda: got)
        assert eventually(lambda: at_end(there))
    assert done(cb) == 1


def test_lio_wait_lets_the_sockets_of_its_entries_go(ends: Pair) -> None:
    here, there = ends
    there.send(b"x")
    read = aio.aiocb(here, bytearray(1), aio_lio_opcode=aio.LIO_READ)
    write = aio.aiocb(here, b"answer", aio_lio_opcode=aio.LIO_WRITE)
    aio.lio_listio(aio.LIO_WAIT, [read, write])
    here.close()
    assert there.recv(100) == b"answer"
    assert at_end(there)


def test_a_queued_write_reaches_the_peer_of_a_socket_closed_meanwhile() -> None:
    """The number goes to nobody else before."""
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
here, there = socket.socketpair()
cbs = [aiocb(here, b"the "), aiocb(here, b"answer", aio_lio_opcode=LIO_WRITE)]
aio_write(cbs[0]); lio_listio(LIO_NOWAIT, cbs[1:])
here.close()
others = [memfd() for _ in range(20)]
release()
there.settimeout(5)
assert there.recv(100, socket.MSG_WAITALL) == b"the answer"
assert not any(os.fstat(fd).st_size for fd in others)
"""
    )


@pytest.mark.parametrize("n", [2, 5])
def test_the_last_of_several_requests_lets_the_socket_go(ends: Pair, n: int) -> None:
    here, there = ends
    cbs = [aio.aiocb(here, bytearray(1)) for _ in range(n)]
    for cb in cbs:
        aio.aio_read(cb)
    here.close()
    for cb in cbs:
        assert not at_end(there)
        there.send(b"x")
        assert done(cb) == 1
    assert at_end(there)


def test_close_after_completion_is_immediate_and_silent(ends: Pair) -> None:
    here, there = ends
    there.send(b"x")
    cb = aio.aiocb(here, bytearray(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aio.aio_read(cb)
        assert done(cb) == 1
        here.close()
        assert at_end(there)
        del cb
        gc.collect()


def test_close_in_flight_is_silent(ends: Pair, recwarn: pytest.WarningsRecorder) -> None:
    here, there = ends
    cb = aio.aiocb(here, bytearray(1))
    aio.aio_read(cb)
    here.close()
    there.send(b"x")
    assert done(cb) == 1
    gc.collect()
    assert not list(recwarn)


def test_a_file_of_makefile_and_a_request_hold_the_socket_together(ends: Pair) -> None:
    here, there = ends
    file = here.makefile("rb")
    cb = aio.aiocb(here, bytearray(1))
    aio.aio_read(cb)
    here.close()
    there.send(b"xline\n")
    assert done(cb) == 1
    assert not at_end(there)
    assert file.readline() == b"line\n"
    file.close()
    assert at_end(there)


def test_a_request_holds_the_socket_after_the_file_of_makefile_has_gone(ends: Pair) -> None:
    here, there = ends
    file = here.makefile("rb")
    cb = aio.aiocb(here, bytearray(1))
    aio.aio_read(cb)
    here.close()
    file.close()
    assert not at_end(there)
    there.send(b"x")
    assert done(cb) == 1
    assert at_end(there)


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="without a GIL makefile() itself loses counts: it adds one in three steps",
)
def test_makefile_in_one_thread_and_requests_in_another_count_right(ends: Pair) -> None:
    here, there = ends
    over = threading.Event()

    def files() -> None:
        while not over.is_set():
            here.makefile("rb").close()

    thread = threading.Thread(target=files)
    thread.start()
    cb = aio.aiocb(here, bytearray(1))
    for _ in range(300):
        there.send(b"x")
        aio.aio_read(cb)
        done(cb)
    over.set()
    thread.join()
    assert here._io_refs == 0  # type: ignore[attr-defined]
    here.close()
    assert at_end(there)


def test_detach_gives_the_descriptor_away(ends: Pair, recwarn: pytest.WarningsRecorder) -> None:
    here, there = ends
    cb = aio.aiocb(here, bytearray(1))
    aio.aio_read(cb)
    fd = here.detach()
    there.send(b"x")
    assert done(cb) == 1
    gc.collect()
    assert not at_end(there)
    os.close(fd)
    assert at_end(there)
    assert not list(recwarn)


def test_a_refused_submission_leaves_the_socket_as_it_was(ends: Pair) -> None:
    here, there = ends
    cb = aio.aiocb(here, b"read-only", aio_lio_opcode=aio.LIO_READ)
    with pytest.raises(TypeError, match="read-only"):
        aio.aio_read(cb)
    with pytest.raises(TypeError, match="read-only"):
        aio.lio_listio(aio.LIO_WAIT, [cb])
    assert here._io_refs == 0  # type: ignore[attr-defined]
    here.close()
    assert at_end(there)


def test_a_request_dropped_in_flight_lets_its_socket_go(ends: Pair) -> None:
    here, there = ends
    cb = aio.aiocb(here, bytearray(1))
    aio.aio_read(cb)
    with pytest.warns(ResourceWarning, match="dropped while in flight"):
        del cb
    here.close()
    there.send(b"x")
    assert eventually(lambda: at_end(there))


def test_close_of_a_subclass_is_called_as_makefile_calls_it(ends: Pair) -> None:
    closed: list[int] = []

    class Counted(socket.socket):
        def close(self) -> None:
            closed.append(self._io_refs)  # type: ignore[attr-defined]
            super().close()

    here, there = ends
    mine = Counted(fileno=here.detach())
    cb = aio.aiocb(mine, bytearray(1))
    aio.aio_read(cb)
    mine.close()
    there.send(b"x")
    assert done(cb) == 1
    assert closed == [1, 0]
    assert at_end(there)


def test_a_subclass_whose_close_fails_is_closed_all_the_same(
    ends: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(socket.socket):
        calls = 0

        def close(self) -> None:
            Failing.calls += 1
            if Failing.calls > 1:
                raise RuntimeError("mine")
            super().close()

    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    here, there = ends
    mine = Failing(fileno=here.detach())
    cb = aio.aiocb(mine, bytearray(1))
    aio.aio_read(cb)
    mine.close()
    there.send(b"x")
    assert done(cb) == 1
    assert [type(one.exc_value) for one in seen] == [RuntimeError]
    assert at_end(there)


def test_a_module_socket_that_is_only_half_imported_is_in_nobodys_way() -> None:
    """Another thread may be importing it."""
    fresh.output("""
        import sys, types
        import aio_posix as aio
        sys.modules["socket"] = types.ModuleType("socket")
        with open("/dev/zero", "rb", buffering=0) as file:
            cb = aio.aiocb(file, bytearray(3))
            aio.aio_read(cb)
            aio.aio_suspend([cb])
            assert aio.aio_return(cb) == 3
        """)


def test_ten_thousand_sockets_each_count_their_own_requests() -> None:
    """A socket object that gets the address of another one is not taken for it."""
    fresh.output("""
        import os, socket
        import aio_posix as aio
        for _ in range(3000):
            here, there = socket.socketpair()
            there.send(b"x")
            cb = aio.aiocb(here, bytearray(1))
            aio.aio_read(cb)
            aio.aio_suspend([cb])
            assert aio.aio_return(cb) == 1
            here.close()
            assert there.recv(1) == b""
            there.close()
        """)


def test_a_blocked_read_keeps_the_number_until_shutdown(ends: Pair) -> None:
    """close() alone does not end it (G13)."""
    here, _ = ends
    fd = here.fileno()
    cb = aio.aiocb(here, bytearray(1))
    aio.aio_read(cb)
    eventually(lambda: False, TAKEN)
    here.shutdown(socket.SHUT_RDWR)
    here.close()
    assert done(cb) == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
