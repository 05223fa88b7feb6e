"""aio_posix.asyncio.open as a drop-in: names, answers, mistakes and their errors, beside the
built-in's and aiofiles'.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import inspect
import io
import pickle
import warnings
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import aiofiles.base
import pytest

import aio_posix.asyncio as aio

T = TypeVar("T")
np = pytest.importorskip("numpy")


def run(program: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(program, 60))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "lines").write_bytes(b"line 1\nline 2\n")
    return tmp_path / "lines"


# --- questions


@pytest.mark.parametrize("mode", ["r", "w", "a", "r+", "rb", "wb", "ab", "r+b"])
@pytest.mark.parametrize("question", ["readable", "writable", "seekable", "isatty"])
def test_a_question_is_answered_plainly_and_awaited(path: Path, mode: str, question: str) -> None:
    async def program() -> None:
        async with aio.open(path, mode) as file:
            with open(path, mode) as builtin:
                expected = getattr(builtin, question)()
            answer = getattr(file, question)()
            assert bool(answer) is expected
            assert answer == expected
            assert repr(answer) == repr(expected)
            assert inspect.isawaitable(answer)
            assert (await answer) is expected

    run(program())


def test_a_closed_file_answers_no_question(path: Path) -> None:
    async def program() -> None:
        file = await aio.open(path)
        await file.close()
        for question in (file.readable, file.writable, file.seekable, file.isatty):
            with pytest.raises(ValueError, match="closed"):
                question()

    run(program())


# --- an await that was forgotten


def test_a_file_that_was_not_awaited_says_so(path: Path) -> None:
    opening = aio.open(path)
    for name in ("read", "write", "name", "anything"):
        with pytest.raises(AttributeError, match="await"):
            getattr(opening, name)
    with pytest.raises(TypeError, match="async with"), opening:
        pass
    assert not hasattr(opening, "closed")

    async def program() -> None:
        await (await opening).close()

    run(program())


def test_an_open_that_is_never_awaited_warns(path: Path) -> None:
    with pytest.warns(RuntimeWarning, match=r"open\(.*lines.*\) was never awaited"):
        aio.open(path)


def test_an_open_that_is_awaited_or_entered_does_not_warn(path: Path) -> None:
    async def program() -> None:
        async with aio.open(path):
            pass
        await (await aio.open(path)).close()
        with contextlib.suppress(FileNotFoundError):
            await aio.open(path.parent / "missing")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(program())
        gc.collect()


def test_an_open_that_two_tasks_await_is_refused_to_the_second(path: Path) -> None:
    async def program() -> None:
        opening = aio.open(path, "r+b")
        one, two = await asyncio.gather(
            opening.__aenter__(), opening.__aenter__(), return_exceptions=True
        )
        assert isinstance(two, RuntimeError) or one is two
        await (await opening).close()

    run(program())


# --- names


@pytest.mark.parametrize("name", ["os", "tempfile", "stdin", "stdout_bytes", "threadpool"])
def test_what_is_only_in_aiofiles_is_pointed_to(name: str) -> None:
    with pytest.raises(AttributeError, match=f"aiofiles.* {name}|aiofiles.{name}"):
        getattr(aio, name)


def test_a_name_that_nobody_has_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = aio.nothing


def test_the_classes_of_files_are_public(path: Path) -> None:
    async def program() -> None:
        for mode, kind in (("r", aio.TextFile), ("rb", aio.BinaryFile), ("r+b", aio.BinaryFile)):
            async with aio.open(path, mode) as file:
                assert isinstance(file, kind)
        async with aio.open(path, "rb", 0) as raw:
            assert isinstance(raw, aio.BinaryFile)

    run(program())


def test_files_have_every_public_name_of_the_files_of_aiofiles(path: Path) -> None:
    async def program() -> None:
        for mode, buffering in (("r", -1), ("w+", -1), ("rb", -1), ("ab", -1), ("rb", 0)):
            async with aiofiles.open(path, mode, buffering) as theirs:
                names = {name for name in dir(theirs) if not name.startswith("_")}
            async with aio.open(path, mode, buffering) as ours:
                missing = {name for name in names if not hasattr(ours, name)}
            assert missing <= {"buffer"}, mode

    run(program())


# --- copies


@pytest.mark.parametrize("mode", ["r", "rb", "w", "r+b"])
def test_a_file_is_neither_copied_nor_pickled(path: Path, mode: str) -> None:
    async def program() -> None:
        async with aio.open(path, mode) as file:
            for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match="cannot pickle"):
                    duplicate(file)

    run(program())


# --- mistakes

HALF = memoryview(b"abcd")[::2]
HUGE = 1 << 70
MISTAKES: list[tuple[str, str, tuple[Any, ...]]] = [
    *(("rb", name, (wrong,)) for name in ("read", "readline", "readlines") for wrong in ("x", 1.5)),
    *(("r", name, (wrong,)) for name in ("read", "readline", "readlines") for wrong in ("x", 1.5)),
    *((mode, name, (HUGE,)) for mode in ("r", "rb") for name in ("read", "readline")),
    *(("rb", "read1", (wrong,)) for wrong in ("x", None)),
    ("rb", "peek", ("x",)),
    ("rb", "read", (-2,)),
    *(("wb", "write", (wrong,)) for wrong in (5, "text", None, HALF)),
    *(("w", "write", (wrong,)) for wrong in (5, b"bytes", None)),
    *((mode, "writelines", (wrong,)) for mode in ("w", "wb", "rb") for wrong in (5, [5])),
    ("wb", "writelines", ("text",)),
    ("w", "writelines", (b"bytes",)),
    *(
        ("rb", name, (wrong,))
        for name in ("readinto", "readinto1")
        for wrong in (b"bytes", "text", 5)
    ),
    ("rb", "readinto", (memoryview(bytearray(8))[::2],)),
    *(("rb", "seek", args) for args in [("x",), (1.5,), (-1,), (HUGE,), (None,)]),
    *(("rb", "seek", (0, whence)) for whence in (9, -1, "x", None)),
    *(("r", "seek", (0, whence)) for whence in (9, -1, "x", None)),
    *(("r", "seek", args) for args in [("x",), (-1,), (3, 1), (3, 2)]),
    *((mode, "truncate", (wrong,)) for mode in ("w", "wb") for wrong in (-1, "x", 1.5, HUGE)),
    ("rb", "write", (b"bytes",)),
    ("rb", "truncate", (0,)),
    ("wb", "read", ()),
    ("w", "read", ()),
    ("r", "write", ("text",)),
]


@pytest.mark.parametrize(("mode", "name", "args"), MISTAKES)
def test_a_mistake_raises_what_it_raises_with_the_builtin(
    path: Path, mode: str, name: str, args: tuple[Any, ...]
) -> None:
    # The mistake decides which exception it is.
    with open(path, mode) as builtin, pytest.raises(Exception) as theirs:  # noqa: PT011
        getattr(builtin, name)(*args)

    async def program() -> None:
        async with aio.open(path, mode) as file:
            with pytest.raises(theirs.type) as ours:
                await getattr(file, name)(*args)
            assert ours.type is theirs.type

    run(program())


def test_an_error_leaves_the_file_as_it_was(path: Path) -> None:
    async def program() -> None:
        async with aio.open(path, "r+b") as file:
            assert await file.read(3) == b"lin"
            for call in (file.read, file.readline, file.seek, file.write, file.readinto):
                with pytest.raises(TypeError):
                    await call(1.5)
            assert await file.tell() == 3
            assert await file.read() == b"e 1\nline 2\n"

    run(program())


# --- buffers


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
@pytest.mark.parametrize("buffering", [-1, 0])
def test_an_empty_array_of_any_shape_is_written_and_filled(
    path: Path, shape: tuple[int, ...], buffering: int
) -> None:
    empty = np.zeros(shape)

    async def program() -> None:
        async with aio.open(path, "r+b", buffering) as file:
            assert await file.write(empty) == 0
            assert await file.readinto(empty) == 0
            assert await file.readinto1(empty) == 0
            assert await file.readinto(empty, 3) == 0
            assert await file.pwrite(empty, 3) == 0
            assert await file.tell() == 0
        assert path.read_bytes() == b"line 1\nline 2\n"

    run(program())


def test_an_array_of_any_shape_and_type_is_written_and_filled_whole(path: Path) -> None:
    array = np.arange(12, dtype="<u2").reshape(3, 4)

    async def program() -> None:
        async with aio.open(path, "w+b") as file:
            assert await file.write(array) == 24
            await file.seek(0)
            again = np.zeros((2, 6), dtype="<u2")
            assert await file.readinto(again) == 24
            assert again.ravel().tolist() == list(range(12))
        assert io.BytesIO(path.read_bytes()).read() == array.tobytes()

    run(program())


@pytest.mark.parametrize("newline", ["", "\r\n"])
def test_what_is_written_is_the_characters_whatever_a_subclass_says(
    tmp_path: Path, newline: str
) -> None:
    class Wide(str):
        def __len__(self) -> int:
            raise KeyError("no length")

    async def program() -> int:
        async with aio.open(tmp_path / "file", "w", newline=newline) as file:
            return await file.write(Wide("text\n"))

    assert run(program()) == 5
    assert (tmp_path / "file").read_bytes() == b"text" + (newline or "\n").encode()
