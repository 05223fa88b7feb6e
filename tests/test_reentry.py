"""Code of the program that runs in the middle of a call: fileno(), __buffer__ (Python 3.12),
properties of subclasses, finalizers. It may raise, change other fields, submit, or come again.

What a field gave when it was asked counts. An exception gets through as it is, nothing is submitted
then, and nothing stays behind: the fixture nothing_left_in_flight looks after each test.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import fresh
import pytest
from conftest import Pipe, done
from deadline import eventually

import aio_posix as aio
from aio_posix import _calls

NEW = sys.version_info >= (3, 12)
MOST = 40  # calls into the program's code that one submission makes, at the most


def submit_read(cb: aio.aiocb) -> None:
    aio.aio_read(cb)


def submit_write(cb: aio.aiocb) -> None:
    aio.aio_write(cb)


def submit_fsync(cb: aio.aiocb) -> None:
    aio.aio_fsync(os.O_SYNC, cb)


def submit_wait(cb: aio.aiocb) -> None:
    aio.lio_listio(aio.LIO_WAIT, [cb])


def submit_nowait(cb: aio.aiocb) -> None:
    aio.lio_listio(aio.LIO_NOWAIT, [cb])


def submit_announced(cb: aio.aiocb) -> None:
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=id)
    aio.lio_listio(aio.LIO_NOWAIT, [cb], event)


def submit_signalled(cb: aio.aiocb) -> None:
    event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGURG)
    aio.lio_listio(aio.LIO_NOWAIT, [cb], event)


SUBMIT = [
    submit_read,
    submit_write,
    submit_fsync,
    submit_wait,
    submit_nowait,
    submit_announced,
    submit_signalled,
]
EVENTS: dict[str, Callable[[], aio.sigevent | None]] = {
    "none": lambda: None,
    "thread": lambda: aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=id),
    "int": lambda: aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGURG, sigev_value=7),
    "object": lambda: aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGURG, sigev_value="v"),
    "itself": lambda: aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGURG),
}


class Mine(Exception): ...


class Calls:
    """Counts the calls into the program's code, and raises at one of them."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.n, self.at, self.error = 0, at, error

    def __call__(self) -> None:
        self.n += 1
        if self.n == self.at:
            raise self.error


def over(cb: aio.aiocb) -> None:
    """Until nothing of it is in flight and its result has been returned."""
    while cb.in_progress:
        aio.aio_suspend([cb], 1)
    try:
        aio.aio_return(cb)
    except OSError as error:
        assert error.errno == errno.EINVAL  # there was none  # noqa: PT017


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("submit", SUBMIT)
def test_an_interrupt_in_fileno_gets_through(
    file: int, submit: Callable[[aio.aiocb], None], event: str
) -> None:
    class File:
        def fileno(self) -> int:
            calls()
            return file

    for at in range(1, MOST):
        calls = Calls(at, KeyboardInterrupt)
        cb = aio.aiocb(
            File(), bytearray(1), aio_lio_opcode=aio.LIO_READ, aio_sigevent=EVENTS[event]()
        )
        try:
            submit(cb)
            over(cb)
            eventually(lambda: not _calls.kept())  # where the sweeper asks, it interrupts this
        except KeyboardInterrupt:
            over(cb)
            continue
        assert calls.n < at
        break
    assert at in (2, 3)  # one call at submission, one when it is over


@pytest.mark.parametrize("submit", SUBMIT)
def test_the_error_of_fileno_gets_through_and_nothing_is_submitted(
    file: int, submit: Callable[[aio.aiocb], None]
) -> None:
    class File:
        def fileno(self) -> int:
            aio.aio_read(other)
            raise Mine

    other = aio.aiocb(file, bytearray(1))
    cb = aio.aiocb(File(), bytearray(1), aio_lio_opcode=aio.LIO_READ)
    with pytest.raises(Mine):
        submit(cb)
    assert not cb.in_progress
    assert done(other) == 1


@pytest.mark.skipif(not NEW, reason="__buffer__ is of Python 3.12")
@pytest.mark.parametrize("error", [KeyboardInterrupt, Mine])
@pytest.mark.parametrize("submit", [submit_read, submit_write, submit_wait, submit_announced])
def test_whatever_a_buffer_raises_gets_through(
    file: int, submit: Callable[[aio.aiocb], None], error: type[BaseException]
) -> None:
    class Buffer:
        def __buffer__(self, flags: int) -> memoryview:
            calls()
            return memoryview(bytearray(8))

    for at in range(1, MOST):
        calls = Calls(at, error)
        try:
            cb = aio.aiocb(file, Buffer(), aio_lio_opcode=aio.LIO_READ)
            submit(cb)
            over(cb)
        except error:
            continue
        assert calls.n < at
        break
    else:
        pytest.fail("it never gets through")


@pytest.mark.skipif(not NEW, reason="__buffer__ is of Python 3.12")
def test_a_buffer_may_submit_and_change_its_own_request(pipe: Pipe) -> None:
    class Buffer:
        def __buffer__(self, flags: int) -> memoryview:
            if cb is not None and not inside:
                inside.append(True)
                cb.aio_buf = target
                aio.aio_read(cb)
            return memoryview(bytearray(8))

    cb: Any = None
    inside: list[bool] = []
    target = bytearray(3)
    cb = aio.aiocb(pipe.read, Buffer())
    with pytest.raises(BlockingIOError):
        aio.aio_read(cb)
    pipe.feed(b"012")
    assert done(cb) == 3
    assert target == b"012"


@pytest.mark.skipif(not NEW, reason="__release_buffer__ is of Python 3.12")
def test_a_buffer_is_released_once_and_without_a_lock(file: int) -> None:
    released: list[int] = []

    class Buffer:
        def __buffer__(self, flags: int) -> memoryview:
            return memoryview(data)

        def __release_buffer__(self, view: memoryview) -> None:
            other = aio.aiocb(file, bytearray(1))
            aio.aio_read(other)
            released.append(done(other))
            view.release()

    data = bytearray(4)
    cb = aio.aiocb(file, Buffer())
    before = len(released)
    aio.aio_read(cb)
    assert done(cb) == 4
    assert len(released) == before + 1
    data.clear()


FIELDS = ["aio_fildes", "aio_buf", "aio_offset", "aio_nbytes", "aio_reqprio", "aio_sigevent"]


def computed(name: str, value: Any) -> Any:
    """A subclass of which a property computes this field."""

    def setter(self: Any, value: object) -> None: ...

    return type("Computed", (aio.aiocb,), {name: property(lambda self: value(), setter)})


@pytest.mark.parametrize("error", [KeyboardInterrupt, LookupError, MemoryError])
@pytest.mark.parametrize("name", [*FIELDS, "aio_lio_opcode"])
@pytest.mark.parametrize("submit", [submit_read, submit_write, submit_wait, submit_announced])
def test_the_error_of_a_property_gets_through(
    file: int, submit: Callable[[aio.aiocb], None], name: str, error: type[BaseException]
) -> None:
    if name == "aio_lio_opcode" and submit in (submit_read, submit_write):
        pytest.skip("they do not look at it")

    def value() -> None:
        raise error

    cb = computed(name, value)(file, bytearray(1), aio_lio_opcode=aio.LIO_READ)
    with pytest.raises(error):
        submit(cb)


@pytest.mark.parametrize("submit", [submit_read, submit_wait])
def test_a_subclass_may_compute_every_field(file: int, submit: Callable[[aio.aiocb], None]) -> None:
    buffer = bytearray(b".....")
    got: list[Any] = []
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=got.append)
    values = {
        "aio_fildes": file,
        "aio_buf": buffer,
        "aio_offset": 2,
        "aio_nbytes": 3,
        "aio_reqprio": 1,
        "aio_sigevent": event,
        "aio_lio_opcode": aio.LIO_READ,
    }

    def setter(self: Any, value: object) -> None: ...

    def fixed(value: object) -> property:
        return property(lambda self: value, setter)

    Computed = type("Computed", (aio.aiocb,), {name: fixed(values[name]) for name in values})
    cb: Any = Computed(0)
    submit(cb)
    assert done(cb) == 3
    assert buffer == b"234.."
    assert eventually(lambda: got == [cb])


@pytest.mark.parametrize("wrong", [2**32 + 3, -(2**32), 2**40, 2**64 + 3, -(2**64) + 3])
@pytest.mark.parametrize("name", ["aio_fildes", "aio_reqprio", "aio_lio_opcode", "aio_offset"])
def test_no_computed_number_is_cut(file: int, name: str, wrong: int) -> None:
    """Not even one whose low bits would do."""
    if name == "aio_offset" and -(2**63) <= wrong < 2**63:
        wrong = wrong % 2**32 + 2**64
    cb = computed(name, lambda: wrong)(file, bytearray(1), aio_lio_opcode=aio.LIO_READ)
    with pytest.raises((ValueError, OverflowError)):
        aio.lio_listio(aio.LIO_WAIT, [cb])


@pytest.mark.parametrize("wrong", [2**32, 2**32 + 1, 2**63, 2**64, -(2**32) + 1])
def test_no_descriptor_is_cut(file: int, wrong: int) -> None:
    number = wrong + file

    class File:
        def fileno(self) -> int:
            return number

    for fd in (number, File()):
        for use in (
            lambda fd=fd: aio.aio_read(aio.aiocb(fd, bytearray(1))),
            lambda fd=fd: aio.aio_write(aio.aiocb(fd, b"x")),
            lambda fd=fd: aio.aio_fsync(os.O_SYNC, aio.aiocb(fd)),
            lambda fd=fd: aio.lio_listio(
                aio.LIO_WAIT, [aio.aiocb(fd, b"x", aio_lio_opcode=aio.LIO_WRITE)]
            ),
            lambda fd=fd: aio.aio_cancel(fd),
        ):
            with pytest.raises((ValueError, OverflowError)):
                use()
    assert os.pread(file, 20, 0) == b"0123456789"


@pytest.mark.parametrize(
    "call",
    [
        lambda n: _calls.cancel(n, None),
        lambda n: _calls.start(aio.aiocb(0, bytearray(1)), n),
        lambda n: _calls.close_local(n),
        lambda n: _calls.close_now(n),
        lambda n: _calls.lock_held(n),
        lambda n: _calls.same_file(n, n),
        lambda n: _calls.may_now(n, 1),
        lambda n: _calls.read_now(n, 1, 0),
        lambda n: _calls.fill_now(n, b"x", 0, 1, 0),
    ],
)
def test_c_cuts_no_number(file: int, call: Callable[[int], object]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        call(2**32 + file)


@pytest.mark.parametrize("mode", [aio.LIO_WAIT, aio.LIO_NOWAIT])
def test_an_entry_that_becomes_a_nop_meanwhile_is_skipped(file: int, mode: int) -> None:
    class File:
        def fileno(self) -> int:
            for cb in cbs[1:]:
                cb.aio_lio_opcode = aio.LIO_NOP
            return file

    got: list[Any] = []
    cbs = [aio.aiocb(fd, bytearray(1), aio_lio_opcode=aio.LIO_READ) for fd in (File(), file, file)]
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=got.append)
    aio.lio_listio(mode, cbs, event)
    assert mode == aio.LIO_WAIT or eventually(lambda: got == [cbs])
    assert done(cbs[0]) == 1
    for cb in cbs[1:]:
        assert not cb.in_progress
        with pytest.raises(OSError, match="LIO_NOP"):
            aio.aio_return(cb)


def test_a_file_that_submits_its_own_request_gets_there_first(pipe: Pipe) -> None:
    class File:
        inside = False

        def fileno(self) -> int:
            if not File.inside:
                File.inside = True
                aio.aio_read(cb)
            return pipe.read

    cb = aio.aiocb(File(), bytearray(1))
    with pytest.raises(BlockingIOError):
        aio.aio_read(cb)
    pipe.feed()
    assert done(cb) == 1


def test_an_index_that_submits_the_request_does_not_change_it_in_flight(pipe: Pipe) -> None:
    class Number:
        def __index__(self) -> int:
            aio.aio_read(cb)
            pipe.started.append(cb)
            return 5

    cb = aio.aiocb(pipe.read, bytearray(1))
    with pytest.raises(BlockingIOError):
        cb.aio_offset = Number()  # type: ignore[assignment]
    assert cb.aio_offset == 0


def test_an_init_that_is_refused_leaves_the_result(file: int) -> None:
    cb = aio.aiocb(file, bytearray(4), 2)
    aio.aio_read(cb)
    assert aio.aio_suspend([cb], 10)
    for wrong in (("path",), (file, 4096), (file, bytearray(1), "0"), (file, None, 0, -1)):
        with pytest.raises((TypeError, ValueError)):
            cb.__init__(*wrong)  # type: ignore[misc]
    assert aio.aio_return(cb) == 4
    assert bytes(cb.aio_buf) == b"2345"


@pytest.mark.parametrize("kind", ["thread", "queue", "int", "object", "list"])
def test_finalizers_that_submit_in_the_middle_of_a_submission_lose_no_notification(
    kind: str,
) -> None:
    """A collection may begin wherever Python allocates."""
    fresh.output(f"""
        import gc, os, signal, time
        from aio_posix import *
        signo = signal.SIGRTMIN + 3
        signal.pthread_sigmask(signal.SIG_BLOCK, [signo])
        fd = os.memfd_create("file"); os.write(fd, b"x")
        queue = CompletionQueue()
        got, sent, cbs = [], [], []
        def event(n):
            sent.append(n)
            if {kind!r} == "queue": return queue.sigevent(n)
            if {kind!r} in ("int", "object"):
                return sigevent(SIGEV_SIGNAL, sigev_signo=signo,
                                sigev_value=n if {kind!r} == "int" else str(n))
            return sigevent(SIGEV_THREAD, sigev_notify_function=got.append, sigev_value=n)
        def submit():
            n = len(sent)
            if {kind!r} == "list":
                cbs.append([aiocb(fd, bytearray(1), aio_lio_opcode=LIO_READ) for _ in range(3)])
                lio_listio(LIO_NOWAIT, cbs[-1], event(n))
            else:
                cbs.append(aiocb(fd, bytearray(1), aio_sigevent=event(n)))
                aio_read(cbs[-1])
        class Garbage:
            def __init__(self): self.me = self
            def __del__(self): submit()
        gc.collect(); gc.disable()
        hold = []
        for i in range(60):
            Garbage()
            gc.set_threshold(1 + i % 7, 1000, 1000)
            gc.enable()
            submit()
            hold.append(tuple([i, i, i]))
            gc.disable()
        gc.collect()  # without a GIL collections are rarer than the threshold says
        end = time.monotonic() + 20
        while len(got) < len(sent) and time.monotonic() < end:
            if {kind!r} == "queue": got += queue.get(0.1)
            elif {kind!r} in ("int", "object"):
                info = sigwaitinfo([signo], 1)
                got += [info.si_value] if info else []
            else: time.sleep(0.01)
        assert sorted(map(int, got)) == sorted(sent), (len(got), len(sent))
        """)


def test_a_second_init_is_refused_while_a_thread_waits(pipe: Pipe) -> None:
    cb = pipe.blocked()
    waiting = threading.Thread(target=aio.aio_suspend, args=([cb],))
    waiting.start()
    eventually(lambda: False, 0.05)
    with pytest.raises(BlockingIOError) as refused:
        cb.__init__(pipe.read, bytearray(1))  # type: ignore[misc]
    assert refused.value.errno == errno.EINPROGRESS
    pipe.feed(b"12")
    waiting.join()
    assert done(cb) == 2


@pytest.mark.parametrize("kind", ["thread", "queue", "int", "object"])
@pytest.mark.parametrize("listed", [False, True])
def test_a_sigevent_in_flight_cannot_be_made_anew(pipe: Pipe, kind: str, listed: bool) -> None:
    with aio.CompletionQueue() as queue:
        made = {
            "thread": lambda: aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=id),
            "queue": queue.sigevent,
            "int": EVENTS["int"],
            "object": EVENTS["object"],
        }
        event = made[kind]()
        assert event is not None
        cb = aio.aiocb(pipe.read, bytearray(1), aio_lio_opcode=aio.LIO_READ)
        if listed:
            aio.lio_listio(aio.LIO_NOWAIT, [cb], event)
        else:
            cb.aio_sigevent = event
            aio.aio_read(cb)
        pipe.started.append(cb)
        with pytest.raises(BlockingIOError) as refused:
            event.__init__(aio.SIGEV_NONE)  # type: ignore[misc]
        assert refused.value.errno == errno.EINPROGRESS
        pipe.feed()
        assert done(cb) == 1
        assert kind != "queue" or queue.get(10)  # the value of what was not taken is in use, too
        assert eventually(lambda: not event._in_use())
        event.__init__(aio.SIGEV_NONE)  # type: ignore[misc]


def test_a_submission_in_the_middle_of_a_collection_of_its_own_request(file: int) -> None:
    """The finalizer of a subclass may submit the request that is dying."""
    ends: list[int] = []

    class Last(aio.aiocb):
        def __del__(self, *unused: object) -> None:
            aio.aio_read(self)
            ends.append(done(self))

    cb: Any = Last(file, bytearray(1))
    cb.me = cb
    del cb
    gc.collect()
    assert ends == [1]
