"""Which files aio_posix.asyncio.open() opens at once, and what an open that waits holds up."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import io
import os
import warnings
from pathlib import Path
from typing import Any

import pytest
from deadline import eventually
from fresh import output, run
from loops import LOOPS, run_on

import aio_posix.asyncio as aio
from aio_posix import _calls
from aio_posix.asyncio.bell import Bell
from aio_posix.asyncio.files import opening
from aio_posix.sigevent import address

BELL = Bell()


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"content\n")
    return tmp_path / "file"


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


async def given_up(call: Any, seconds: float = 0.05) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(call, seconds)


def descriptors() -> set[str]:
    gc.collect()
    return set(os.listdir("/proc/self/fd"))


# --- opens that wait


@pytest.mark.parametrize("mode", ["rb", "wb", "r", "w"])
def test_the_open_of_a_fifo_can_be_cancelled_and_leaves_nothing(
    loop: str, fifo: Path, mode: str
) -> None:
    async def program() -> None:
        await given_up(aio.open(fifo, mode).__aenter__())

    run_on(loop, program())
    # whoever comes later meets the open that was given up, and then the end of its file
    other = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    os.close(other)
    assert eventually(lambda: not opened(fifo))


def opened(path: Path) -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(link))
    return [name for name in found if name == str(path)]


def test_any_number_of_opens_that_wait_stop_no_other(loop: str, path: Path, fifo: Path) -> None:
    async def program() -> None:
        waiting = [asyncio.ensure_future(aio.open(fifo, "rb").__aenter__()) for _ in range(60)]
        await asyncio.sleep(0.05)
        for name in ("new", "newer"):
            async with aio.open(path.with_name(name), "wb") as file:
                await file.write(b"x")
        writer = await aio.open(fifo, "wb")
        for each in await asyncio.wait_for(asyncio.gather(*waiting), 10):
            await each.close()
        await writer.close()

    run_on(loop, program())


def test_a_fifo_gives_what_its_writer_writes(loop: str, fifo: Path) -> None:
    async def program() -> None:
        reader = asyncio.ensure_future(aio.open(fifo).__aenter__())
        async with aio.open(fifo, "w") as writer:
            await writer.write("one\ntwo\n")
        async with await reader as file:
            assert await file.readlines() == ["one\n", "two\n"]

    run_on(loop, program())


WAITS = """
import asyncio, os, sys
import aio_posix.asyncio as aio
os.mkfifo("fifo")
async def reader(mode):
    async with aio.open("fifo", mode) as file:
        return await file.read()
async def main():
    try:
        await asyncio.wait_for(asyncio.gather(reader("rb"), reader("r")), 0.1)
    except asyncio.TimeoutError:
        print("given up")
asyncio.run(main())
"""


def test_the_end_of_a_program_does_not_wait_for_an_open_that_was_given_up(tmp_path: Path) -> None:
    assert output(WAITS, cwd=tmp_path) == "given up\n"


def test_ctrl_c_ends_a_program_whose_open_waits(tmp_path: Path) -> None:
    program = """
    import asyncio, os, signal, threading
    import aio_posix.asyncio as aio
    os.mkfifo("fifo")
    async def main():
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGINT)
        await aio.open("fifo")
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
    """
    assert output(program, cwd=tmp_path) == "interrupted\n"


# --- opens that need no thread


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were opened in a thread."""
    paths: list[str] = []

    class Call(opening.Call):
        def __init__(self, ended: _calls.Ended, path: str | bytes, flags: int) -> None:
            super().__init__(ended, path, flags)
            paths.append(os.fsdecode(path))

        def __call__(self) -> None:
            raise AssertionError("the loop did it")

    monkeypatch.setattr(opening, "Call", Call)
    return paths


async def opened_and_closed(path: Path, mode: str = "rb", **how: Any) -> None:
    async with aio.open(path, mode, **how):
        pass


def at_once(path: Path) -> bool:
    """Whether this system can open it without waiting, after a first open."""
    ended = _calls.Ended(address(BELL.c))
    call = _calls.OpenCall(ended, str(path), os.O_RDONLY | os.O_CLOEXEC)
    call()
    os.close(call.take()[0])
    found = _calls.open_now(str(path), os.O_RDONLY | os.O_CLOEXEC)
    if found is not None:
        os.close(found[0])
    return found is not None


def test_a_cached_file_of_a_local_file_system_is_opened_on_the_loop(
    loop: str, path: Path, in_threads: list[str]
) -> None:
    if not at_once(path):
        pytest.skip("no openat2(RESOLVE_CACHED), or no local file system that is known here")
    for mode in ("rb", "r", "r+b", "r+"):
        run_on(loop, opened_and_closed(path, mode))
    assert in_threads == []


@pytest.mark.parametrize("mode", ["wb", "ab", "w", "a", "w+b"])
def test_a_file_that_may_have_to_be_made_is_opened_in_a_thread(
    loop: str, path: Path, in_threads: list[str], mode: str
) -> None:
    run_on(loop, opened_and_closed(path, mode))
    assert in_threads == [str(path)]


@pytest.mark.parametrize("name", ["/dev/null", "/proc/self/status", "/sys/kernel/mm/ksm/run"])
def test_devices_and_files_of_the_kernel_are_opened_in_a_thread(
    loop: str, in_threads: list[str], name: str
) -> None:
    if not os.path.exists(name):
        pytest.skip("not here")
    for _ in range(2):
        run_on(loop, opened_and_closed(Path(name)))
    assert in_threads == [name, name]


def test_a_fifo_is_not_even_touched_by_the_loop(fifo: Path) -> None:
    """A reader that comes and goes would send its writer SIGPIPE."""
    at_once(fifo.with_name("other") if fifo.with_name("other").exists() else make(fifo))
    assert _calls.open_now(str(fifo), os.O_RDONLY | os.O_CLOEXEC) is None
    with pytest.raises(OSError, match="No such device"):
        os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)  # nobody has it open for reading


def make(fifo: Path) -> Path:
    fifo.with_name("other").write_bytes(b"")
    return fifo.with_name("other")


def test_a_file_that_was_opened_at_once_has_the_flags_of_the_builtin(path: Path) -> None:
    async def program() -> None:
        for mode in ("rb", "r+b", "wb", "ab", "w+b", "r"):
            async with aio.open(path, mode) as file:
                with open(path, mode) as builtin:
                    ours, theirs = (fcntl.fcntl(f.fileno(), fcntl.F_GETFL) for f in (file, builtin))
                    assert ours == theirs
                    assert not os.get_inheritable(file.fileno())
                    assert file.mode == builtin.mode

    run_on("asyncio", program())


def test_without_openat2_every_file_is_opened_in_a_thread(
    path: Path, in_threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "open_now", lambda path, flags: None)
    run_on("asyncio", opened_and_closed(path))
    assert in_threads == [str(path)]


# --- as the built-in


def test_the_audit_events_are_those_of_the_builtin(path: Path) -> None:
    program = f"""
    import asyncio, sys
    import aio_posix.asyncio as aio
    path = {str(path)!r}
    events = []
    def hook(event, args):
        if event == "open" and args[0] == path:
            events.append(args)
    sys.addaudithook(hook)
    async def main(mode):
        async with aio.open(path, mode):
            pass
    async def all():
        for mode in ("r", "rb", "r+b", "wb", "a", "w+", "rb"):
            await main(mode)
    asyncio.run(all())
    ours, events[:] = events[:], []
    for mode in ("r", "rb", "r+b", "wb", "a", "w+", "rb"):
        open(path, mode).close()
    print(ours == events, len(ours))
    """
    assert output(program) == "True 7\n"


def test_an_audit_hook_that_refuses_keeps_the_file_shut(path: Path) -> None:
    program = """
    import asyncio, os, sys
    import aio_posix.asyncio as aio
    def hook(event, args):
        if event == "open" and args[0] == "secret":
            raise PermissionError("refused")
    async def main(mode):
        try:
            await aio.open("secret", mode)
        except PermissionError as error:
            print(error)
    open("secret", "w").close()
    sys.addaudithook(hook)
    for mode in ("r", "wb"):
        asyncio.run(main(mode))
    """
    assert output(program, cwd=path.parent) == "refused\nrefused\n"


def test_the_encoding_warning_is_that_of_the_builtin(path: Path) -> None:
    program = f"""
    import asyncio
    import aio_posix.asyncio as aio
    async def main():
        async with aio.open({str(path)!r}):  # line 5
            pass
    asyncio.run(main())
    """
    ended = run(program, "-X", "warn_default_encoding")
    assert ended.returncode == 0
    assert "<string>:5: EncodingWarning: 'encoding' argument not specified" in ended.stderr


def test_the_resource_warning_names_the_file(path: Path) -> None:
    async def program(mode: str) -> None:
        with pytest.warns(ResourceWarning, match=rf"^unclosed file <.*name='{path}' mode="):
            await aio.open(path, mode)

    for mode in ("r", "rb", "ab"):
        run_on("asyncio", program(mode))
    assert not opened(path)


def test_a_descriptor_that_stays_with_its_owner_is_not_warned_of(path: Path) -> None:
    async def program(fd: int) -> None:
        await aio.open(fd, "rb", closefd=False)

    fd = os.open(path, os.O_RDONLY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_on("asyncio", program(fd))
        gc.collect()
    os.close(fd)


@pytest.mark.parametrize(
    "how",
    [
        {"encoding": "no such"},
        {"newline": "x"},
        {"buffering": 0},
        {"closefd": False},
        {"mode": "rw"},
        {"mode": ""},
        {"mode": "rbt"},
        {"mode": "rb", "newline": "\n"},
        {"mode": "rb", "errors": "strict"},
        {"buffering": 1.5},
        {"mode": 5},
        {"encoding": 5},
        {"encoding": "hex"},
    ],
)
def test_what_the_builtin_refuses_is_refused_and_creates_nothing(
    tmp_path: Path, how: dict[str, Any]
) -> None:
    path = tmp_path / "new"
    if how.get("mode", "w") == "w":
        how = {"mode": "w", **how}
    with pytest.raises(Exception) as theirs:  # noqa: PT011  # whichever it is
        open(path, **how)  # noqa: SIM115  # it fails
    path.unlink(missing_ok=True)

    async def program() -> None:
        with pytest.raises(theirs.type):
            await aio.open(path, **how)

    run_on("asyncio", program())
    assert not opened(path)


def test_a_pipe_cannot_be_opened_to_read_and_write_with_a_buffer(fifo: Path) -> None:
    async def program(mode: str) -> None:
        with pytest.raises(io.UnsupportedOperation, match="not seekable"):
            await aio.open(fifo, mode)

    for mode in ("r+b", "r+"):
        run_on("asyncio", program(mode))
    assert not opened(fifo)


def test_the_terminal_is_line_buffered(loop: str) -> None:
    here, there = os.openpty()
    name = os.ttyname(there)

    async def program() -> None:
        async with aio.open(name, "w") as file:
            assert file.line_buffering
            assert await file.isatty()
            await file.write("no end")
            await file.write(" end\n")
            assert await asyncio.to_thread(os.read, here, 100) == b"no end end\r\n"

    run_on(loop, program())
    os.close(here)
    os.close(there)


def test_one_open_file_needs_one_descriptor(loop: str, path: Path) -> None:
    async def program() -> None:
        async with aio.open(path, "rb") as first:
            await first.read()
            before = len(descriptors())
            files = [await aio.open(path, mode) for mode in ("r", "rb", "r+b", "ab", "a", "r+")]
            for file in files:
                if file.readable():
                    await file.read()
                if file.writable():
                    await file.write(b"x" if "b" in file.mode else "x")
                    await file.flush()
            assert len(descriptors()) == before + len(files)
            for file in files:
                await file.close()
            assert len(descriptors()) == before

    run_on(loop, program())


# --- the descriptor that is handed out


def test_whoever_asks_for_the_descriptor_sees_the_position(path: Path) -> None:
    path.write_bytes(b"0123456789" * 10_000)

    async def program() -> None:
        async with aio.open(path, "r+b") as file:
            await file.seek(10)
            assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 10
            assert os.read(file.fileno(), 5) == b"01234"
            assert await file.read(5) == b"56789"
            await file.seek(3)
            await file.write(b"xyz")
            await file.flush()
            assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 6
            assert file.raw.tell() == 6
            assert isinstance(file.raw, io.FileIO)
            assert file.raw.name == file.name

    run_on("asyncio", program())


def test_a_raw_file_that_the_user_closes_closes_the_file(path: Path) -> None:
    async def program() -> None:
        file = await aio.open(path, "rb")
        file.raw.close()
        assert file.closed
        with pytest.raises(ValueError, match="closed"):
            await file.read()
        await file.close()

    run_on("asyncio", program())


def test_a_forked_child_shares_the_position_with_its_parent(tmp_path: Path) -> None:
    program = """
    import asyncio, os, warnings
    import aio_posix.asyncio as aio
    warnings.simplefilter("ignore", DeprecationWarning)
    async def line(file, text):
        await file.write(text)
        await file.flush()
    loop = asyncio.new_event_loop()
    file = loop.run_until_complete(aio.open("log", "wb").__aenter__())
    loop.run_until_complete(line(file, b"parent\\n"))
    child = os.fork()
    if not child:
        asyncio.run(line(file, b"child\\n"))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    loop.run_until_complete(line(file, b"parent again\\n"))
    loop.run_until_complete(file.close())
    print(open("log").read())
    """
    assert output(program, cwd=tmp_path) == "parent\nchild\nparent again\n\n"


def test_an_open_that_is_cancelled_in_any_turn_leaves_nothing_and_says_nothing(
    loop: str, path: Path
) -> None:
    async def program() -> None:
        for turns in range(6):
            tasks = [asyncio.ensure_future(opened_and_closed(path)) for _ in range(400)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_on(loop, program())
        gc.collect()
    assert eventually(lambda: not opened(path))


@pytest.mark.parametrize(
    "args", [(None,), (3,), ("rb", 2**31), ("w", 2**40), ("rb", -(2**40)), ("r", True, 5)]
)
def test_an_argument_of_a_wrong_type_or_size_opens_nothing(path: Path, args: Any) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011  # whichever it is
        open(path, *args)  # noqa: SIM115  # it fails

    async def program() -> None:
        with pytest.raises(theirs.type) as ours:
            await aio.open(path, *args)
        assert str(ours.value) == str(theirs.value)

    run_on("asyncio", program())
    assert path.read_bytes() == b"content\n"
