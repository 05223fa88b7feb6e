"""The kinds of announcement of a sigevent, what each refuses, what arrives, and in which thread."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import threading
import unittest.mock
import weakref
from pathlib import Path
from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, SIGNO, Pipe, done
from deadline import eventually

import aio_posix as aio
from aio_posix import _calls, flight
from aio_posix.sigevent import MINIMUM_STACK
from aio_posix.signalled import UNHEARD

pytestmark = pytest.mark.usefixtures("signo")


def told(fd: int, value: Any) -> Any:
    """What a callback gets whose sigevent has this value."""
    got: list[Any] = []
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=got.append, sigev_value=value)
    cb = aio.aiocb(fd, bytearray(1), aio_sigevent=event)
    aio.aio_read(cb)
    assert eventually(lambda: got)
    return got[0]


def signalled(fd: int, value: Any) -> Any:
    """What sigwaitinfo gets."""
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO, sigev_value=value)
    cb = aio.aiocb(fd, bytearray(1), aio_sigevent=event)
    aio.aio_read(cb)
    info = aio.sigwaitinfo([SIGNO], 10)
    assert info is not None
    return info.si_value


def test_without_arguments_it_announces_nothing() -> None:
    event = aio.sigevent()
    assert event.sigev_notify is aio.SIGEV_NONE
    assert (event.sigev_signo, event.sigev_value, event.sigev_notify_function) == (0, None, None)
    assert event.sigev_notify_attributes is None


def test_a_request_with_sigev_none_is_announced_to_nobody(file: int) -> None:
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=aio.sigevent())
    aio.aio_read(cb)
    assert done(cb) == 1


def test_the_fields_read_back() -> None:
    event = aio.sigevent(
        aio.SIGEV_THREAD,
        sigev_value="value",
        sigev_notify_function=print,
        sigev_notify_attributes=1 << 20,
    )
    assert event.sigev_notify is aio.SIGEV_THREAD
    assert event.sigev_value == "value"
    assert event.sigev_notify_function is print
    assert event.sigev_notify_attributes == 1 << 20


@pytest.mark.parametrize(
    "name", ["sigev_notify", "sigev_signo", "sigev_value", "sigev_notify_function", "other"]
)
def test_it_never_changes(name: str) -> None:
    """One may serve many requests at once."""
    with pytest.raises(AttributeError, match=name):
        setattr(aio.sigevent(), name, 0)
    with pytest.raises(AttributeError, match=name):
        delattr(aio.sigevent(), name)


def test_all_but_the_kind_go_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        aio.sigevent(aio.SIGEV_SIGNAL, SIGNO)  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [3, 4, 99, -1, "SIGEV_NONE", None])
def test_there_are_three_kinds(wrong: Any) -> None:
    """glibc would announce nothing, in silence."""
    with pytest.raises(ValueError, match="SigevNotify"):
        aio.sigevent(wrong)


@pytest.mark.parametrize("signo", [0, -1, 32, 33, 65, 99, 2**40])
def test_a_signal_that_cannot_be_sent_is_refused(signo: int) -> None:
    """glibc would overwrite the result with an error (G9)."""
    with pytest.raises(ValueError, match="not a signal"):
        aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signo)


def test_a_signal_must_be_given() -> None:
    """G9"""
    with pytest.raises(ValueError, match="not a signal"):
        aio.sigevent(aio.SIGEV_SIGNAL)


@pytest.mark.parametrize("wrong", [10.0, "SIGUSR1", None, [10]])
def test_a_signal_is_an_int(wrong: Any) -> None:
    with pytest.raises(TypeError, match="sigev_signo"):
        aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=wrong)


@pytest.mark.parametrize("signo", [signal.SIGUSR1, signal.SIGIO, signal.SIGRTMIN, signal.SIGRTMAX])
def test_ordinary_and_real_time_signals_will_do(signo: int) -> None:
    assert aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signo).sigev_signo == signo


@pytest.mark.parametrize("wrong", [None, 0, "print", object()])
def test_sigev_thread_needs_something_to_tell(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a callable or a CompletionQueue"):
        aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=wrong)


def test_any_callable_will_do_whatever_its_attributes_are(file: int) -> None:
    mock = unittest.mock.Mock()
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=mock)
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=event)
    aio.aio_read(cb)
    assert eventually(lambda: mock.call_count == 1)
    mock.assert_called_once_with(cb)


def test_a_callable_object_with_an_attribute_named_closed_is_called(file: int) -> None:
    class Callable:
        closed = True
        called = 0

        def __call__(self, value: object) -> None:
            self.called += 1

    function = Callable()
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=function)
    aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
    assert eventually(lambda: function.called == 1)


def test_a_closed_queue_can_be_named_and_not_used(file: int) -> None:
    """Its memory lives as long as it has a name (G11)."""
    queue = aio.CompletionQueue()
    queue.close()
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=queue)
    with pytest.raises(ValueError, match="closed"):
        aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
    assert not flight.in_flight()


# sigev_notify_attributes


@pytest.mark.parametrize("wrong", [0, -1, 1, 16384, 65535, 2**63, 10**30])
def test_a_stack_too_small_for_python_or_too_large_for_c_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="sigev_notify_attributes"):
        aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=print, sigev_notify_attributes=wrong)


@pytest.mark.parametrize("wrong", [1e6, "1M", b"", [65536]])
def test_a_stack_size_is_an_int(wrong: Any) -> None:
    with pytest.raises(TypeError, match="stack size"):
        aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=print, sigev_notify_attributes=wrong)


def test_in_the_smallest_stack_a_callback_releases_what_it_drops(file: int) -> None:
    """Python 3.14 puts that off in a stack that is nearly used up."""

    class Dropped:
        pass

    alive: weakref.WeakSet[Dropped] = weakref.WeakSet()
    called: list[object] = []

    def callback(value: object) -> None:
        for _ in range(100):
            one = [[Dropped()]]
            alive.add(one[0][0])
            del one
        called.append(value)

    event = aio.sigevent(
        aio.SIGEV_THREAD,
        sigev_notify_function=callback,
        sigev_notify_attributes=MINIMUM_STACK,
    )
    aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
    assert eventually(lambda: called and not alive)


def test_the_threads_of_a_queue_need_a_smaller_stack(file: int) -> None:
    with aio.CompletionQueue() as queue:
        event = aio.sigevent(
            aio.SIGEV_THREAD, sigev_notify_function=queue, sigev_notify_attributes=1 << 16
        )
        aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
        assert queue.get(10)


@pytest.mark.parametrize("size", [1 << 17, 1 << 18, 1 << 24])
def test_the_notification_thread_has_the_stack_that_was_asked_for(file: int, size: int) -> None:
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_ulong
    sizes: list[int] = []

    def callback(value: object) -> None:
        attr, found = ctypes.create_string_buffer(64), ctypes.c_size_t()
        libc.pthread_getattr_np(ctypes.c_ulong(libc.pthread_self()), attr)
        libc.pthread_attr_getstacksize(attr, ctypes.byref(found))
        libc.pthread_attr_destroy(attr)
        sizes.append(found.value)

    event = aio.sigevent(
        aio.SIGEV_THREAD, sigev_notify_function=callback, sigev_notify_attributes=size
    )
    aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
    assert eventually(lambda: sizes)
    assert sizes[0] >= size  # glibc may give a larger one that it has kept


def test_the_attributes_live_as_long_as_a_request_uses_them() -> None:
    """glibc reads them at completion (G11)."""
    fresh.output(
        FULL_POOL
        + """
import gc, warnings
warnings.simplefilter("ignore", ResourceWarning)
release = full_pool()
fd, called = memfd(b"x"), []
for i in range(100):
    event = sigevent(SIGEV_THREAD, sigev_value=i,
                     sigev_notify_function=lambda value: called.append(value),
                     sigev_notify_attributes=1 << 17)
    aio_read(aiocb(fd, bytearray(1), aio_sigevent=event))
del event
gc.collect()
junk = [bytearray(b"\\xff" * size) for size in range(16, 400) for _ in range(5)]
release()
assert eventually(lambda: len(called) == 100), len(called)
assert sorted(called) == list(range(100))
"""
    )


# sigev_value


def test_the_value_of_a_request_is_the_request_itself_unless_given(file: int) -> None:
    got: list[Any] = []
    cb = aio.aiocb(
        file,
        bytearray(1),
        aio_sigevent=aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=got.append),
    )
    aio.aio_read(cb)
    assert eventually(lambda: got)
    assert got[0] is cb


VALUES = [0, 1, -1, True, 2**31 - 1, -(2**31), 2**31, 2**64, 1.5, "text", (1, 2), {"a": []}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_any_value_reaches_a_callback(file: int, value: Any) -> None:
    assert told(file, value) is value


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_any_value_reaches_sigwaitinfo(file: int, value: Any) -> None:
    got = signalled(file, value)
    assert got == value
    assert type(got) is type(value)


def test_a_small_int_travels_in_the_signal_for_everybody_to_read(file: int) -> None:
    """signal.sigwaitinfo has no si_value, but si_status lies over its lower half."""
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO, sigev_value=12345)
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=event)
    aio.aio_read(cb)
    info = signal.sigtimedwait([SIGNO], 10)
    assert info is not None
    assert (info.si_code, info.si_status, info.si_pid) == (-4, 12345, os.getpid())
    done(cb)


def test_a_value_lives_until_it_is_handed_out_whoever_drops_it(file: int) -> None:
    """G11"""

    class Value:
        pass

    got: list[Any] = []
    value = Value()
    gone = weakref.ref(value)
    lost = aio.sigevent(
        aio.SIGEV_THREAD,
        sigev_notify_function=got.append,
        sigev_value=value,
        sigev_notify_attributes=1 << 46,
    )
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=lost)
    aio.aio_read(cb)
    done(cb)
    del value, lost, cb
    gc.collect()
    assert gone() is not None
    assert eventually(lambda: got)
    got.clear()
    assert eventually(lambda: gone() is None)


def test_a_callback_lives_until_it_has_run_whoever_drops_it() -> None:
    """G11"""
    fresh.output(
        FULL_POOL
        + """
import gc
release = full_pool()
called, fd = [], memfd(b"x")
def make(i): return lambda cb: called.append(i)
for i in range(100):
    event = sigevent(SIGEV_THREAD, sigev_notify_function=make(i))
    aio_read(aiocb(fd, bytearray(1), aio_sigevent=event))
gc.collect()
release()
assert eventually(lambda: len(called) == 100)
"""
    )


def test_one_sigevent_serves_many_requests_at_once(file: int) -> None:
    got: list[Any] = []
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=got.append)
    cbs = [aio.aiocb(file, bytearray(1), aio_sigevent=event) for _ in range(100)]
    for cb in cbs:
        aio.aio_read(cb)
    assert eventually(lambda: len(got) == 100)
    assert set(map(id, got)) == set(map(id, cbs))


# The thread


def test_a_callback_runs_in_a_thread_that_glibc_made_for_it(file: int) -> None:
    """G14"""
    threads: list[int] = []
    event = aio.sigevent(
        aio.SIGEV_THREAD, sigev_notify_function=lambda cb: threads.append(threading.get_native_id())
    )
    known = {thread.native_id for thread in threading.enumerate()}
    for n in range(1, 4):
        aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
        assert eventually(lambda n=n: len(threads) == n)
    assert not known & set(threads)


def test_a_callback_has_an_empty_signal_mask_as_glibc_makes_it(file: int) -> None:
    """G14, G19"""
    masks: list[set[Any]] = []
    event = aio.sigevent(
        aio.SIGEV_THREAD,
        sigev_notify_function=lambda cb: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    )
    aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
    assert eventually(lambda: masks == [set()])


def test_a_signal_for_a_resubmitted_request_still_means_it(file: int) -> None:
    """Two signals may be on their way for one request."""
    cb = aio.aiocb(
        file, bytearray(1), aio_sigevent=aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO)
    )
    for _ in range(3):
        aio.aio_read(cb)
        done(cb)
    for _ in range(3):
        info = aio.sigwaitinfo([SIGNO], 10)
        assert info is not None
        assert info.si_value is cb


def test_a_refused_submission_does_not_take_the_meaning_from_the_signal_on_its_way() -> None:
    fresh.output(
        FULL_POOL
        + """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
release = full_pool()
event = sigevent(SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN, sigev_value="v")
cb = aiocb(memfd(b"x"), bytearray(1), aio_sigevent=event)
aio_read(cb)
try: aio_read(cb)
except BlockingIOError: pass
release()
assert sigwaitinfo([signal.SIGRTMIN], 10).si_value == "v"
"""
    )


def test_a_signal_whose_request_is_gone_means_nothing_rather_than_a_number(file: int) -> None:
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO, sigev_value="gone")
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=event)
    aio.aio_read(cb)
    done(cb)
    del cb
    gc.collect()
    info = aio.sigwaitinfo([SIGNO], 10)
    assert info is not None
    assert info.si_value is None


def test_a_request_with_a_signal_is_kept_for_it_and_let_go_of_with_it(file: int) -> None:
    """G11"""
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO)
    aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
    info = aio.sigwaitinfo([SIGNO], 10)
    assert info is not None
    assert isinstance(info.si_value, aio.aiocb)
    assert not flight.in_flight()


def test_requests_nobody_holds_whose_signals_nobody_takes_are_not_kept_for_ever(file: int) -> None:
    """A handler, or nobody, gets the signals (G11)."""
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGURG)  # ignored by default
    cbs = []
    for _ in range(5000):
        cb = aio.aiocb(file, bytearray(1), aio_sigevent=event)
        cbs.append(weakref.ref(cb))
        aio.aio_read(cb)
        del cb
    assert eventually(lambda: not _calls.kept())
    assert sum(cb() is not None for cb in cbs) <= UNHEARD


def test_the_queue_of_pending_signals_is_a_documented_limit(tmp_path: Path) -> None:
    """Past RLIMIT_SIGPENDING glibc reports EAGAIN for data that did move (G9)."""
    fresh.output(
        FULL_POOL
        + """
import resource
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)
fd = memfd(b"data")
first = aiocb(fd, bytearray(1)); aio_read(first); aio_suspend([first])
most = resource.getrlimit(resource.RLIMIT_SIGPENDING)[1]
resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, most))
cb = aiocb(fd, bytearray(4), aio_sigevent=sigevent(SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN))
aio_read(cb)
aio_suspend([cb])
assert (aio_error(cb), cb.aio_buf) == (errno.EAGAIN, b"data")
"""
    )
    assert "RLIMIT_SIGPENDING" in str(aio.sigevent.__doc__)


def taken() -> Any:
    """The value of a signal that has been sent."""
    info = aio.sigwaitinfo([SIGNO], 10)
    assert info is not None
    return info.si_value


def reaped() -> None:
    """Waits until the sweeper has noticed the end of all that nobody looks at."""
    assert eventually(lambda: not _calls.kept())


def test_a_signal_for_a_list_that_was_looked_at_first_still_means_the_list(file: int) -> None:
    cbs = [aio.aiocb(file, bytearray(1), aio_lio_opcode=aio.LIO_READ) for _ in range(3)]
    aio.lio_listio(aio.LIO_NOWAIT, cbs, aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO))
    done(*cbs)
    gc.collect()
    assert taken() is cbs


def test_signals_of_two_submissions_with_different_values_keep_their_meanings(file: int) -> None:
    cb = aio.aiocb(file, bytearray(1))
    for value in ("first", "second", "third"):
        cb.aio_sigevent = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO, sigev_value=value)
        aio.aio_read(cb)
        assert aio.aio_suspend([cb], 10)
    assert [taken(), taken(), taken()] == ["first", "second", "third"]


def test_an_early_aio_return_does_not_take_the_meaning_from_the_signal(pipe: Pipe) -> None:
    """It raises BlockingIOError and says nothing about who holds the request later."""
    cb = pipe.blocked(aio_sigevent=aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO))
    with pytest.raises(BlockingIOError):
        aio.aio_return(cb)
    pipe.started.clear()
    me = id(cb)
    del cb
    pipe.feed()
    reaped()
    assert id(taken()) == me


def test_a_signal_taken_late_does_not_count_for_the_submission_after(pipe: Pipe) -> None:
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO)
    cb = aio.aiocb(pipe.read, bytearray(1), aio_sigevent=event)
    aio.aio_read(cb)
    pipe.feed()
    assert aio.aio_suspend([cb], 10)
    aio.aio_read(cb)  # the first signal is still pending
    me = id(cb)
    del cb
    assert id(taken()) == me
    pipe.feed()
    reaped()
    assert id(taken()) == me


@pytest.mark.filterwarnings("ignore:dropped while in flight")
def test_a_dropped_request_and_its_list_are_both_meant_by_their_signals(file: int) -> None:
    own = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO, sigev_value="request")
    whole = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=SIGNO, sigev_value="list")
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=own, aio_lio_opcode=aio.LIO_READ)
    aio.lio_listio(aio.LIO_NOWAIT, [cb], whole)
    del cb
    reaped()
    assert [taken(), taken()] == ["request", "list"]


def test_what_is_kept_for_signals_of_lists_is_bounded_by_their_requests(file: int) -> None:
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGURG)  # ignored by default
    refs: list[Any] = []
    for _ in range(60):
        cbs = [aio.aiocb(file, bytearray(1), aio_lio_opcode=aio.LIO_READ) for _ in range(50)]
        refs += map(weakref.ref, cbs)
        aio.lio_listio(aio.LIO_NOWAIT, cbs, event)
        done(*cbs)
        del cbs
    gc.collect()
    assert sum(ref() is not None for ref in refs) <= UNHEARD


def test_a_sigevent_is_changed_as_a_whole_by_a_second_init(file: int) -> None:
    """Nobody may see the plan of one and the function of the other."""

    class Stop(Exception): ...

    got: list[Any] = []
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=got.append)

    class Index(int):
        def __index__(self) -> int:
            raise Stop

        def __ge__(self, other: object) -> bool:
            raise Stop

        def __le__(self, other: object) -> bool:
            raise Stop

    with aio.CompletionQueue() as queue:
        with pytest.raises(Stop):
            event.__init__(  # type: ignore[misc]
                aio.SIGEV_THREAD, sigev_notify_function=queue, sigev_notify_attributes=Index(1)
            )
        cb = aio.aiocb(file, bytearray(1), aio_sigevent=event)
        aio.aio_read(cb)
        assert eventually(lambda: got == [cb])
        event_again = eventually(lambda: not event._in_use())
        assert event_again
        event.__init__(aio.SIGEV_THREAD, sigev_notify_function=queue)  # type: ignore[misc]
        aio.aio_read(cb)
        assert queue.get(10) == [cb]
    assert done(cb) == 1
