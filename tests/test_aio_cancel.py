"""aio_cancel(3): what can be cancelled, and that nobody else suffers."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, Pipe, done
from deadline import eventually

import aio_posix as aio


def test_a_queued_request_is_cancelled(pipe: Pipe) -> None:
    pipe.blocked()
    queued = pipe.blocked()
    assert aio.aio_cancel(pipe.read, queued) is aio.AIO_CANCELED
    assert aio.aio_error(queued) == errno.ECANCELED


def test_a_running_request_is_not(pipe: Pipe) -> None:
    """G13"""
    running = pipe.blocked()
    assert aio.aio_cancel(pipe.read, running) is aio.AIO_NOTCANCELED
    assert running.in_progress


def test_a_complete_request_is_all_done(file: int) -> None:
    cb = aio.aiocb(file, bytearray(1))
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    assert aio.aio_cancel(file, cb) is aio.AIO_ALLDONE
    done(cb)
    assert aio.aio_cancel(file, cb) is aio.AIO_ALLDONE


def test_cancelling_twice_is_all_done_the_second_time(pipe: Pipe) -> None:
    pipe.blocked()
    queued = pipe.blocked()
    aio.aio_cancel(pipe.read, queued)
    assert aio.aio_cancel(pipe.read, queued) is aio.AIO_ALLDONE


def test_a_whole_descriptor_can_be_cancelled_but_for_what_is_running(pipe: Pipe) -> None:
    """G13"""
    running, *queued = (pipe.blocked() for _ in range(4))
    assert aio.aio_cancel(pipe.read) is aio.AIO_NOTCANCELED
    assert running.in_progress
    assert [aio.aio_error(cb) for cb in queued] == [errno.ECANCELED] * 3


def test_a_descriptor_without_requests_is_all_done(file: int) -> None:
    assert aio.aio_cancel(file) is aio.AIO_ALLDONE


def test_a_file_object_may_stand_for_its_descriptor(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    cb = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(cb)
    queued = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(queued)
    assert aio.aio_cancel(pair[0], queued) is aio.AIO_CANCELED
    pair[1].send(b"x")
    done(cb)


def test_shutdown_ends_a_blocked_read_of_a_socket(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """G13"""
    cb = aio.aiocb(pair[0], bytearray(1))
    aio.aio_read(cb)
    eventually(lambda: False, 0.05)
    pair[0].shutdown(socket.SHUT_RD)
    assert done(cb) == 0


def test_a_bad_descriptor_is_an_error() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        aio.aio_cancel(999)


def test_a_bad_descriptor_is_an_error_also_for_a_complete_request(file: int) -> None:
    cb = aio.aiocb(file, bytearray(1))
    aio.aio_read(cb)
    done(cb)
    with pytest.raises(OSError, match="Bad file descriptor"):
        aio.aio_cancel(999, cb)


def test_a_request_of_another_descriptor_is_an_error(pipe: Pipe, file: int) -> None:
    running = pipe.blocked()
    with pytest.raises(OSError, match=f"descriptor {file}") as raised:
        aio.aio_cancel(file, running)
    assert raised.value.errno == errno.EINVAL


def test_a_request_never_submitted_is_an_error(file: int) -> None:
    with pytest.raises(OSError, match="never submitted") as raised:
        aio.aio_cancel(file, aio.aiocb(file, bytearray(1)))
    assert raised.value.errno == errno.EINVAL


@pytest.mark.parametrize("wrong", ["0", None, 1.5, [], b"0"])
def test_a_descriptor_is_an_int_or_has_fileno(wrong: Any) -> None:
    with pytest.raises(TypeError, match="int"):
        aio.aio_cancel(wrong)


@pytest.mark.parametrize("wrong", [1 << 31, 1 << 64, -(1 << 40)])
def test_a_descriptor_fits_an_int_of_c(wrong: int) -> None:
    with pytest.raises(ValueError, match="int"):
        aio.aio_cancel(wrong)


@pytest.mark.parametrize("wrong", [0, "aiocb", [], object()])
def test_only_an_aiocb_can_be_cancelled(file: int, wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected an aiocb"):
        aio.aio_cancel(file, wrong)


def test_a_cancelled_read_leaves_its_buffer_alone_and_lets_it_go(pipe: Pipe) -> None:
    running = pipe.blocked(1)
    queued = pipe.blocked(4)
    aio.aio_cancel(pipe.read, queued)
    pipe.feed(b"xyz")
    done(running)
    assert queued.aio_buf == bytes(4)
    queued.aio_buf.clear()


def test_a_cancelled_request_can_be_submitted_again(pipe: Pipe) -> None:
    running, queued = pipe.blocked(1), pipe.blocked(1)
    aio.aio_cancel(pipe.read, queued)
    aio.aio_read(queued)
    pipe.feed(b"ab")
    assert done(running, queued) == [1, 1]


def test_a_cancelled_request_is_announced_to_its_callback(pipe: Pipe) -> None:
    called: list[int] = []
    event = aio.sigevent(
        aio.SIGEV_THREAD, sigev_notify_function=lambda cb: called.append(aio.aio_error(cb))
    )
    pipe.blocked()
    queued = pipe.blocked(aio_sigevent=event)
    aio.aio_cancel(pipe.read, queued)
    assert eventually(lambda: called == [errno.ECANCELED])


def test_a_cancelled_request_is_announced_to_its_queue(pipe: Pipe) -> None:
    with aio.CompletionQueue() as queue:
        pipe.blocked()
        queued = pipe.blocked(aio_sigevent=queue.sigevent())
        aio.aio_cancel(pipe.read)
        assert queue.get(10) == [queued]


def test_cancelling_a_member_counts_towards_its_list(pipe: Pipe) -> None:
    with aio.CompletionQueue() as queue:
        pipe.blocked(1)
        members = [
            aio.aiocb(pipe.read, bytearray(1), aio_lio_opcode=aio.LIO_READ) for _ in range(2)
        ]
        aio.lio_listio(aio.LIO_NOWAIT, members, queue.sigevent())
        aio.aio_cancel(pipe.read, members[1])
        assert queue.get(0.1) == []
        pipe.feed(b"ab")
        assert queue.get(10) == [members]


# In glibc, what is queued behind a cancelled head that no helper has taken never runs (G15).


def test_cancelling_a_head_strands_nobody_behind_it() -> None:
    """The pool is full, so the head has not started (G15)."""
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
fd = memfd()
head, *others = [aiocb(fd, b"%d" % i, i) for i in range(5)]
for cb in (head, *others): aio_write(cb)
assert aio_cancel(fd, head) == AIO_CANCELED
assert aio_error(head) == errno.ECANCELED
release()
for cb in others: assert aio_suspend([cb], 10)
assert [aio_return(cb) for cb in others] == [1] * 4
assert os.pread(fd, 9, 0) == b"\\x001234"
later = aiocb(fd, b"later", 10)
aio_write(later)
assert aio_suspend([later], 10)
"""
    )


def test_with_the_default_pool_full_cancelling_a_head_strands_nobody() -> None:
    """G15"""
    fresh.output(
        FULL_POOL
        + """
release = full_pool(20)
fd = memfd()
head, follower = aiocb(fd, b"0"), aiocb(fd, b"1", 1)
aio_write(head); aio_write(follower)
assert aio_cancel(fd, head) == AIO_CANCELED
release()
assert aio_suspend([follower], 10) and aio_return(follower) == 1
"""
    )


def test_every_head_of_a_queue_can_be_cancelled_in_turn() -> None:
    """G15"""
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
fd = memfd()
cbs = [aiocb(fd, b"%d" % i, i) for i in range(10)]
for cb in cbs: aio_write(cb)
for cb in cbs[:-1]: assert aio_cancel(fd, cb) == AIO_CANCELED
release()
assert aio_suspend([cbs[-1]], 10) and aio_return(cbs[-1]) == 1
assert all(aio_error(cb) == errno.ECANCELED for cb in cbs[:-1])
"""
    )


def test_the_followers_of_a_cancelled_head_keep_their_order_and_priorities() -> None:
    """G15"""
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
r, w = os.pipe()
prios = [3, 5, 0, 10, 1, 0, 5]
cbs = [aiocb(w, b"%c" % (97 + i), aio_reqprio=prio) for i, prio in enumerate(prios)]
for cb in cbs: aio_write(cb)
assert aio_cancel(w, cbs[0]) == AIO_CANCELED
release()
for cb in cbs[1:]: assert aio_suspend([cb], 10)
order = sorted(range(1, 7), key=lambda i: prios[i])
assert os.read(r, 99) == bytes(97 + i for i in order), order
"""
    )


def test_an_urgent_request_behind_a_cancelled_head_is_cancelled_without_harm() -> None:
    """It was submitted later than others and stands before them (G15)."""
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
r, w = os.pipe()
prios = [5, 5, 0, 5]
head, lazy, urgent, last = [aiocb(w, bytes([97 + i]), aio_reqprio=p) for i, p in enumerate(prios)]
for cb in (head, lazy, urgent, last): aio_write(cb)
assert aio_cancel(w, urgent) == AIO_CANCELED
assert aio_cancel(w, head) == AIO_CANCELED
release()
for cb in (lazy, last): assert aio_suspend([cb], 10)
assert os.read(r, 9) == b"bd"
"""
    )


def test_a_head_that_came_to_the_front_by_its_urgency_can_be_cancelled() -> None:
    """Who stands behind it was submitted before it (G15)."""
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
fd = memfd()
r, w = os.pipe()
head, lazy, urgent = aiocb(fd, b"h", 0), aiocb(fd, b"l", 1, aio_reqprio=9), aiocb(fd, b"u", 2)
for cb in (head, lazy, urgent): aio_write(cb)
blocking = aiocb(r, bytearray(1))
aio_read(blocking)
release()                       # the helper does head, then blocks before it gets to urgent
assert aio_suspend([head], 10)
time.sleep(0.05)
assert aio_cancel(fd, urgent) == AIO_CANCELED
os.write(w, b"x")
assert aio_suspend([lazy], 10)
assert os.pread(fd, 9, 0) == b"hl"
"""
    )


@pytest.mark.parametrize("kind", ["callback", "queue", "signal", "list callback", "list queue"])
def test_followers_of_a_cancelled_head_are_announced_once_and_when_they_are_complete(
    kind: str,
) -> None:
    """G15"""
    fresh.output(
        FULL_POOL
        + f"""
kind = {kind!r}
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
release = full_pool()
fd, queue, told = memfd(), CompletionQueue(), []
def collect():
    told.extend(queue.get(0))
    while (info := sigwaitinfo([signal.SIGRTMIN], 0)) is not None: told.append(info.si_value)
    return told
event = (sigevent(SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN) if kind == "signal" else
         queue.sigevent() if "queue" in kind else
         sigevent(SIGEV_THREAD, sigev_notify_function=told.append))
head = aiocb(fd, b"0")
own = None if "list" in kind else event
followers = [aiocb(fd, b"%d" % i, i, aio_sigevent=own, aio_reqprio=i, aio_lio_opcode=LIO_WRITE)
             for i in range(1, 4)]
aio_write(head)
lio_listio(LIO_NOWAIT, followers, event if "list" in kind else None)
expected = [followers] if "list" in kind else followers
assert aio_cancel(fd, head) == AIO_CANCELED
time.sleep(0.6)
assert collect() == [], told
release()
assert eventually(lambda: len(collect()) >= len(expected)), told
time.sleep(0.6)
assert sorted(map(id, collect())) == sorted(map(id, expected)), told
assert [aio_return(cb) for cb in followers] == [1, 1, 1]
"""
    )


def test_what_was_cancelled_with_its_descriptor_is_not_revived_with_the_queue() -> None:
    """Nobody has looked at it since (G15)."""
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
fd = memfd()
first = [aiocb(fd, b"first%d" % i, 10 * i) for i in range(3)]
for cb in first: aio_write(cb)
assert aio_cancel(fd) == AIO_CANCELED
head, follower = aiocb(fd, b"head", 50), aiocb(fd, b"follower", 60)
aio_write(head); aio_write(follower)
assert aio_cancel(fd, head) == AIO_CANCELED
release()
assert aio_suspend([follower], 10)
assert [aio_error(cb) for cb in first] == [errno.ECANCELED] * 3
assert os.pread(fd, 99, 0) == bytes(60) + b"follower"
"""
    )


def test_a_sync_behind_a_cancelled_head_is_done() -> None:
    """G15"""
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
with tempfile.TemporaryFile() as file:
    head, sync, data = aiocb(file, b"0"), aiocb(file), aiocb(file)
    aio_write(head); aio_fsync(os.O_SYNC, sync); aio_fsync(os.O_DSYNC, data)
    assert aio_cancel(file, head) == AIO_CANCELED
    release()
    for cb in (sync, data): assert aio_suspend([cb], 10) and aio_return(cb) == 0
"""
    )


def test_followers_of_which_one_was_dropped_still_run() -> None:
    """G15, G11"""
    fresh.output(
        FULL_POOL
        + """
import gc, warnings
warnings.simplefilter("ignore", ResourceWarning)
release = full_pool()
fd = memfd()
head, dropped, kept = [aiocb(fd, b"%d" % i, i) for i in range(3)]
for cb in (head, dropped, kept): aio_write(cb)
del cb, dropped
gc.collect()
assert aio_cancel(fd, head) == AIO_CANCELED
release()
assert aio_suspend([kept], 10)
assert os.pread(fd, 9, 0) == b"\\x0012"
"""
    )


def test_threads_that_submit_and_cancel_at_once_lose_no_request() -> None:
    """G15: every request ends, with its bytes or with ECANCELED, while heads are cancelled all the
    time.
    """
    fresh.output(
        FULL_POOL
        + """
import random
aio_init(aio_threads=2)
fd = memfd(bytes(range(256)))
problems = []
def work(seed):
    rng = random.Random(seed)
    for _ in range(150):
        cbs = [aiocb(fd, bytearray(1), rng.randrange(256), aio_reqprio=rng.randrange(4))
               for _ in range(4)]
        for cb in cbs: aio_read(cb)
        for cb in rng.sample(cbs, 2): aio_cancel(fd, cb)
        for cb in cbs:
            if not aio_suspend([cb], 20): problems.append("stranded"); return
            try:
                if aio_return(cb) != 1 or cb.aio_buf[0] != cb.aio_offset: problems.append("wrong")
            except OSError as error:
                if error.errno != errno.ECANCELED: problems.append(error)
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not problems, problems[:3]
"""
    )


def test_cancelling_from_another_thread_ends_a_wait(pipe: Pipe) -> None:
    pipe.blocked()
    queued = pipe.blocked()
    timer = threading.Timer(0.1, aio.aio_cancel, [pipe.read, queued])
    timer.start()
    assert aio.aio_suspend([queued], 10)
    timer.join()


def test_after_close_the_descriptor_is_bad_and_its_running_read_goes_on() -> None:
    """close(2) neither ends nor cancels anything (G13)."""
    read, write = os.pipe()
    cb = aio.aiocb(read, bytearray(1))
    aio.aio_read(cb)
    eventually(lambda: False, 0.05)
    os.close(read)
    with pytest.raises(OSError, match="Bad file descriptor"):
        aio.aio_cancel(read, cb)
    os.write(write, b"x")
    assert done(cb) == 1
    os.close(write)
