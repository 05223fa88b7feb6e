"""struct aiocb: its fields, when they can be set, what they refuse, and how long it lives."""

from __future__ import annotations

import copy
import ctypes
import errno
import gc
import mmap
import os
import pickle
import signal
import warnings
import weakref
from pathlib import Path
from typing import Any

import fresh
import pytest
from conftest import FULL_POOL, Pipe, done
from deadline import eventually

import aio_posix as aio
from aio_posix import _calls, flight


def test_the_fields_are_those_of_c_in_a_useful_order() -> None:
    buffer, event = bytearray(10), aio.sigevent()
    cb = aio.aiocb(3, buffer, 4, 5, aio_reqprio=6, aio_sigevent=event, aio_lio_opcode=aio.LIO_WRITE)
    assert (cb.aio_fildes, cb.aio_offset, cb.aio_nbytes, cb.aio_reqprio) == (3, 4, 5, 6)
    assert cb.aio_buf is buffer
    assert cb.aio_sigevent is event
    assert cb.aio_lio_opcode is aio.LIO_WRITE


def test_only_the_descriptor_is_required() -> None:
    cb = aio.aiocb(3)
    assert (cb.aio_buf, cb.aio_offset, cb.aio_nbytes, cb.aio_reqprio, cb.aio_sigevent) == (
        None,
        0,
        0,
        0,
        None,
    )
    assert cb.aio_lio_opcode is aio.LIO_NOP


def test_aio_nbytes_is_the_whole_buffer_unless_given() -> None:
    assert aio.aiocb(3, bytearray(10)).aio_nbytes == 10
    assert aio.aiocb(3, memoryview(bytearray(16)).cast("i")).aio_nbytes == 16
    assert aio.aiocb(3, bytearray(10), 0, 0).aio_nbytes == 0


def test_a_field_can_be_set_while_the_request_is_not_in_flight(file: int) -> None:
    cb = aio.aiocb(999)
    buffer = bytearray(4)
    cb.aio_fildes, cb.aio_buf, cb.aio_offset, cb.aio_nbytes, cb.aio_reqprio = file, buffer, 2, 3, 1
    aio.aio_read(cb)
    assert (done(cb), buffer) == (3, b"234\0")


def test_setting_aio_nbytes_to_none_means_the_whole_buffer_again() -> None:
    cb = aio.aiocb(3, bytearray(10), 0, 5)
    cb.aio_nbytes = None  # type: ignore[assignment]
    assert cb.aio_nbytes == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aio_fildes", 0),
        ("aio_buf", bytearray(1)),
        ("aio_offset", 1),
        ("aio_nbytes", 1),
        ("aio_reqprio", 1),
        ("aio_sigevent", None),
        ("aio_lio_opcode", aio.LIO_READ),
    ],
)
def test_no_field_can_be_set_in_flight(pipe: Pipe, name: str, value: Any) -> None:
    """glibc finds a request by its descriptor (G18, G11)."""
    cb = pipe.blocked()
    before = getattr(cb, name)
    with pytest.raises(BlockingIOError, match=name) as raised:
        setattr(cb, name, value)
    assert raised.value.errno == errno.EINPROGRESS
    assert getattr(cb, name) is before or getattr(cb, name) == before


def test_fields_can_be_set_in_the_callback_and_the_request_submitted_again(file: int) -> None:
    seen = bytearray()

    def callback(cb: aio.aiocb) -> None:
        seen.extend(cb.aio_buf[: aio.aio_return(cb)])
        cb.aio_offset += 1
        if cb.aio_offset < 10:
            aio.aio_read(cb)

    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=callback)
    aio.aio_read(aio.aiocb(file, bytearray(1), aio_sigevent=event))
    assert eventually(lambda: seen == b"0123456789")


@pytest.mark.parametrize(
    "name", ["aio_fildes", "aio_buf", "aio_offset", "aio_nbytes", "aio_sigevent", "_request"]
)
def test_no_field_can_be_deleted(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        delattr(aio.aiocb(3, bytearray(1)), name)


@pytest.mark.parametrize("name", ["aio_filedes", "aio_bytes", "in_progress", "_request"])
def test_what_is_no_field_cannot_be_set(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        setattr(aio.aiocb(3), name, 1)


def test_a_subclass_may_have_attributes_of_its_own(pipe: Pipe) -> None:
    class Client(aio.aiocb):
        name = "nobody"

    client = Client(pipe.read, bytearray(1))
    client.name = "somebody"
    aio.aio_read(client)
    client.name = "somebody in flight"
    pipe.feed()
    assert done(client) == 1


# What a field refuses


@pytest.mark.parametrize("wrong", [None, "0", b"0", 1.0, [], object()])
def test_a_descriptor_is_an_int_or_has_fileno(wrong: Any) -> None:
    with pytest.raises(TypeError, match="fileno"):
        aio.aiocb(wrong)


@pytest.mark.parametrize("wrong", [2**31, -(2**31) - 1, 10**30])
def test_a_descriptor_fits_an_int_of_c(wrong: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        aio.aiocb(wrong)


def test_what_fileno_returns_is_checked_like_any_descriptor(file: int) -> None:
    class Odd:
        def __init__(self, value: Any) -> None:
            self.value = value

        def fileno(self) -> Any:
            return self.value

    for wrong, error in (("3", TypeError), (None, TypeError), (2**40, ValueError)):
        with pytest.raises(error):
            aio.aio_read(aio.aiocb(Odd(wrong), bytearray(1)))
    cb = aio.aiocb(Odd(file), bytearray(1))
    aio.aio_read(cb)
    assert done(cb) == 1
    assert not flight.in_flight()


@pytest.mark.parametrize("name", ["aio_offset", "aio_nbytes", "aio_reqprio"])
@pytest.mark.parametrize("wrong", [1.0, "1", b"1", [], 1j, object()])
def test_a_number_is_an_int(name: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=name):
        aio.aiocb(3, bytearray(10), **{name: wrong})
    with pytest.raises(TypeError, match=name):
        setattr(aio.aiocb(3), name, wrong)


class Index:
    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize("name", ["aio_offset", "aio_nbytes", "aio_reqprio"])
def test_whatever_is_used_as_an_index_is_an_int(name: str) -> None:
    cb = aio.aiocb(3, bytearray(10), **{name: Index()})
    assert type(getattr(cb, name)) is int
    assert getattr(cb, name) == 7


@pytest.mark.parametrize("offset", [-(2**63), -1, 0, 2**31, 2**32, 2**63 - 1])
def test_an_offset_has_64_bits(offset: int) -> None:
    assert aio.aiocb(3, aio_offset=offset).aio_offset == offset


@pytest.mark.parametrize("offset", [2**63, -(2**63) - 1, 10**30])
def test_an_offset_has_no_more_than_64_bits(offset: int) -> None:
    with pytest.raises(ValueError, match="64-bit"):
        aio.aiocb(3, aio_offset=offset)


def test_a_count_of_bytes_is_not_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        aio.aiocb(3, bytearray(1), 0, -1)


@pytest.mark.parametrize("prio", [0, 1, 20])
def test_a_priority_is_0_to_20(prio: int) -> None:
    assert aio.aiocb(3, aio_reqprio=prio).aio_reqprio == prio


@pytest.mark.parametrize("prio", [-1, 21, 2**31, -(2**40)])
def test_another_priority_is_refused(prio: int) -> None:
    """glibc refuses it at submission (G9)."""
    with pytest.raises(ValueError, match="AIO_PRIO_DELTA_MAX"):
        aio.aiocb(3, aio_reqprio=prio)


@pytest.mark.parametrize("wrong", [0, "sigevent", print, aio.SIGEV_NONE])
def test_an_announcement_is_a_sigevent(wrong: Any) -> None:
    with pytest.raises(TypeError, match="sigevent"):
        aio.aiocb(3, aio_sigevent=wrong)


@pytest.mark.parametrize("wrong", [3, 4, 128, -1, "LIO_READ", None])
def test_an_opcode_is_one_of_three(wrong: Any) -> None:
    """glibc masks with 127, and takes 3 and 4 for syncs."""
    with pytest.raises(ValueError, match="LioOpcode"):
        aio.aiocb(3, aio_lio_opcode=wrong)


@pytest.mark.parametrize("wrong", ["text", 3, 1.5, [1, 2], object()])
def test_a_buffer_has_the_buffer_protocol(wrong: Any) -> None:
    with pytest.raises(TypeError):
        aio.aiocb(3, wrong)


@pytest.mark.parametrize(
    "wrong",
    [memoryview(bytearray(10))[::2], memoryview(bytearray(10))[::-1]],
    ids=["every second", "backwards"],
)
def test_a_buffer_is_contiguous(wrong: Any) -> None:
    with pytest.raises(ValueError, match="contiguous"):
        aio.aiocb(3, wrong)


def test_a_buffer_of_references_to_objects_is_refused() -> None:
    """What a file puts there would be taken for objects."""
    with pytest.raises(TypeError, match="references"):
        aio.aiocb(3, (ctypes.py_object * 4)())


def test_a_structure_with_a_field_called_o_is_no_reference() -> None:
    class Record(ctypes.Structure):
        _fields_ = [("O", ctypes.c_int), ("Other", ctypes.c_char * 4)]

    assert aio.aiocb(3, Record()).aio_nbytes == 8


def test_a_refused_value_leaves_the_field_as_it_was() -> None:
    cb = aio.aiocb(3, bytearray(4), 5)
    for name, wrong in (
        ("aio_offset", "x"),
        ("aio_buf", "x"),
        ("aio_fildes", None),
        ("aio_nbytes", -1),
    ):
        with pytest.raises((TypeError, ValueError)):
            setattr(cb, name, wrong)
    assert (cb.aio_offset, cb.aio_nbytes, cb.aio_fildes) == (5, 4, 3)


# What can be seen of it


def test_in_progress_tells_whether_glibc_is_at_it(pipe: Pipe) -> None:
    cb = aio.aiocb(pipe.read, bytearray(1))
    assert cb.in_progress is False
    aio.aio_read(cb)
    assert cb.in_progress is True
    pipe.feed()
    aio.aio_suspend([cb])
    assert cb.in_progress is False


def test_repr_tells_descriptor_size_offset_and_state(file: int) -> None:
    cb = aio.aiocb(file, bytearray(4), 2)
    assert repr(cb) == f"<aiocb fd={file} nbytes=4 offset=2 never submitted>"
    aio.aio_read(cb)
    aio.aio_suspend([cb])
    assert repr(cb).endswith("complete>")
    done(cb)
    assert repr(cb).endswith("returned>")


def test_repr_in_flight(pipe: Pipe) -> None:
    assert repr(pipe.blocked()).endswith("in flight>")


def test_repr_never_raises() -> None:
    memory = mmap.mmap(-1, 10)
    cb = aio.aiocb(3, memory)
    memory.close()
    assert "nbytes=?" in repr(cb)


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_request_cannot_be_copied(copier: Any) -> None:
    with pytest.raises(TypeError, match="neither copied nor pickled"):
        copier(aio.aiocb(3))


def test_two_requests_are_never_equal() -> None:
    assert aio.aiocb(3) != aio.aiocb(3)
    assert len({aio.aiocb(3), aio.aiocb(3)}) == 2


# How long what lives (G11)


def test_a_request_nobody_holds_and_that_is_not_in_flight_goes_at_once(file: int) -> None:
    cb = aio.aiocb(file, bytearray(1))
    aio.aio_read(cb)
    done(cb)
    gone = weakref.ref(cb)
    gc.disable()
    del cb
    gc.enable()
    assert gone() is None


@pytest.mark.parametrize("kind", [aio.SIGEV_NONE, aio.SIGEV_SIGNAL, aio.SIGEV_THREAD])
def test_no_notification_makes_a_cycle_that_only_the_collector_can_break(
    file: int, kind: int
) -> None:
    called: list[str] = []
    function = (lambda cb: called.append("called")) if kind == aio.SIGEV_THREAD else None
    event = aio.sigevent(kind, sigev_signo=17, sigev_notify_function=function)
    cb = aio.aiocb(file, bytearray(1), aio_sigevent=event)
    aio.aio_read(cb)
    done(cb)
    assert kind != aio.SIGEV_THREAD or eventually(lambda: called and not flight.owed())
    gone = weakref.ref(cb)
    gc.disable()
    del cb
    try:
        assert eventually(lambda: gone() is None, 1)
    finally:
        gc.enable()


def test_a_request_dropped_in_flight_warns_and_is_gone_once_it_is_done(pipe: Pipe) -> None:
    """G11"""
    cb = aio.aiocb(pipe.read, bytearray(8))
    aio.aio_read(cb)
    with pytest.warns(ResourceWarning, match="dropped while in flight"):
        del cb
    assert len(flight.in_flight()) == 1
    pipe.feed()
    assert eventually(lambda: not flight.in_flight())


def test_the_buffer_of_a_dropped_request_stays_pinned_until_it_is_done(pipe: Pipe) -> None:
    """The pool goes on writing into it (G11)."""
    buffer = bytearray(8)
    cb = aio.aiocb(pipe.read, buffer)
    aio.aio_read(cb)
    with pytest.warns(ResourceWarning):
        del cb
    with pytest.raises(BufferError):
        buffer.clear()
    pipe.feed(b"abc")
    assert eventually(lambda: not _calls.kept())
    assert buffer[:3] == b"abc"
    buffer.clear()


def test_a_mapping_in_flight_cannot_be_closed(pipe: Pipe) -> None:
    """It would be unmapped under the read (G11)."""
    memory = mmap.mmap(-1, 4096)
    cb = aio.aiocb(pipe.read, memory)
    aio.aio_read(cb)
    with pytest.raises(BufferError):
        memory.close()
    pipe.feed(b"abc")
    assert done(cb) == 3
    assert memory[:3] == b"abc"
    memory.close()


def test_a_view_in_flight_cannot_be_released(pipe: Pipe) -> None:
    """G11"""
    view = memoryview(bytearray(8))
    cb = aio.aiocb(pipe.read, view)
    aio.aio_read(cb)
    with pytest.raises(BufferError):
        view.release()
    pipe.feed()
    done(cb)
    view.release()


def test_a_file_object_lives_as_long_as_its_request() -> None:
    """G11: else the collector closes it, and what opens next gets its number and the queued
    write.
    """
    fresh.output(
        FULL_POOL
        + """
release = full_pool()
with tempfile.TemporaryDirectory() as directory:
    right, wrong = os.path.join(directory, "right"), os.path.join(directory, "wrong")
    cb = aiocb(open(right, "wb", buffering=0), b"data")
    aio_write(cb)
    other = open(wrong, "wb")
    release()
    aio_suspend([cb])
    assert (open(right, "rb").read(), open(wrong, "rb").read()) == (b"data", b"")
    other.close()
""",
    )


def test_the_file_object_of_a_dropped_request_lives_too(tmp_path: Path) -> None:
    """G11"""
    read, write = os.pipe()
    reader = os.fdopen(read, "rb", buffering=0)
    gone = weakref.ref(reader)
    cb = aio.aiocb(reader, bytearray(1))
    aio.aio_read(cb)
    with pytest.warns(ResourceWarning, match="dropped"):
        del cb
    del reader
    assert gone() is not None
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # now the file is not closed by anybody either
        os.write(write, b"x")
        assert eventually(lambda: gone() is None)
    os.close(write)


def test_setting_another_file_once_complete_lets_the_first_go(tmp_path: Path, file: int) -> None:
    with (tmp_path / "first").open("wb") as first:
        cb = aio.aiocb(first, b"x")
        aio.aio_write(cb)
        done(cb)
        cb.aio_fildes = file
        gone = weakref.ref(first)
    del first
    assert gone() is None


def test_a_thousand_dropped_requests_leave_nothing_behind(pipe: Pipe) -> None:
    """G11"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(1000):
            aio.aio_read(aio.aiocb(pipe.read, bytearray(1)))
    assert len(flight.in_flight()) == 1000
    pipe.feed(bytes(1000))
    assert eventually(lambda: not flight.in_flight())


def test_freed_requests_do_not_confuse_the_queues_of_glibc(pipes: list[Pipe]) -> None:
    """G11: glibc walks the requests of all descriptors, and looks into each, at every
    submission.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(50):
            for pipe in pipes:
                aio.aio_read(aio.aiocb(pipe.read, bytearray(1)))
            gc.collect()
            junk = [bytearray(b"\xff" * 208) for _ in range(100)]
    for pipe in pipes:
        pipe.feed(bytes(50))
    assert eventually(lambda: not flight.in_flight())
    del junk


def test_a_request_in_flight_cannot_be_made_anew(pipe: Pipe) -> None:
    cb = pipe.blocked()
    with pytest.raises(BlockingIOError):
        cb.__init__(pipe.read, bytearray(2))  # type: ignore[misc]
    pipe.feed()
    assert done(cb) == 1


@pytest.mark.parametrize("kind", ["nothing", "callback", "queue", "signal"])
def test_exactly_what_is_in_flight_is_kept(pipe: Pipe, kind: str) -> None:
    """Each request in C's ring has what it needs, and nothing else has; also after a refusal."""
    with aio.CompletionQueue() as queue:
        event = {
            "nothing": None,
            "callback": aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=id),
            "queue": queue.sigevent(),
            "signal": aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGURG),
        }[kind]
        before = _calls.kept()
        assert before == len(flight.in_flight())
        alone = [aio.aiocb(pipe.read, bytearray(1), aio_sigevent=event) for _ in range(3)]
        for cb in alone:
            aio.aio_read(cb)
        listed = [aio.aiocb(pipe.read, bytearray(1), aio_lio_opcode=aio.LIO_READ) for _ in range(4)]
        aio.lio_listio(aio.LIO_NOWAIT, listed, event)
        with pytest.raises(BlockingIOError):
            aio.aio_read(alone[0])
        with pytest.raises(BlockingIOError):
            aio.lio_listio(aio.LIO_WAIT, listed)
        assert _calls.kept() == len(flight.in_flight()) == before + 7
        pipe.feed(bytes(7))
        for cb in alone + listed:
            while cb.in_progress:
                aio.aio_suspend([cb], 10)
        assert eventually(lambda: _calls.kept() == len(flight.in_flight()) == before)
