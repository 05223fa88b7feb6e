"""aio_posix.asyncio.files.replacing: the old file or the new one, whole, and nothing else."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
from deadline import eventually
from fresh import output, run
from loops import LOOPS, run_on

import aio_posix.asyncio as aio


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("old")
    return tmp_path / "file"


def only(path: Path, content: str) -> bool:
    """Whether it is the only file of its directory, and what is in it."""
    return os.listdir(path.parent) == [path.name] and path.read_text() == content


def test_the_new_file_takes_the_old_ones_place_at_the_end_of_the_block(
    loop: str, path: Path
) -> None:
    async def program() -> None:
        async with aio.replacing(path) as file:
            assert isinstance(file, aio.TextFile)
            assert file.name == str(path)
            await file.write("new")
            await file.flush()
            assert path.read_text() == "old"
        assert file.closed

    run_on(loop, program())
    assert only(path, "new")


@pytest.mark.parametrize("mode", ["w", "wb", "w+", "wb+", "x", "xb"])
def test_a_file_that_was_not_there_is_there_at_the_end(
    loop: str, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "new"

    async def program() -> None:
        async with aio.replacing(path, mode) as file:
            await file.write(b"new" if "b" in mode else "new")
            assert not path.exists()

    before = os.umask(0o027)
    try:
        run_on(loop, program())
    finally:
        os.umask(before)
    assert only(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_exception_leaves_the_old_file_and_nothing_else(loop: str, path: Path) -> None:
    async def program() -> None:
        async with aio.replacing(path, "wb") as file:
            await file.write(b"x" * 1_000_000)
            raise LookupError

    inode = path.stat().st_ino
    with pytest.raises(LookupError):
        run_on(loop, program())
    assert only(path, "old")
    assert path.stat().st_ino == inode


def test_a_cancellation_at_any_moment_leaves_one_file_that_is_whole(loop: str, path: Path) -> None:
    new = "new" * 100_000

    async def replace() -> None:
        async with aio.replacing(path) as file:
            await file.write(new)
            await file.flush()

    async def program() -> None:
        for turns in range(60):
            path.write_text("old")
            task = asyncio.ensure_future(replace())
            for _ in range(turns):
                await asyncio.sleep(0 if turns % 2 else 0.0005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert eventually(lambda: os.listdir(path.parent) == [path.name])
            assert path.read_text() in ("old", new)
        await replace()
        assert only(path, new)

    run_on(loop, program())


def test_a_cancelled_block_has_gone_without_a_trace_when_it_is_left(loop: str, path: Path) -> None:
    async def block() -> None:
        async with aio.replacing(path) as file:
            await file.write("new")
            await asyncio.sleep(60)

    async def program() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(block(), 0.1)
        assert only(path, "old")

    run_on(loop, program())


@pytest.mark.parametrize("bits", [0o600, 0o644, 0o755, 0o000, 0o444, 0o2750])
def test_the_permission_bits_of_the_old_file_are_kept(loop: str, path: Path, bits: int) -> None:
    path.chmod(bits)

    async def program() -> None:
        async with aio.replacing(path) as file:
            await file.write("new")

    run_on(loop, program())
    assert stat.S_IMODE(path.stat().st_mode) == bits


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_of_the_old_file_is_kept(path: Path) -> None:
    os.chown(path, 12345, 54321)

    async def program() -> None:
        async with aio.replacing(path) as file:
            await file.write("new")

    run_on("asyncio", program())
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


def test_of_a_symbolic_link_the_target_is_replaced(loop: str, path: Path) -> None:
    folder = path.parent / "elsewhere"
    folder.mkdir()
    link = folder / "link"
    link.symlink_to("../file")

    async def program() -> None:
        async with aio.replacing(link) as file:
            await file.write("new")

    run_on(loop, program())
    assert os.readlink(link) == "../file"
    assert path.read_text() == "new"
    assert os.listdir(folder) == ["link"]
    assert sorted(os.listdir(path.parent)) == ["elsewhere", "file"]


def test_mode_x_refuses_a_file_that_is_there_and_one_that_comes_meanwhile(
    loop: str, path: Path
) -> None:
    async def overtaken() -> None:
        async with aio.replacing(path, "x") as file:
            await file.write("new")
            path.write_text("of another process")

    async def program() -> None:
        with pytest.raises(FileExistsError) as caught:
            async with aio.replacing(path, "x"):
                raise AssertionError
        assert caught.value.filename == str(path)
        path.unlink()
        with pytest.raises(FileExistsError):
            await overtaken()

    run_on(loop, program())
    assert only(path, "of another process")


@pytest.mark.parametrize("mode", ["r", "rb", "a", "r+", "", "wx", "q"])
def test_a_mode_that_writes_no_new_file_is_refused(path: Path, mode: str) -> None:
    with pytest.raises(ValueError, match="mode"):
        aio.replacing(path, mode)
    assert only(path, "old")


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    async def program() -> None:
        for name, error in (("fifo", "regular"), (".", "directory"), ("no/file", "No such file")):
            with pytest.raises(OSError, match=error) as caught:
                async with aio.replacing(tmp_path / name):
                    pass
            assert caught.value.filename == str(tmp_path / name)

    run_on("asyncio", program())
    assert os.listdir(tmp_path) == ["fifo"]
    with pytest.raises(TypeError):
        aio.replacing(0)  # type: ignore[call-overload]


def test_a_disk_that_is_full_leaves_the_old_file(path: Path) -> None:
    program = """
    import asyncio, errno, os, resource, signal
    import aio_posix.asyncio as aio
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async def main():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
        for size in (6000, 600_000):
            try:
                async with aio.replacing("file", "wb") as file:
                    await file.write(b"x" * size)
            except OSError as error:
                print(error.errno == errno.EFBIG, os.listdir("."), open("file").read())
    asyncio.run(main())
    """
    assert output(program, cwd=path.parent) == "True ['file'] old\n" * 2


def test_a_file_that_the_block_has_closed_takes_the_place_too(loop: str, path: Path) -> None:
    async def program() -> None:
        async with aio.replacing(path) as file:
            await file.write("new")
            await file.close()

    run_on(loop, program())
    assert only(path, "new")


def test_no_descriptor_is_left(loop: str, path: Path) -> None:
    async def program() -> None:
        for i in range(3):
            async with aio.replacing(path) as file:
                await file.write("new")
            if i == 0:
                before = len(os.listdir("/proc/self/fd"))
        assert len(os.listdir("/proc/self/fd")) == before

    run_on(loop, program())


def test_a_program_that_ends_by_ctrl_c_leaves_the_old_file(path: Path) -> None:
    program = """
    import asyncio, os, signal
    import aio_posix.asyncio as aio
    async def main():
        async with aio.replacing("file") as file:
            await file.write("new" * 100_000)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
    """
    assert output(program, cwd=path.parent) == "interrupted\n"
    assert only(path, "old")


def test_a_name_as_long_as_a_name_can_be_is_replaced(loop: str, tmp_path: Path) -> None:
    async def program(path: Path) -> None:
        async with aio.replacing(path) as file:
            await file.write("new")

    for name in ("語" * 85, "x" * 255, "\U0001f600" * 63):
        path = tmp_path / name
        path.write_text("old")
        run_on(loop, program(path))
        assert only(path, "new")
        path.unlink()


@pytest.mark.parametrize("how", ["stopped", "closed", "dropped"])
def test_a_block_that_is_never_left_leaves_nothing(path: Path, how: str) -> None:
    program = f"""
    import asyncio, gc, os
    import aio_posix.asyncio as aio
    async def block():
        async with aio.replacing("file") as file:
            await file.write("new")
            await asyncio.sleep(60)
    async def drop():
        replacing = aio.replacing("file")
        file = await replacing.__aenter__()
        del replacing, file
        gc.collect()
        print(os.listdir("."))
    loop = asyncio.new_event_loop()
    if {how!r} == "dropped":
        loop.run_until_complete(drop())
    else:
        task = loop.create_task(block())
        loop.run_until_complete(asyncio.sleep(0.2))
        assert len(os.listdir(".")) == 2
        print(["file"])
    if {how!r} == "closed":
        loop.close()
    """
    assert run(program, cwd=path.parent).stdout == "['file']\n"
    assert only(path, "old")
