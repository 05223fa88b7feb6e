"""aio_posix.study.trace.Recorder: what it sees while it is on, and that nothing of it is left when
it is off.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadline import eventually

import aio_posix
from aio_posix import (
    LIO_NOWAIT,
    LIO_READ,
    SIGEV_THREAD,
    CompletionQueue,
    _calls,
    aio_error,
    aio_read,
    aio_return,
    aio_suspend,
    aiocb,
    lio_listio,
    sigevent,
)
from aio_posix.study.trace import Event, Recorder, svg, timeline
from aio_posix.study.trace.event import LONGEST, OF, Slots, What, read, whole
from aio_posix.study.trace.recorder import file_of
from aio_posix.study.trace.timeline import Kind


@pytest.fixture
def file() -> Iterator[int]:
    fd = os.open(__file__, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_the_binding_itself_does_not_know_of_the_recorder() -> None:
    package = Path(aio_posix.__file__).parent
    sources = [*package.glob("[!_]*.py"), *package.rglob("csrc/**/*.[ch]")]
    sources += package.glob("asyncio/*.py")
    assert [path for path in sources if "recorder" in path.read_text().lower()] == []
    assert [path for path in sources if "aio_posix.study" in path.read_text()] == []


def test_a_read_is_seen_with_its_descriptor_buffer_and_submission(file: int) -> None:
    cb = aiocb(file, bytearray(8))
    with Recorder() as recorder:
        aio_read(cb)
    aio_suspend([cb])
    aio_return(cb)
    request, submission = recorder.events
    assert (request.what, request.name, request.fd, request.nbytes) == (
        What.REQUEST,
        "read",
        file,
        8,
    )
    assert (request.file, request.told) == (Path(__file__).name, "")
    assert request.tid == threading.get_native_id()
    assert (submission.what, submission.of, submission.error) == (What.SUBMISSION, request.of, "")
    assert submission.at <= request.at <= submission.until


def test_a_callback_is_seen_with_its_thread_and_its_request(file: int) -> None:
    tids: list[int] = []

    def told(cb: aiocb) -> None:
        tids.append(threading.get_native_id())

    with Recorder() as recorder:
        aio_read(
            aiocb(
                file, bytearray(8), aio_sigevent=sigevent(SIGEV_THREAD, sigev_notify_function=told)
            )
        )
        assert eventually(
            lambda: [event.what for event in recorder.events].count(What.RETURNED) == 1
        )
    (request,) = [event for event in recorder.events if event.what is What.REQUEST]
    (begins,) = [event for event in recorder.events if event.what is What.CALLBACK]
    assert (begins.tid, begins.of, request.told) == (tids[0], request.of, "callback")
    assert begins.name.endswith("told")


def test_a_callback_that_raises_is_seen_to_return(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: raised.append(what.exc_type))
    with Recorder() as recorder:
        event = sigevent(SIGEV_THREAD, sigev_notify_function=lambda cb: 1 // 0)
        aio_read(aiocb(file, bytearray(8), aio_sigevent=event))
        assert eventually(lambda: raised)
        assert eventually(lambda: What.RETURNED in [event.what for event in recorder.events])
    assert raised == [ZeroDivisionError]


def test_a_list_is_one_submission_and_one_callback_of_all_its_requests(file: int) -> None:
    done = threading.Event()
    told = sigevent(SIGEV_THREAD, sigev_notify_function=lambda cbs: done.set())
    with Recorder() as recorder:
        lio_listio(
            LIO_NOWAIT,
            [aiocb(file, bytearray(1), aio_lio_opcode=LIO_READ) for _ in range(40)],
            told,
        )
        assert done.wait(20)
    by_what = {event.what: event for event in recorder.events}
    assert len(by_what[What.SUBMISSION].of) == 40
    assert by_what[What.SUBMISSION].of == by_what[What.CALLBACK].of
    assert by_what[What.SUBMISSION].name == "lio_listio"


def test_what_is_taken_from_a_queue_is_seen(file: int) -> None:
    with Recorder() as recorder, CompletionQueue() as queue:
        aio_read(aiocb(file, bytearray(1), aio_sigevent=queue.sigevent()))
        assert queue.get(20)
    assert [event.of for event in recorder.events if event.what is What.TAKEN] == [
        recorder.events[0].of
    ]


def test_a_refused_submission_is_seen_with_its_error() -> None:
    ours, peer = socket.socketpair()
    with ours, peer:
        cb = aiocb(ours, bytearray(1))
        with Recorder() as recorder:
            aio_read(cb)
            with pytest.raises(BlockingIOError):
                aio_read(cb)
        assert [event.error for event in recorder.events if event.what is What.SUBMISSION] == [
            "",
            "EINPROGRESS",
        ]
        peer.send(b"!")
        assert eventually(lambda: aio_error(cb) != errno.EINPROGRESS)


def test_a_callback_that_comes_when_the_recorder_is_off_again_runs() -> None:
    ours, peer = socket.socketpair()
    called: list[object] = []
    with ours, peer:
        with Recorder():
            told = sigevent(SIGEV_THREAD, sigev_notify_function=called.append)
            aio_read(cb := aiocb(ours, bytearray(1), aio_sigevent=told))
        peer.send(b"!")
        assert eventually(lambda: called == [cb])


def test_a_request_that_its_callback_submits_again_and_again_has_an_event_for_each(
    file: int,
) -> None:
    left = iter(range(199))
    done = threading.Event()

    def again(cb: aiocb) -> None:
        aio_return(cb)
        if next(left, None) is None:
            done.set()
        else:
            aio_read(cb)

    told = sigevent(SIGEV_THREAD, sigev_notify_function=again)
    cb = aiocb(file, bytearray(1), aio_sigevent=told)
    with Recorder() as recorder:
        aio_read(cb)
        assert done.wait(20)
        assert eventually(
            lambda: [event.what for event in recorder.events].count(What.RETURNED) == 200
        )
    for what in (What.REQUEST, What.SUBMISSION, What.CALLBACK, What.RETURNED):
        serials = [event.of for event in recorder.events if event.what is what]
        assert (what, len(serials), len(set(serials))) == (what, 200, 200)
    assert cb.aio_sigevent is told


def test_the_callback_of_a_list_of_callbacks_and_theirs_are_told_apart(file: int) -> None:
    own = sigevent(SIGEV_THREAD, sigev_notify_function=lambda cb: None)
    of_list = sigevent(SIGEV_THREAD, sigev_notify_function=lambda cbs: None, sigev_value="mine")
    with Recorder() as recorder:
        lio_listio(
            LIO_NOWAIT,
            [
                aiocb(file, bytearray(1), aio_lio_opcode=LIO_READ, aio_sigevent=own)
                for _ in range(3)
            ],
            of_list,
        )
        assert eventually(
            lambda: [event.what for event in recorder.events].count(What.RETURNED) == 4
        )
    assert sorted(len(event.of) for event in recorder.events if event.what is What.CALLBACK) == [
        1,
        1,
        1,
        3,
    ]


def test_what_cannot_be_submitted_raises_as_it_does_without(file: int) -> None:
    with Recorder() as recorder:
        for wrong in (
            aiocb(-1 - 2**30, bytearray(1), aio_nbytes=2),
            aiocb(file, None, aio_nbytes=5),
        ):
            with pytest.raises(ValueError, match=r"aio_nbytes is|aio_buf is"):
                aio_read(wrong)
        with pytest.raises(TypeError, match="expected an aiocb"):
            aio_read("file")  # type: ignore[arg-type]
    assert not recorder.events  # nothing was submitted


def test_a_socket_is_described_and_still_open_afterwards() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        port = listener.getsockname()[1]
        assert file_of(listener.fileno()) == f"listens on port {port}"
        assert file_of(client.fileno()) == f"socket to port {port}"
        assert client.getpeername()[1] == port
        number = listener.fileno()
    assert file_of(number) == "no descriptor"


def test_a_second_recorder_is_refused() -> None:
    with Recorder(), pytest.raises(RuntimeError, match="on already"), Recorder():
        pass
    with Recorder():
        pass


def test_its_events_alone_make_a_picture(file: int) -> None:
    with Recorder() as recorder, CompletionQueue() as queue:
        aio_read(aiocb(file, bytearray(1), aio_sigevent=queue.sigevent()))
        assert queue.get(20)
    line = timeline(recorder.events, title="here")
    assert {box.kind for box in line.boxes} == {Kind.SUBMIT, Kind.FLIGHT}
    assert "in flight" in svg(line)


# The file of slots.


def test_events_come_back_from_their_file_in_order_of_time(tmp_path: Path) -> None:
    slots = Slots(tmp_path / "events")
    events = [Event(What.CALLBACK, at, 7, tuple(range(at)), name="x" * at) for at in (3, 2, 9 * OF)]
    for event in events:
        slots.put(event)
    found = read(tmp_path / "events")
    assert [event.of for event in found] == [(0, 1), (0, 1, 2), tuple(range(9 * OF))]
    assert [len(event.name) for event in found] == [2, 3, LONGEST]


def test_a_recording_that_is_full_says_so_and_keeps_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aio_posix.study.trace.event.SLOTS", 4)
    slots = Slots(tmp_path / "events")
    monkeypatch.setattr("aio_posix.study.trace.recorder.MOST", 4)
    here = Recorder()
    for at in range(1, 10):
        for put in (slots.put, here.put):
            put(Event(What.TAKEN, at, 1, (at,)))
    for events in (read(tmp_path / "events"), here.events):
        assert [event.of for event in events] == [(1,), (2,), (3,), ()]
        assert [event.what for event in events][-1] is What.FULL


def test_a_watcher_that_was_there_before_gets_its_place_back(file: int) -> None:
    seen: list[str] = []

    def before(event: str, *details: object) -> None:
        seen.append(event)

    _calls.watch(before)
    try:
        with Recorder():
            aio_read(first := aiocb(file, bytearray(8)))
        assert seen == []
        aio_read(second := aiocb(file, bytearray(8)))
        assert seen == ["request", "submission"]
    finally:
        assert _calls.watch(None) is before
    for cb in (first, second):
        aio_suspend([cb])
        aio_return(cb)


def test_cancelling_and_the_size_of_the_pool_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, peer = socket.socketpair()
    cb = aiocb(ours, bytearray(8), aio_reqprio=3)
    with ours, peer, Recorder() as recorder:
        aio_read(cb)
        answer = aio_posix.aio_cancel(ours, cb)
        aio_posix.aio_cancel(ours)
        peer.send(b"!")
        aio_suspend([cb])
        with pytest.raises(OSError, match="too late"):
            aio_posix.aio_init(aio_threads=3)
    request, _, one, whole_of_it = recorder.events
    assert request.reqprio == 3
    assert (one.what, one.of, one.fd, one.nbytes) == (What.CANCEL, request.of, request.fd, answer)
    assert (whole_of_it.what, whole_of_it.of) == (What.CANCEL, ())


def test_a_descriptor_of_zero_and_the_longest_of_all_fit_into_a_slot(tmp_path: Path) -> None:
    slots = Slots(tmp_path / "events")
    most = 2**63
    of, name, file = tuple(range(most - OF, most)), "\U0001f40d" * 99, "x" * 99
    event = Event(
        What.SUBMISSION, most, 2**22, of, name, most, 0, file, most, most, "callback", "EAGAIN", 20
    )
    slots.put(event)
    (found,) = read(tmp_path / "events")
    assert (found.fd, found.of, found.file) == (0, event.of, "x" * LONGEST)


def test_a_forked_child_writes_no_events_of_its_parent(tmp_path: Path) -> None:
    slots = Slots(tmp_path / "events")
    slots.pid = -1
    slots.put(Event(What.RETURNED, 1, 1, ()))
    assert read(tmp_path / "events") == []


def test_two_requests_at_the_same_instant_are_not_put_together() -> None:
    both = [Event(What.REQUEST, 5, 1, (n,)) for n in (1, 2)]
    assert whole(both) == both
