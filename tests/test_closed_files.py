"""File objects that are closed, or stand for another descriptor, before the end of their request
was noticed: glibc goes on with the *number*, so it may have used another file (G11).
"""

from __future__ import annotations

import gc
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, Pipe, done
from deadline import eventually

import aio_posix as aio
from aio_posix import flight

WARNING = r"was closed while a request on its descriptor \d+ was in flight"


@pytest.fixture
def reader(pipe: Pipe) -> Iterator[Any]:
    """A file object of a pipe; what a test reads from it ends with the pipe."""
    with os.fdopen(os.dup(pipe.read), "rb", buffering=0) as file:
        yield file


def read(cb: aio.aiocb) -> None:
    aio.aio_read(cb)


def listed(cb: aio.aiocb) -> None:
    cb.aio_lio_opcode = aio.LIO_READ
    aio.lio_listio(aio.LIO_NOWAIT, [cb])


def listed_and_announced(cb: aio.aiocb) -> None:
    cb.aio_lio_opcode = aio.LIO_READ
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=id)
    aio.lio_listio(aio.LIO_NOWAIT, [cb], event)


IN_ANOTHER_THREAD = pytest.mark.skipif(
    bool(getattr(sys.flags, "context_aware_warnings", False)),
    reason="what another thread warns of is not recorded in the context of this one",
)


@pytest.mark.parametrize(
    "submit", [read, listed, pytest.param(listed_and_announced, marks=IN_ANOTHER_THREAD)]
)
def test_a_file_closed_in_flight_is_named_by_a_warning(
    pipe: Pipe,
    reader: Any,
    submit: Callable[[aio.aiocb], None],
    recwarn: pytest.WarningsRecorder,
) -> None:
    cb = aio.aiocb(reader, bytearray(1))
    pipe.started.append(cb)
    submit(cb)
    eventually(lambda: False, 0.05)
    reader.close()
    pipe.feed()
    assert eventually(lambda: not cb.in_progress and len(recwarn) > 0)
    assert re.search(WARNING, str(recwarn[0].message))
    assert repr(reader) in str(recwarn[0].message)
    if submit is not listed_and_announced:  # there the callback's thread notices
        assert recwarn[0].filename == __file__
    assert done(cb) == 1


@pytest.mark.parametrize(
    "kind", ["queue", pytest.param("callback", marks=IN_ANOTHER_THREAD), "nobody"]
)
def test_whoever_notices_the_end_warns(
    pipe: Pipe, reader: Any, kind: str, recwarn: pytest.WarningsRecorder
) -> None:
    """In the notification thread of a queue no Python runs, so get() warns there."""
    with aio.CompletionQueue() as queue:
        event = {
            "queue": queue.sigevent(),
            "callback": aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=id),
            "nobody": None,
        }[kind]
        cb = aio.aiocb(reader, bytearray(1), aio_sigevent=event)
        aio.aio_read(cb)
        pipe.started.append(cb)
        eventually(lambda: False, 0.05)
        reader.close()
        pipe.feed()
        if kind == "queue":
            assert queue.get(10) == [cb]
        elif kind == "callback":
            assert eventually(lambda: not flight.owed())
        done(cb)
    assert eventually(lambda: len(recwarn) > 0), "the sweeper may have noticed, and warns soon"
    assert re.search(WARNING, str(recwarn[0].message))


def test_a_write_and_a_sync_warn_as_a_read_does(tmp_path: Path) -> None:
    for submit in ("aio_write(cb)", "aio_fsync(os.O_SYNC, cb)"):
        out = fresh.run(
            FULL_POOL
            + f"""
release = full_pool()
file = open({str(tmp_path / "file")!r}, "wb", buffering=0)
cb = aiocb(file, b"data")
{submit}
file.close()
release()
aio_suspend([cb])
assert not cb.in_progress
""",
            "-W",
            "always::ResourceWarning",
        )
        assert "was closed while a request on its descriptor" in out.stderr, out
        assert str(tmp_path / "file") in out.stderr


def test_a_file_opened_again_on_another_number_warns(tmp_path: Path, pipe: Pipe) -> None:
    class Log:
        def __init__(self) -> None:
            self.fd = os.dup(pipe.read)

        def fileno(self) -> int:
            return self.fd

        def rotate(self) -> None:
            other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
            os.close(self.fd)
            self.fd = other

    log = Log()
    cb = aio.aiocb(log, bytearray(1))
    aio.aio_read(cb)
    pipe.started.append(cb)
    eventually(lambda: False, 0.05)
    log.rotate()
    pipe.feed()
    with pytest.warns(ResourceWarning, match=WARNING):
        done(cb)
    os.close(log.fd)


def files(tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    yield path.open("r+b", buffering=0)
    yield path.open("r+b")
    yield path.open("r+", encoding="ascii")
    yield tempfile.TemporaryFile()  # noqa: SIM115 the test closes it
    yield tempfile.NamedTemporaryFile()  # noqa: SIM115 the same


def test_a_file_closed_after_its_end_was_noticed_is_not_warned_of(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in files(tmp_path):
            with file:
                write = aio.aiocb(file, b"x", aio_lio_opcode=aio.LIO_WRITE)
                aio.aio_write(write)
                assert done(write) == 1
                aio.aio_fsync(os.O_DSYNC, write)
                assert done(write) == 0
                aio.lio_listio(aio.LIO_WAIT, [write])
        gc.collect()


def test_a_descriptor_that_is_an_int_is_not_warned_of(
    pipe: Pipe, recwarn: pytest.WarningsRecorder
) -> None:
    fd = os.dup(pipe.read)
    cb = aio.aiocb(fd, bytearray(1))
    aio.aio_read(cb)
    pipe.started.append(cb)
    eventually(lambda: False, 0.05)
    os.close(fd)
    pipe.feed()
    assert done(cb) == 1
    assert not list(recwarn)


@pytest.mark.parametrize("how", ["aio_return", "aio_error", "aio_suspend", "queue", "list"])
def test_a_warning_made_an_error_is_reported_and_no_result_is_lost(
    pipe: Pipe, reader: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: seen.append(str(one.exc_value)))
    with warnings.catch_warnings(), aio.CompletionQueue() as queue:
        warnings.simplefilter("error")
        event = queue.sigevent() if how == "queue" else None
        cb = aio.aiocb(reader, bytearray(1), aio_sigevent=event, aio_lio_opcode=aio.LIO_READ)
        aio.aio_read(cb) if how != "list" else aio.lio_listio(aio.LIO_NOWAIT, [cb])
        pipe.started.append(cb)
        eventually(lambda: False, 0.05)
        reader.close()
        pipe.feed()
        if how == "aio_error":
            assert eventually(lambda: aio.aio_error(cb) == 0)
        if how in ("aio_suspend", "list"):
            assert aio.aio_suspend([cb], 10)
        if how == "queue":
            assert queue.get(10) == [cb]
        if how == "aio_return":
            assert eventually(lambda: not cb.in_progress)
        assert aio.aio_return(cb) == 1
        assert len(seen) == 1
        assert "was closed while" in seen[0]


def test_a_refused_submission_does_not_ask_the_file_again(file: int) -> None:
    class File:
        asked = 0

        def fileno(self) -> int:
            File.asked += 1
            return file

    with pytest.raises(TypeError, match="read-only"):
        aio.aio_read(aio.aiocb(File(), b"x"))
    assert File.asked == 1


def test_a_file_is_asked_for_its_number_without_a_lock(file: int) -> None:
    """fileno() is the program's code: here it submits, waits and asks."""

    class File:
        asked = 0

        def fileno(self) -> int:
            File.asked += 1
            other = aio.aiocb(file, bytearray(1))
            aio.aio_read(other)
            assert done(other) == 1
            assert not cb.in_progress
            return file

    cb = aio.aiocb(File(), bytearray(1))
    aio.aio_read(cb)
    assert done(cb) == 1
    assert File.asked == 2


def test_an_exit_warns_of_a_file_that_nobody_looked_at_again() -> None:
    """Before modules go, for a warning finds nothing it needs later."""
    ended = fresh.run(
        """
        import os, select, time
        import aio_posix as aio
        class File:
            def fileno(self):
                return number
        r, w = os.pipe()
        number = r
        cb = aio.aiocb(File(), bytearray(1))
        aio.aio_read(cb)
        number = r + 100
        os.write(w, b"x")
        while select.select([r], [], [], 0)[0]: pass
        time.sleep(0.05)
        """,
        "-W",
        "always",
    )
    assert ended.returncode == 0
    assert ended.stderr.count("was closed while a request on its descriptor") == 1, ended
    assert "Exception ignored" not in ended.stderr, ended
