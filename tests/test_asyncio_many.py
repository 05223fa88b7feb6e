"""Many requests by one await."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deadline import eventually
from fresh import output

import aio_posix.asyncio as aio
from aio_posix import flight
from aio_posix.asyncio.descriptors import many
from aio_posix.asyncio.descriptors.descriptor import Descriptor

CONTENT = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture(params=[True, False], ids=["resident", "aio"])
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    before = aio.nowait(request.param)
    yield
    aio.nowait(before)


@pytest.fixture
def no_fast_path() -> Iterator[None]:
    before = aio.nowait(False)
    yield
    aio.nowait(before)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "content").write_bytes(CONTENT)
    number = os.open(tmp_path / "content", os.O_RDWR)
    yield number
    os.close(number)


@pytest.fixture
def direct(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "direct").write_bytes(CONTENT)
    try:
        number = os.open(tmp_path / "direct", os.O_RDWR | os.O_DIRECT)
    except OSError:
        pytest.skip("no O_DIRECT here")
    yield number
    os.close(number)


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 40))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("n", [0, 1, 16, 17, 1000])
def test_reads_come_in_the_order_of_the_call(fd: int, n: int) -> None:
    ranges = [(100 + i, i * 7919 % len(CONTENT)) for i in range(n)]
    wanted = [CONTENT[offset : offset + nbytes] for nbytes, offset in ranges]
    assert run(aio.pread_many(fd, ranges)) == wanted
    assert run(aio.pread_many(fd, iter(ranges))) == wanted


@pytest.mark.usefixtures("way")
def test_a_read_of_many_ends_at_the_end_of_the_file(fd: int) -> None:
    ranges = [(100, len(CONTENT) - 10), (0, 0), (5 << 20, 0), (10, len(CONTENT) + 5)]
    assert run(aio.pread_many(fd, ranges)) == [CONTENT[-10:], b"", CONTENT, b""]


@pytest.mark.usefixtures("way")
def test_slices_of_one_buffer_are_filled(fd: int) -> None:
    buffer = bytearray(64 * 1000)
    with memoryview(buffer) as view:
        pieces = [(view[i * 1000 : (i + 1) * 1000], i * 5000) for i in range(64)]
        assert run(aio.readinto_many(fd, pieces)) == [1000] * 64
        for piece, _ in pieces:
            piece.release()
    assert buffer == b"".join(CONTENT[i * 5000 : i * 5000 + 1000] for i in range(64))
    buffer.clear()  # BufferError while it is exported
    tail = bytearray(100)
    assert run(aio.readinto_many(fd, [(tail, len(CONTENT) - 7), (bytearray(), 0)])) == [7, 0]


@pytest.mark.usefixtures("way")
def test_rows_of_a_numpy_array_are_filled(fd: int) -> None:
    numpy = pytest.importorskip("numpy")
    rows = numpy.zeros((50, 16), dtype="u8")
    offsets = numpy.arange(50) * 4096
    assert run(aio.readinto_many(fd, zip(rows, offsets, strict=True))) == [128] * 50
    assert rows.tobytes() == b"".join(CONTENT[i * 4096 : i * 4096 + 128] for i in range(50))


def test_writes_that_overlap_land_in_their_order(fd: int) -> None:
    pieces = [(b"%06d" % i, i % 2) for i in range(1000)]
    assert run(aio.pwrite_many(fd, pieces)) == [6] * 1000
    assert os.pread(fd, 7, 0) == b"0000999"


def test_writes_of_many_come_after_those_before_and_before_those_after(fd: int) -> None:
    async def program() -> None:
        results: Any = await asyncio.gather(
            aio.write(fd, b"before", 0),
            aio.pwrite_many(fd, [(b"many", 0), (bytearray(b"MANY"), 2)]),
            aio.write(fd, b"after", 4),
            aio.fsync(fd),
        )
        assert results == [6, [4, 4], 5, None]

    run(program())
    assert os.pread(fd, 9, 0) == b"maMAafter"


@pytest.mark.parametrize(("nbytes", "offset"), [(4096, 4096), (100, 1), (5000, 3000)])
def test_an_o_direct_descriptor_needs_no_alignment_for_reads(
    direct: int, nbytes: int, offset: int
) -> None:
    ranges = [(nbytes, offset + i * 4096) for i in range(50)] + [(100, len(CONTENT) - 10)]
    wanted = [CONTENT[at : at + n] for n, at in ranges]
    assert run(aio.pread_many(direct, ranges)) == wanted


def test_aligned_memory_of_the_users_own_is_used_for_o_direct(direct: int) -> None:
    with mmap.mmap(-1, 4096 * 10) as memory, memoryview(memory) as view:
        pieces = [(view[i * 4096 : (i + 1) * 4096], (9 - i) * 4096) for i in range(10)]
        assert run(aio.readinto_many(direct, pieces)) == [4096] * 10
        assert memory[:] == CONTENT[: 4096 * 10]
        assert run(aio.pwrite_many(direct, [(view[:4096], 0), (view[4096:8192], 8192)])) == [
            4096,
            4096,
        ]
        for piece, _ in pieces:
            piece.release()


# --- errors


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ((-1, 0), ValueError),
        ((1.5, 0), TypeError),
        ((1, 1.5), TypeError),
        ((1, -1), OSError),
        ((1, 1 << 70), OverflowError),
        ((1,), ValueError),
        (1, TypeError),
    ],
)
def test_a_wrong_argument_is_found_before_anything_is_asked_for(
    fd: int, bad: Any, error: Any
) -> None:
    text: Any = "text"
    constant: Any = b"constant"

    async def program() -> None:
        with pytest.raises(error):
            await aio.pread_many(fd, [(10, 0), bad])
        assert await aio.read(fd, 10, 0) == CONTENT[:10]

    run(program())
    with pytest.raises(TypeError):
        run(aio.pwrite_many(fd, [(b"not written", 0), (text, 0)]))
    with pytest.raises(TypeError):
        run(aio.readinto_many(fd, [(constant, 0)]))
    assert os.pread(fd, 10, 0) == CONTENT[:10]


def test_the_first_error_names_its_place_after_all_others_have_ended(direct: int) -> None:
    with mmap.mmap(-1, 4096 * 3) as memory, memoryview(memory) as view:
        pieces = [(view[:4096], 0), (view[4097:4197], 5), (view[1:100], 7), (view[8192:], 8192)]
        with pytest.raises(OSError, match="aligned") as raised:
            run(aio.readinto_many(direct, pieces))
        assert raised.value.errno == errno.EINVAL
        assert raised.value.__notes__ == ["request 1 of this call, at offset 5"]
        assert memory[8192:] == CONTENT[8192 : 3 * 4096]
        for piece, _ in pieces:
            piece.release()


def test_an_error_waits_for_all_others(tmp_path: Path) -> None:
    try:
        fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    except OSError:
        pytest.skip("no O_DIRECT here")
    size = 2 << 20
    with mmap.mmap(-1, size) as memory, memoryview(memory) as view:
        memory[:] = b"x" * size
        pieces = [(view[1:100], 0), *((view, i * size) for i in range(40))]
        with pytest.raises(OSError, match="aligned"):
            run(aio.pwrite_many(fd, pieces))
        assert os.fstat(fd).st_size == 40 * size
        os.lseek(fd, 39 * size, os.SEEK_SET)
        assert os.readv(fd, [memory]) == size
        assert memory[:] == b"x" * size
        pieces[0][0].release()
    os.close(fd)


def test_a_disk_that_is_full_says_how_far_a_write_of_many_got() -> None:
    """Writes after the one that failed have landed, too."""
    program = """
import asyncio, os, resource, signal
import aio_posix.asyncio as aio
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fd = os.memfd_create("m")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
async def main():
    try:
        await aio.pwrite_many(fd, [(b"a" * 10, 0), (b"b" * 100, 950), (b"c" * 10, 20)])
    except OSError as error:
        print(error.strerror, error.characters_written, error.__notes__)
asyncio.run(main())
print(os.pread(fd, 40, 0).count(b"c"), os.fstat(fd).st_size)
"""
    note = "['request 1 of this call, at offset 950']"
    assert output(program) == f"File too large 50 {note}\n10 1000\n"


@pytest.mark.usefixtures("way")
def test_what_has_no_positions_is_refused() -> None:
    r, w = os.pipe()
    for call in (
        aio.pread_many(r, [(1, 0)]),
        aio.readinto_many(r, [(bytearray(1), 0)]),
        aio.pwrite_many(w, [(b"x", 0)]),
    ):
        with pytest.raises(OSError, match="no positions"):
            run(call)
    os.close(r)
    os.close(w)


def test_a_directory_cannot_be_read(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        run(aio.pread_many(directory, [(1, 0), (1, 1)]))
    os.close(directory)


# --- cancelling, closing, forking, exiting


@pytest.mark.usefixtures("no_fast_path")
def test_a_cancelled_call_begins_nothing_more_and_leaves_nothing(fd: int) -> None:
    async def program() -> None:
        for turns in (0, 1, 2, 5):
            writes = asyncio.ensure_future(
                aio.pwrite_many(fd, [(b"x" * 4096, i * 4096) for i in range(20_000)])
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            writes.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writes
            await aio.fsync(fd)
            size = os.fstat(fd).st_size
            await asyncio.sleep(0.01)
            assert os.fstat(fd).st_size == size
        assert size < 20_000 * 4096

    before = len(os.listdir("/proc/self/fd"))
    run(program())
    assert eventually(lambda: not flight.in_flight(), 20)
    assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.usefixtures("no_fast_path")
def test_a_buffer_of_a_cancelled_call_cannot_be_resized_while_it_may_be_read_into(fd: int) -> None:
    async def program() -> None:
        for _ in range(20):
            buffers = [bytearray(65536) for _ in range(64)]
            reads = asyncio.ensure_future(aio.readinto_many(fd, [(b, 0) for b in buffers]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            reads.cancel()
            await asyncio.gather(reads, return_exceptions=True)
            for buffer in buffers:
                try:
                    buffer.clear()
                except BufferError:
                    continue
        await aio.fsync(fd)

    run(program())


@pytest.mark.usefixtures("way")
def test_the_file_that_was_meant_is_read_though_its_number_is_used_again(
    fd: int, tmp_path: Path
) -> None:
    async def program() -> None:
        mine = os.dup(fd)
        reads = asyncio.ensure_future(aio.pread_many(mine, [(4096, 0)] * 5000))
        await asyncio.sleep(0)
        other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
        os.dup2(other, mine)
        assert set(await reads) == {CONTENT[:4096]}
        os.close(other)
        os.close(mine)

    run(program())


def test_a_single_read_that_rests_reads_the_file_that_was_meant(fd: int, tmp_path: Path) -> None:
    """The slice runs out, others run, one of them closes the number."""
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    os.write(other, b"2" * 4096)

    async def program() -> None:
        wrong = 0
        for _ in range(30):
            mine = os.dup(fd)
            reads = [asyncio.ensure_future(aio.read(mine, 4096, 0)) for _ in range(2000)]
            await asyncio.sleep(0)
            os.dup2(other, mine)
            wrong += sum(data != CONTENT[:4096] for data in await asyncio.gather(*reads))
            os.close(mine)
        assert wrong == 0

    run(program())
    os.close(other)


@pytest.mark.usefixtures("way")
def test_a_file_closes_while_many_of_its_reads_are_waited_for(fd: int) -> None:
    async def program() -> None:
        mine = os.dup(fd)
        descriptor = Descriptor.owning(mine, None)
        reads = asyncio.ensure_future(descriptor.pread_many([(4096, 0)] * 1000))
        await asyncio.sleep(0)
        descriptor.close(lambda: os.close(mine))
        assert await reads == [CONTENT[:4096]] * 1000
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(mine)

    run(program())


def test_many_at_once_in_a_forked_child_and_at_an_exit(tmp_path: Path) -> None:
    program = f"""
import asyncio, os, warnings
warnings.simplefilter("ignore")
import aio_posix.asyncio as aio
aio.nowait(False)
fd = os.open({str(tmp_path / "f")!r}, os.O_RDWR | os.O_CREAT)
async def main():
    await aio.pwrite_many(fd, [(b"%05d" % i, i * 5) for i in range(300)])
    data = await aio.pread_many(fd, [(5, i * 5) for i in range(300)])
    assert data == [b"%05d" % i for i in range(300)]
asyncio.run(main())
if os.fork() == 0:
    asyncio.run(main())
    print("child", flush=True)
    os._exit(0)
os.wait()
loop = asyncio.new_event_loop()
task = loop.create_task(aio.pwrite_many(fd, [(b"x" * 65536, i * 65536) for i in range(40)]))
loop.run_until_complete(asyncio.sleep(0))
import logging; logging.disable()
"""
    assert output(program) == "child\n"
    assert (tmp_path / "f").read_bytes() == b"x" * 65536 * 40


@pytest.mark.usefixtures("no_fast_path")
def test_other_tasks_have_their_turn_while_many_begin(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_in: set[int] = set()
    turns = [0]
    more = many.Part.more

    def watched(part: many.Part) -> None:
        begun_in.add(turns[0])
        more(part)

    monkeypatch.setattr(many.Part, "more", watched)

    async def program() -> None:
        async def ticker() -> None:
            while not done:
                turns[0] += 1
                await asyncio.sleep(0)

        done: list[int] = []
        task = asyncio.ensure_future(ticker())
        await aio.pread_many(fd, [(1, i) for i in range(20_000)])
        done.append(1)
        await task

    run(program())
    assert len(begun_in) >= 20_000 // many.STRETCH
