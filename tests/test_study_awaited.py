"""trace of programs that await their requests: what is recorded of aio_posix.asyncio."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from test_study_page import recorded, straced
from test_study_perfetto import breaches

from aio_posix.asyncio import nowait, read, write
from aio_posix.asyncio import open as open_
from aio_posix.study.trace import Recorder, Timeline, command, timeline
from aio_posix.study.trace.event import What
from aio_posix.study.trace.html import html
from aio_posix.study.trace.perfetto import perfetto
from aio_posix.study.trace.table import text
from aio_posix.study.trace.timeline import AWAITED, Group, Kind

PROGRAM = """
import asyncio, os
from aio_posix.asyncio import fdatasync, nowait, read, write
file = os.memfd_create("file")
os.write(file, bytes(1 << 16))
async def main():
    nowait(False)
    found = await asyncio.gather(*[read(file, 512, n * 512) for n in range(40)])
    assert set(map(len, found)) == {512}
    await write(file, b"x", 0)
    await fdatasync(file)
asyncio.run(main())
"""


@pytest.fixture
def file(tmp_path: Path) -> int:
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 16))
    return os.open(path, os.O_RDWR)


def test_each_awaited_request_is_asked_for_listed_and_given(file: int) -> None:
    async def main() -> None:
        await asyncio.gather(*[read(file, 512, n * 512) for n in range(5)])
        await write(file, b"x", 0)

    before = nowait(False)
    try:
        with Recorder() as recorder:
            asyncio.run(main())
    finally:
        nowait(before)
        os.close(file)
    count = Counter(event.what for event in recorder.events)
    assert count == {What.ASKED: 6, What.REQUEST: 6, What.SUBMISSION: 2, What.GIVEN: 6}
    asked = {event.of for event in recorder.events if event.what is What.ASKED}
    given = {event.of for event in recorder.events if event.what is What.GIVEN}
    assert asked == given
    assert all(serial < 0 for (serial,) in asked)
    (listed, alone) = [event.of for event in recorder.events if event.what is What.SUBMISSION]
    assert (len(listed), len(alone)) == (5, 1)


def test_a_read_of_the_page_cache_is_a_kind_of_its_own(file: int) -> None:
    async def main() -> None:
        await read(file, 512, 0)
        async with open_(f"/proc/self/fd/{file}", "rb") as same:
            await same.read(100)

    os.pread(file, 1 << 16, 0)
    with Recorder() as recorder:
        asyncio.run(main())
    os.close(file)
    cached = [event for event in recorder.events if event.what is What.CACHED]
    if not cached:
        pytest.skip("this file system has no RWF_NOWAIT")
    assert (cached[0].fd, cached[0].nbytes) == (file, 512)
    line = timeline(recorder.events, title="here")
    assert {box.kind for box in line.boxes} == {Kind.CACHE}
    assert f"{len(cached)} awaited reads came from the page cache at once" in text(line)
    assert "0 requests" in html(line)


def test_what_is_cancelled_while_it_is_awaited_ends_there(file: int) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(read(file, 512, 0))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = nowait(False)
    try:
        with Recorder() as recorder:
            asyncio.run(main())
    finally:
        nowait(before)
        os.close(file)
    (given,) = [event for event in recorder.events if event.what is What.GIVEN]
    assert given.error == "cancelled"


def drawn(tmp_path: Path) -> Timeline:
    line, found = recorded(PROGRAM, tmp_path)
    assert [moment for moment in found.moments if moment.contradiction] == []
    assert found.queues == {}
    return line


@straced
def test_an_awaited_read_is_one_box_from_the_await_to_its_result(tmp_path: Path) -> None:
    line = drawn(tmp_path)
    boxes = [box for box in line.boxes if box.tid == AWAITED]
    count = Counter(box.kind for box in boxes)
    assert count[Kind.AWAITED] == 42
    assert sum(box.kind is Kind.IO for box in line.boxes) == 42
    assert not any(box.open for box in boxes)
    by_serial = {box.of: box for box in boxes if box.of}
    for box in line.boxes:
        if box.kind is Kind.IO:
            around = by_serial[box.of]
            assert around.begin <= box.begin
            assert box.end <= around.end + 5000  # strace counts microseconds
    assert {lane.group for lane in line.lanes} >= {Group.AWAITED, Group.QUEUE, Group.HELPER}


@straced
def test_awaited_requests_keep_the_rules_of_the_trace_event_format(tmp_path: Path) -> None:
    assert breaches(json.loads(perfetto(drawn(tmp_path)))["traceEvents"]) == Counter()


def test_without_strace_it_is_drawn_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "may_trace", lambda: False)
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    status, line = command.run(command.Program(str(script), []), tmp_path)
    assert status == 0
    assert isinstance(line, Timeline)
    assert "42 requests" in text(line)
    assert all(flight.told is not None for flight in line.flights)
