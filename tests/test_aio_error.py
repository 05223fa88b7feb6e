"""aio_error(3): the state of a request, and what glibc's aio_error would say of requests that have
none.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Any

import pytest
from conftest import Pipe, done

import aio_posix as aio


def test_a_request_in_flight_is_in_progress(pipe: Pipe) -> None:
    assert aio.aio_error(pipe.blocked()) == errno.EINPROGRESS


def test_a_request_that_succeeded_has_error_0(file: int) -> None:
    cb = aio.aiocb(file, bytearray(4))
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    assert aio.aio_error(cb) == 0


def test_a_request_that_failed_has_its_errno_and_nothing_is_raised() -> None:
    cb = aio.aiocb(999, bytearray(4))
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    assert aio.aio_error(cb) == errno.EBADF


def test_a_cancelled_request_has_ecanceled(pipe: Pipe) -> None:
    pipe.blocked()
    queued = pipe.blocked()
    assert aio.aio_cancel(pipe.read, queued) == aio.AIO_CANCELED
    assert aio.aio_error(queued) == errno.ECANCELED


def test_asking_changes_nothing(file: int) -> None:
    cb = aio.aiocb(file, bytearray(4))
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    assert [aio.aio_error(cb) for _ in range(3)] == [0, 0, 0]
    assert aio.aio_return(cb) == 4


def test_a_request_never_submitted_has_no_error(file: int) -> None:
    """glibc says 0, success (G8)."""
    with pytest.raises(OSError, match="never submitted") as raised:
        aio.aio_error(aio.aiocb(file, bytearray(4)))
    assert raised.value.errno == errno.EINVAL


def test_a_request_whose_result_was_returned_has_no_error_any_more(file: int) -> None:
    """glibc says what it said before (G8)."""
    cb = aio.aiocb(file, bytearray(4))
    aio.aio_read(cb)
    done(cb)
    with pytest.raises(OSError, match="has been returned") as raised:
        aio.aio_error(cb)
    assert raised.value.errno == errno.EINVAL


def test_a_request_submitted_again_has_an_error_again(pipe: Pipe) -> None:
    cb = pipe.blocked()
    pipe.feed()
    done(cb)
    aio.aio_read(cb)
    assert aio.aio_error(cb) == errno.EINPROGRESS


@pytest.mark.parametrize("wrong", [None, 0, "aiocb", [], object()])
def test_only_an_aiocb_has_an_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected an aiocb"):
        aio.aio_error(wrong)


def test_the_error_is_an_int_of_errno(pipe: Pipe) -> None:
    assert os.strerror(aio.aio_error(pipe.blocked())) == "Operation now in progress"


def test_many_threads_may_ask_at_once(pipe: Pipe) -> None:
    cb = pipe.blocked()
    seen: set[int] = set()

    def ask() -> None:
        for _ in range(1000):
            seen.add(aio.aio_error(cb))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    pipe.feed()
    for thread in threads:
        thread.join()
    assert seen <= {0, errno.EINPROGRESS}
