"""aio_init chooses the size of glibc's pool, once. A fresh process for each, therefore."""

from __future__ import annotations

from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, done

import aio_posix as aio

HELPERS = (
    FULL_POOL
    + """
def helpers(wanted):
    "How many threads there are beside main and our sweeper, once that has become as wanted."
    count = lambda: len(os.listdir("/proc/self/task")) - 2
    eventually(lambda: count() == wanted, 5)
    return count()
def block(n):
    pipes = [os.pipe() for _ in range(n)]
    cbs = [aiocb(r, bytearray(1)) for r, _ in pipes]
    for cb in cbs: aio_read(cb)
    return lambda: [os.write(w, b"x") for _, w in pipes] and [aio_suspend([cb]) for cb in cbs]
"""
)


@pytest.mark.parametrize("threads", [1, 3, 64])
def test_aio_threads_is_how_many_reads_can_block_at_once(threads: int) -> None:
    """G1"""
    fresh.output(
        HELPERS
        + f"""
assert aio_init(aio_threads={threads}) is None
release = block({threads + 5})
assert helpers({threads}) == {threads}
time.sleep(0.1)
assert helpers({threads}) == {threads}
release()
"""
    )


def test_without_aio_init_there_are_20() -> None:
    """G1"""
    fresh.output(
        HELPERS
        + """
release = block(25)
assert helpers(20) == 20
release()
"""
    )


def test_a_thousand_reads_can_block_in_a_pool_of_a_thousand() -> None:
    """G1"""
    fresh.output(
        HELPERS
        + """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
if hard < 2100: raise SystemExit(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
aio_init(aio_threads=1001)
release = block(1000)
cb = aiocb(memfd(b"x"), bytearray(1))
aio_read(cb)
assert aio_suspend([cb], 10)
release()
"""
    )


def test_the_last_call_before_the_first_request_counts() -> None:
    fresh.output(
        HELPERS
        + """
aio_init(aio_threads=50)
aio_init(aio_threads=2)
release = block(4)
assert helpers(2) == 2
release()
"""
    )


def test_after_the_first_request_it_is_too_late(file: int) -> None:
    """glibc would ignore it (G1)."""
    cb = aio.aiocb(file, bytearray(1))
    aio.aio_read(cb)
    done(cb)
    with pytest.raises(OSError, match="too late"):
        aio.aio_init(aio_threads=50)


def test_what_is_no_request_is_not_too_late() -> None:
    fresh.output(
        FULL_POOL
        + """
cb = aiocb(0, bytearray(1))
for call in (lambda: aio_error(cb), lambda: aio_cancel(0, cb), lambda: aio_suspend([cb])):
    try: call()
    except OSError: pass
aio_cancel(0)
CompletionQueue().close()
aio_init(aio_threads=2)
"""
    )


def test_an_idle_helper_leaves_after_aio_idle_time() -> None:
    fresh.output(
        HELPERS
        + """
aio_init(aio_idle_time=-1)
cb = aiocb(memfd(b"x"), bytearray(1))
aio_read(cb)
aio_suspend([cb])
assert helpers(0) == 0
"""
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"aio_threads": 0},
        {"aio_threads": -1},
        {"aio_threads": 2**31},
        {"aio_num": 0},
        {"aio_num": -1},
        {"aio_num": 2**31 - 1},
        {"aio_idle_time": 2**31},
        {"aio_idle_time": -(2**31) - 1},
        {"aio_threads": 10**30},
    ],
)
def test_what_glibc_would_change_in_silence_or_choke_on_is_refused(wrong: dict[str, int]) -> None:
    """G17"""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        aio.aio_init(**wrong)


@pytest.mark.parametrize("name", ["aio_threads", "aio_num", "aio_idle_time"])
@pytest.mark.parametrize("wrong", [1.0, "20", None, [20]])
def test_its_arguments_are_ints(name: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=name):
        aio.aio_init(**{name: wrong})


def test_its_arguments_have_names() -> None:
    with pytest.raises(TypeError, match="positional"):
        aio.aio_init(20)  # type: ignore[misc]


def test_after_a_refused_aio_num_requests_still_work() -> None:
    """glibc answers EAGAIN for ever (G17)."""
    fresh.output(
        FULL_POOL
        + """
try: aio_init(aio_num=2**31 - 1)
except ValueError: pass
cb = aiocb(memfd(b"x"), bytearray(1))
aio_read(cb)
assert aio_suspend([cb], 10) and aio_return(cb) == 1
"""
    )


def test_aio_num_is_no_limit() -> None:
    fresh.output(
        FULL_POOL
        + """
aio_init(aio_num=1)
fd = memfd(b"x")
cbs = [aiocb(fd, bytearray(1)) for _ in range(500)]
for cb in cbs: aio_read(cb)
assert all(aio_suspend([cb], 10) for cb in cbs)
"""
    )
