"""aio_posix.asyncio: how much of what is asked for glibc has at one time, in which order, and what
is forgotten when.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fresh import output

import aio_posix.asyncio as aio
from aio_posix import _calls, flight
from aio_posix.asyncio import loop, threads
from aio_posix.asyncio.descriptors import batch, channel, descriptor, errands, lists, ring
from aio_posix.asyncio.descriptors.descriptor import Descriptor
from aio_posix.asyncio.descriptors.openfile import FILE

BLOCK = 512


@pytest.fixture(autouse=True)
def no_fast_path() -> Iterator[None]:
    before = aio.nowait(False)
    yield
    aio.nowait(before)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    number = os.open(tmp_path / "blocks", os.O_RDWR | os.O_CREAT)
    os.ftruncate(number, 1 << 20)
    yield number
    os.close(number)


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 30))


class Watched:
    """What is in glibc: counted as it goes in and comes out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now: Counter[int] = Counter()  # by descriptor
        self.most: Counter[int] = Counter()
        self.altogether = self.lists = 0
        self._submit, self._collect = _calls.batch_submit, _calls.batch_collect
        monkeypatch.setattr(lists, "batch_submit", self.submit)
        monkeypatch.setattr(lists, "batch_collect", self.collect)

    def submit(self, address: int, entries: list[Any], *args: Any) -> None:
        self._submit(address, entries, *args)
        self.lists += 1
        self.now.update(entry.fd for entry in entries)
        self.most |= self.now
        self.altogether = max(self.altogether, self.now.total())

    def collect(self, address: int, entries: list[Any], found: list[Any], whole: bool) -> None:
        before = len(found)
        self._collect(address, entries, found, whole)
        self.now.subtract(entry.fd for entry, _ in found[before:])


def test_glibc_has_at_most_a_window_of_one_files_requests(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    ours = Descriptor(fd)

    async def program() -> None:
        writes = [ours.pwrite(b"x" * BLOCK, i * BLOCK) for i in range(500)]
        assert await asyncio.gather(*writes) == [BLOCK] * 500

    run(program())
    assert watched.most == {ours.fileno(): channel.WINDOW}


def test_glibc_has_at_most_so_many_requests_of_one_loop(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    descriptors = [Descriptor(fd) for _ in range(30)]

    async def program() -> None:
        reads = [d.pread(BLOCK, i * BLOCK) for d in descriptors for i in range(60)]
        assert await asyncio.gather(*reads) == [bytes(BLOCK)] * 1800

    run(program())
    most = ring.ROOM * batch.BATCH
    assert most - batch.BATCH <= watched.altogether <= most


def test_what_one_turn_asks_for_goes_to_glibc_in_lists(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)

    async def program() -> None:
        await asyncio.gather(*(aio.read(fd, BLOCK, i * BLOCK) for i in range(64)))

    run(program())
    assert watched.lists == 4


def test_a_sync_is_no_part_of_a_list(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)

    async def program() -> None:
        await asyncio.gather(
            aio.write(fd, b"1", 0), aio.fsync(fd), aio.write(fd, b"2", 0), aio.fdatasync(fd)
        )

    run(program())
    assert watched.lists == 4


def test_what_glibc_refuses_as_a_list_is_done_all_the_same(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at an exit that has drained what was in flight."""

    def never() -> None:
        refused.append(1)
        raise OSError(errno.ESHUTDOWN, "at an exit")

    async def program() -> None:
        writes = (aio.write(fd, b"%d" % i, i) for i in range(9))
        assert await asyncio.gather(*writes) == [1] * 9
        await aio.fsync(fd)
        assert await aio.read(fd, 9, 0) == b"012345678"

    refused: list[int] = []
    monkeypatch.setattr(flight, "submittable", never)
    _calls.accept_submissions(False)
    try:
        run(program())
    finally:
        _calls.accept_submissions(True)
    assert refused


@pytest.mark.parametrize("by", ["threads", "the loop"])
def test_what_is_asked_for_later_does_not_overtake_what_glibc_refused(
    fd: int, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    submit, refuse = _calls.batch_submit, [True]

    def refusing(*args: Any) -> int:
        return -errno.EAGAIN if refuse[0] else submit(*args)

    monkeypatch.setattr(lists, "batch_submit", refusing)
    if by == "the loop":
        monkeypatch.setattr(threads, "start", lambda job: False)
        monkeypatch.setattr(errands, "OWN_TURN", 0)  # one request in each turn
    perform = errands._perform

    def slow(entry: Any) -> int:
        time.sleep(0.002)
        return perform(entry)

    monkeypatch.setattr(errands, "_perform", slow)

    async def program() -> None:
        descriptor = Descriptor(fd)
        first = [asyncio.ensure_future(descriptor.pwrite(b"%03d" % i, 0)) for i in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refuse[0] = False
        last = asyncio.ensure_future(descriptor.pwrite(b"end", 0))
        assert await asyncio.gather(*first, last) == [3] * 21

    run(program())
    assert os.pread(fd, 3, 0) == b"end"


def test_what_glibc_gives_back_does_not_overtake_what_it_has(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of three writes comes back undone while the others are still in glibc."""
    harvest, perform = lists.Lists.harvest, errands._perform
    results: list[Any] = []
    order: list[bytes] = []
    looks = [0]

    def undone(self: lists.Lists, whole: bool) -> None:
        looks[0] += 1
        harvest(self, False)
        if len(results) < 3:
            results.extend(self.found)
            self.found.clear()
            if len(results) == 3:
                results.sort(key=lambda result: result[0].buffer)
                looks[0] = 0
                self.found.append((results[1][0], -errno.ECANCELED))
        elif looks[0] >= 5 and results[0] is not None:
            for result in (results[0], results[2]):
                order.append(result[0].buffer)
                self.found.append(result)
            results[0] = None

    def has(self: lists.Lists, lane: Any) -> bool:
        return not results or results[0] is not None

    def watched(entry: Any) -> int:
        order.append(entry.buffer)
        return perform(entry)

    monkeypatch.setattr(errands, "_perform", watched)
    monkeypatch.setattr(lists.Lists, "harvest", undone)
    monkeypatch.setattr(lists.Lists, "has", has)

    async def program() -> None:
        descriptor = Descriptor(fd)
        writes = asyncio.gather(*(descriptor.pwrite(data, 0) for data in (b"1", b"2", b"3")))
        ours = ring.current()
        while not writes.done():
            ours._bell.ring()
            await asyncio.sleep(0.001)
        assert writes.result() == [1, 1, 1]

    run(program())
    assert order == [b"1", b"3", b"2"]


@pytest.fixture
def blocking(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """The ends of a pipe that is taken for a file: a read of it blocks a helper."""
    for module in (channel, descriptor):
        monkeypatch.setattr(module, "kind", lambda fd: FILE)
    r, w = os.pipe()
    yield r, w
    os.close(r)
    os.close(w)


def test_a_future_that_is_done_is_forgotten_though_its_list_is_not(
    fd: int, blocking: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its loop, and all that its task had."""
    make, made = loop.new_future, []

    def recorded() -> Any:
        future = make()
        made.append(weakref.ref(future))
        return future

    monkeypatch.setattr(loop, "new_future", recorded)

    async def program() -> None:
        blocked = asyncio.ensure_future(aio.read(blocking[0], 1, 0))
        await aio.read(fd, BLOCK, 0)
        await asyncio.sleep(0)
        assert [future() is None for future in made] == [True, False]
        os.write(blocking[1], b"x")
        assert await blocked == b"x"

    run(program())


def test_lists_that_are_stuck_hold_up_no_others(fd: int, tmp_path: Path) -> None:
    """More of them than there are waiters."""
    program = f"""
import asyncio, os
import aio_posix.asyncio as aio
from aio_posix.asyncio.descriptors import channel, descriptor
from aio_posix.asyncio.descriptors.openfile import FILE
aio.nowait(False)
channel.kind = descriptor.kind = lambda fd: FILE
pipes = [os.pipe() for _ in range(12)]
fd = os.open({str(tmp_path / "blocks")!r}, os.O_RDWR)
async def main():
    stuck = []
    for r, _ in pipes:
        stuck.append(asyncio.ensure_future(aio.read(r, 1, 0)))
        await asyncio.sleep(0.001)
    for i in range(200):
        assert await aio.write(fd, b"x", i) == 1
    for _, w in pipes:
        os.write(w, b"y")
    assert await asyncio.gather(*stuck) == [b"y"] * 12
asyncio.run(asyncio.wait_for(main(), 30)); print("done")
"""
    assert output(program) == "done\n"


@pytest.mark.parametrize(
    "call", ['aio.write(fd, b"cancelled", 0)', 'aio.pwrite_many(fd, [(b"cancelled", 0)] * 100)']
)
def test_a_cancelled_write_that_glibc_has_not_begun_never_happens(call: str) -> None:
    program = f"""
import asyncio, os
import aio_posix, aio_posix.asyncio as aio
aio_posix.aio_init(aio_threads=1)
r, w = os.pipe()
blocked = aio_posix.aiocb(r, bytearray(1))
aio_posix.aio_read(blocked)  # holds the only helper
fd = os.memfd_create("m")
async def main():
    write = asyncio.ensure_future({call})
    await asyncio.sleep(0.05)
    write.cancel()
    await asyncio.gather(write, return_exceptions=True)
    os.write(w, b"x")
    await aio.fsync(fd)
    print(os.fstat(fd).st_size)
asyncio.run(asyncio.wait_for(main(), 20))
aio_posix.aio_suspend([blocked])
"""
    assert output(program) == "0\n"


@pytest.mark.parametrize(
    "call", ["aio.readinto(r, buffer, 0)", "aio.readinto_many(r, [(buffer, 0)])"]
)
def test_a_buffer_cannot_be_resized_while_a_helper_may_read_into_it(call: str) -> None:
    program = f"""
import asyncio, os
import aio_posix.asyncio as aio
from aio_posix.asyncio.descriptors import channel, descriptor
from aio_posix.asyncio.descriptors.openfile import FILE
aio.nowait(False)
channel.kind = descriptor.kind = lambda fd: FILE
r, w = os.pipe()
buffer = bytearray(8)
async def main():
    read = asyncio.ensure_future({call})
    await asyncio.sleep(0.05)
    read.cancel()
    await asyncio.gather(read, return_exceptions=True)
    try:
        buffer.clear()
    except BufferError:
        print("held")
    os.write(w, b"12345678")
    while True:
        try:
            buffer.clear()
            return
        except BufferError:
            await asyncio.sleep(0.01)
asyncio.run(asyncio.wait_for(main(), 20))
"""
    assert output(program) == "held\n"


def test_lanes_are_a_few_and_are_given_back(tmp_path: Path) -> None:
    (tmp_path / "direct").write_bytes(bytes(1 << 20))
    try:
        number = os.open(tmp_path / "direct", os.O_RDONLY | os.O_DIRECT)
    except OSError:
        pytest.skip("no O_DIRECT here")
    descriptor = Descriptor(number)

    async def program() -> int:
        await descriptor.pread(4096, 0)
        before = len(os.listdir("/proc/self/fd"))
        reads = [asyncio.ensure_future(descriptor.pread(4096, i * 4096)) for i in range(200)]
        await asyncio.sleep(0)
        most = len(os.listdir("/proc/self/fd"))
        assert await asyncio.gather(*reads) == [bytes(4096)] * 200
        assert len(os.listdir("/proc/self/fd")) == before
        return most - before

    assert run(program()) == channel.LANES - 1
    os.close(number)


def test_lists_that_no_waiter_has_taken_are_found_by_a_timer(
    blocking: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where no thread can be made to wait for them: the bell never rings."""
    monkeypatch.setattr(lists.Lists, "post", lambda self: None)

    async def program() -> None:
        read = asyncio.ensure_future(aio.read(blocking[0], 1, 0))
        await asyncio.sleep(0.05)  # by now the loop looks no more
        os.write(blocking[1], b"x")
        assert await read == b"x"

    run(program())


def test_a_loop_looks_at_its_lists_by_itself(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing wakes it."""
    monkeypatch.setattr(ring, "PATIENCE", 10.0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(ring.Ring, "_ready", lambda self: self._bell.hush())
    monkeypatch.setattr(ring.Ring, "_look_late", lambda self, due: None)

    async def program() -> None:
        for i in range(5):
            assert await aio.write(fd, b"x", i) == 1

    run(program())


def test_a_loop_does_not_look_for_long_and_is_woken_then(
    blocking: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = ring.Ring._look, [0]

    def counted(self: ring.Ring) -> None:
        looks[0] += 1
        look(self)

    monkeypatch.setattr(ring.Ring, "_look", counted)
    monkeypatch.setattr(ring.Ring, "_look_late", lambda self, due: None)

    async def program() -> None:
        read = asyncio.ensure_future(aio.read(blocking[0], 1, 0))
        await asyncio.sleep(0.2)
        assert 1 <= looks[0] < 200
        os.write(blocking[1], b"x")
        assert await read == b"x"

    run(program())


def test_a_loop_does_not_look_for_what_a_device_has_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "direct").write_bytes(b"x" * 4096)
    try:
        number = os.open(tmp_path / "direct", os.O_RDONLY | os.O_DIRECT)
    except OSError:
        pytest.skip("no O_DIRECT here")
    looks = list[ring.Ring]()
    monkeypatch.setattr(ring.Ring, "_look", looks.append)
    monkeypatch.setattr(ring.Ring, "_look_late", lambda self, due: None)
    assert run(aio.read(number, 4096, 0)) == b"x" * 4096
    assert not looks
    os.close(number)


def test_a_look_leaves_a_list_together(
    fd: int, blocking: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done comes with the last of its list, or by the timer."""
    monkeypatch.setattr(ring, "PATIENCE", 10.0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(ring.Ring, "_look_late", lambda self, due: None)

    async def program() -> None:
        blocked = asyncio.ensure_future(aio.read(blocking[0], 1, 0))
        other = asyncio.ensure_future(aio.write(fd, b"x", 0))
        while os.pread(fd, 1, 0) != b"x":
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.1)
        assert not other.done()
        os.write(blocking[1], b"y")
        assert await asyncio.gather(blocked, other) == [b"y", 1]

    run(program())
