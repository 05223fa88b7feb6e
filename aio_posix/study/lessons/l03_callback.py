"""Lesson 3: SIGEV_THREAD."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import threading

from aio_posix import SIGEV_THREAD, aio_error, aio_init, aio_read, aiocb, sigevent
from aio_posix.study import raw
from aio_posix.study.lesson import Show
from aio_posix.study.look import eventually, helpers, stays, threads

NUMBER = 3
ASK = "How is the callback implemented?"
GUESS = (
    "Somebody calls it: the thread that did the read, or the main thread as soon as "
    "it has time."
)
C = """
void *start(void *copy)                                    /* SIGEV_THREAD, retold */
{
    pthread_sigmask(SIG_SETMASK, &nothing, NULL);  /* whatever the submitter blocks */
    copy->function(copy->value);
}
if (pthread_create(&thread, &detached, start, copy) < 0)
    ...                                     /* dead code: it fails with a number > 0 */
"""
SOURCE = """
rt/aio_notify.c: __aio_notify_only starts the thread, in the helper that did the I/O;
notify_func_wrapper calls your function in it. The test of pthread_create there is `<
0`, and pthread_create returns a positive number when it fails. So the notification is
lost, and aio_error does not show it.
"""
TRY = """
Let the barrier wait for six. There are only five completions, so all five callbacks
wait there until it breaks after 20 seconds. Nothing else waits, and the helper is idle
meanwhile. A callback that blocks, as that of the echo server does in accept, blocks no
helper and no other callback.
"""


def run(show: Show) -> None:
    # Seconds; so that the helper is still there when we look
    aio_init(aio_idle_time=20)
    file = os.open(__file__, os.O_RDONLY)
    barrier = threading.Barrier(5)
    seen: list[tuple[int, set[int], int]] = []
    kinds: list[str] = []
    returned: list[aiocb] = []

    def five_are_seen() -> bool:
        kinds[:] = [row.kind for row in threads()]
        return kinds.count("notification") == 5

    def callback(cb: aiocb) -> None:
        seen.append(
            (
                threading.get_native_id(),
                signal.pthread_sigmask(signal.SIG_BLOCK, []),
                aio_error(cb),
            )
        )
        if barrier.wait(timeout=20) == 0:  # passes when five are here at the same time
            eventually(five_are_seen)
        barrier.wait(timeout=20)
        returned.append(cb)

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    told = sigevent(SIGEV_THREAD, sigev_notify_function=callback)
    for _ in range(5):
        aio_read(aiocb(file, bytearray(1), aio_sigevent=told))
    eventually(lambda: len(returned) == 5)
    tids = {tid for tid, mask, error in seen}
    show("Five reads of one descriptor:", kinds.count("helper"), "helper did them,",
         len(tids), "threads called back, all alive at once")  # fmt: skip
    show("One of them the main thread:", threading.get_native_id() in tids,
         "- a helper:", bool(tids & {row.tid for row in helpers()}))  # fmt: skip
    show("The main thread has SIGUSR1 blocked. Signals blocked in the callbacks:",
         *{len(mask) for tid, mask, error in seen})  # fmt: skip
    show(
        "aio_error in the callbacks:",
        *{error for tid, mask, error in seen},
        "(the result is there first)",
    )
    assert (len(tids), kinds.count("helper"), kinds.count("notification")) == (5, 1, 5)
    assert not tids & {threading.get_native_id(), *(row.tid for row in helpers())}
    assert all((mask, error) == (set(), 0) for tid, mask, error in seen)

    sizes: list[int] = []
    function = raw.FUNCTION(
        lambda value: sizes.append(raw.stack_size(threading.get_ident()))
    )
    cb = raw.aiocb(file)
    cb.aio_sigevent = raw.sigevent(
        sigev_notify=raw.SIGEV_THREAD, sigev_notify_function=function
    )
    raw.aio_read(cb)
    eventually(lambda: sizes)
    limit = resource.getrlimit(resource.RLIMIT_STACK)[0]
    show(
        f"Its stack in a C program: {sizes[0] >> 10} KiB, RLIMIT_STACK is"
        f" {limit >> 10} KiB",
        measured=True,
    )
    assert limit == resource.RLIM_INFINITY or abs(sizes[0] - limit) < 1 << 16

    show("Now the thread cannot be made: its stack is to have 64 TiB. In a C program:")
    attr = raw.attributes(1 << 46)
    lost = raw.aiocb(file)
    lost.aio_sigevent = raw.sigevent(
        sigev_notify=raw.SIGEV_THREAD, sigev_notify_function=function
    )
    lost.aio_sigevent.sigev_notify_attributes = ctypes.addressof(attr)
    raw.aio_read(lost)
    eventually(lambda: raw.aio_error(lost) != errno.EINPROGRESS)
    assert stays(lambda: len(sizes) == 1, seconds=1)
    show(
        "  aio_error",
        raw.aio_error(lost),
        "- aio_return",
        raw.aio_return(lost),
        "- callbacks",
        len(sizes) - 1,
    )

    late: list[aiocb] = []
    huge = sigevent(
        SIGEV_THREAD, sigev_notify_function=late.append, sigev_notify_attributes=1 << 46
    )
    mine = aiocb(file, bytearray(16), aio_sigevent=huge)
    aio_read(mine)
    eventually(lambda: late)
    assert stays(lambda: late == [mine])
    show(
        "  and in the binding, which looks after what was never delivered: callbacks",
        len(late),
    )
