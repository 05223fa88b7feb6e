"""aio_posix.asyncio.open against the built-in: the same random scripts, the same results, errors
and bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aio_posix.asyncio as aio

BINARY = ["rb", "r+b", "wb", "w+b", "ab", "a+b"]
TEXT = ["r", "r+", "w", "w+", "a", "a+"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "ascii", "cp1252",
             "shift_jis", "iso2022_jp", "utf-7"]  # fmt: skip
Step = tuple[str, tuple[Any, ...]]

sizes = st.one_of(st.none(), st.integers(-2, 40), st.sampled_from([8191, 8192, 8193, 20000]))
offsets = st.one_of(st.integers(-2, 60), st.sampled_from([8190, 8192, 30000]))
LAST = (1 << 63) - 1  # the last position that off_t has
lengths = st.sampled_from([1, 1, 1, 1, 3, 400, 9000])
bytes_ = st.builds(
    bytes.__mul__,
    st.one_of(st.binary(max_size=6), st.sampled_from([b"\n", b"ab\r\n", b"\r"])),
    lengths,
)
words = st.sampled_from(
    ["", "a", "ä", "\n", "\r", "\r\n", "word\n", "語", "x\r\ny", "\U0001f600", "é\n\n", "ü\r"]
)
texts = st.builds(str.__mul__, st.builds("".join, st.lists(words, max_size=5)), lengths)


def steps(
    data: st.SearchStrategy[Any], *more: st.SearchStrategy[Step]
) -> st.SearchStrategy[list[Step]]:
    def step(name: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
        return st.tuples(st.just(name), st.tuples(*args))

    return st.lists(
        st.one_of(
            step("read", sizes),
            step("readline"),
            step("readline", sizes.filter(bool)),
            step("readlines", sizes),
            step("next"),
            step("tell"),
            step("write", data),
            step("write", data),
            step("writelines", st.lists(data, min_size=1, max_size=3)),
            step("flush"),
            step("truncate"),
            step("truncate", offsets),
            step("seek", st.just(0), st.just(0)),
            step("seek", st.just(0), st.integers(0, 2)),
            *more,
        ),
        max_size=14,
    )


# what a file opened to append has beside: positions that writes do not go to
APPENDING: list[list[Step]] = [
    [("write", (b"abc",)), ("tell", ()), ("flush", ()), ("tell", ())],
    [("seek", (2,)), ("write", (b"abc",)), ("tell", ()), ("flush", ()), ("tell", ())],
    [("seek", (2,)), ("write", (b"abc",)), ("write", (b"d",)), ("tell", ()), ("seek", (0, 1))],
    [("seek", (2,)), ("write", (b"abc",)), ("truncate", ()), ("tell", ())],
    [("seek", (2,)), ("write", (b"x" * 200_000,)), ("tell", ())],
    [
        ("truncate", (3,)),
        ("tell", ()),
        ("write", (b"q",)),
        ("tell", ()),
        ("flush", ()),
        ("tell", ()),
    ],
    [("seek", (2,)), ("raw", ()), ("tell", ()), ("read", (2,))],
    [("seek", (2,)), ("read", (1,)), ("raw", ()), ("tell", ()), ("read", (2,))],
    [("seek", (2,)), ("fileno", ()), ("raw", ()), ("tell", ()), ("read", (2,))],
    [("seek", (2,)), ("write", (b"q",)), ("raw", ()), ("tell", ())],
]


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (OSError, ValueError, TypeError, OverflowError, BufferError) as error:
        return type(error)


async def awaited(call: Any) -> Any:
    try:
        return await call
    except (OSError, ValueError, TypeError, OverflowError, BufferError) as error:
        return type(error)


def do(file: Any, name: str, args: tuple[Any, ...], cookies: list[int]) -> Any:
    if name == "next":  # readline, for the built-in cannot tell after next
        return file.readline()
    if name == "readlines":
        lines: list[Any] = []
        while line := file.readline():
            lines.append(line)
            if 0 < (args[0] or 0) < sum(map(len, lines)):
                break
        return lines
    if name == "back":
        return file.seek(cookies[args[0] % len(cookies)])
    if name == "readinto":
        buffer = bytearray(args[0])
        return file.readinto(buffer), buffer
    if (
        "write" in name and "a" in file.mode
    ):  # as C asks for; where an append goes after a read-ahead is an accident
        file.seek(0, 2)
    result = getattr(file, name)(*args)
    if "write" in name and "+" in file.mode and isinstance(file, io.TextIOBase):
        # before 3.13 reading what was just written mixes them up
        file.flush()
    return result


async def do_ours(file: Any, name: str, args: tuple[Any, ...], cookies: list[int]) -> Any:
    if name == "next":
        async for line in file:
            return line
        return await file.readline()
    if name == "back":
        return await file.seek(cookies[args[0] % len(cookies)])
    if name == "readinto":
        buffer = bytearray(args[0])
        return await file.readinto(buffer), buffer
    if "write" in name and "a" in file.mode:
        await file.seek(0, 2)
    return await getattr(file, name)(*args)


def at_once(file: Any, name: str, args: tuple[Any, ...]) -> Any:
    """What is no awaited method. ``raw`` and fileno() differ, but not in what they do."""
    if name == "raw":
        return file.raw and None
    return file.fileno() and None if name == "fileno" else getattr(file, name)(*args)


async def compare(content: bytes, mode: str, script: list[Step], **how: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        theirs, mine = Path(folder, "theirs"), Path(folder, "mine")
        theirs.write_bytes(content)
        mine.write_bytes(content)
        with open(theirs, mode, **how) as file, contextlib.suppress(UnicodeError):
            async with aio.open(mine, mode, **how) as our:
                await compare_step_by_step(
                    file, our, script, lambda: mine.read_bytes() == theirs.read_bytes()
                )
                assert await awaited(our.close()) == outcome(file.close)
        assert mine.read_bytes() == theirs.read_bytes()


async def compare_step_by_step(
    file: Any, our: Any, script: list[Step], same: Callable[[], bool]
) -> None:
    cookies: list[int] = [0]
    for name, args in script:
        expected = outcome(lambda: do(file, name, args, cookies))  # noqa: B023  # called at once
        got = await awaited(do_ours(our, name, args, cookies))
        if name == "tell" and isinstance(expected, int) and isinstance(got, int):
            cookies.append(expected)
            assert got == expected, (name, got, expected)
        elif not (
            got is io.UnsupportedOperation and expected is TypeError
        ):  # 3.12.1 when a writer is to read(None)
            assert got == expected, (name, args, got, expected)
        if isinstance(expected, type) and issubclass(expected, UnicodeError):
            break  # what the built-in holds then is its secret
        if name == "flush":
            assert same()
    if not {"tell", "seek", "back"} & {
        name for name, _ in script
    }:  # at which the built-in's decoder may be reset
        assert getattr(our, "newlines", None) == getattr(file, "newlines", None)


QUICK = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(
    content=bytes_,
    mode=st.sampled_from(BINARY),
    script=steps(
        bytes_,
        st.tuples(st.just("seek"), st.tuples(offsets, st.integers(0, 2))),
        st.tuples(st.just("readinto"), st.tuples(st.integers(0, 40))),
    ),
    buffering=st.sampled_from([-1, -1, 0, 2, 16]),
)
def test_a_binary_file_does_what_the_builtin_does(
    content: bytes, mode: str, script: list[Step], buffering: int
) -> None:
    asyncio.run(compare(content, mode, script, buffering=buffering))


@QUICK
@given(
    content=texts,
    mode=st.sampled_from(TEXT),
    script=steps(texts.filter(bool), st.tuples(st.just("back"), st.tuples(st.integers(0, 5)))),
    encoding=st.sampled_from(ENCODINGS),
    errors=st.sampled_from(["strict", "replace", "ignore", "surrogateescape", "backslashreplace"]),
    newline=st.sampled_from([None, "", "\n", "\r", "\r\n"]),
    buffering=st.sampled_from([-1, -1, -1, 1]),
)
def test_a_text_file_does_what_the_builtin_does(
    content: str,
    mode: str,
    script: list[Step],
    encoding: str,
    errors: str,
    newline: str | None,
    buffering: int,
) -> None:
    encoded = content.encode(encoding, "ignore")
    how = {"encoding": encoding, "errors": errors, "newline": newline, "buffering": buffering}
    asyncio.run(compare(encoded, mode, script, **how))


async def compare_exactly(folder: Path, mode: str, script: list[Step], buffering: int = -1) -> None:
    theirs, mine = folder / "theirs", folder / "mine"
    theirs.write_bytes(b"0123456789")
    mine.write_bytes(b"0123456789")
    with open(theirs, mode, buffering) as file:
        async with aio.open(mine, mode, buffering) as our:
            for name, args in script:
                expected = outcome(lambda: at_once(file, name, args))  # noqa: B023  # at once
                got = outcome(lambda: at_once(our, name, args))  # noqa: B023
                if isinstance(got, Awaitable):
                    got = await awaited(got)
                assert got == expected, (name, args)
    assert mine.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("script", APPENDING)
@pytest.mark.parametrize("mode", ["ab", "a+b"])
def test_a_file_opened_to_append_is_where_the_builtin_is(
    tmp_path: Path, mode: str, script: list[Step]
) -> None:
    asyncio.run(compare_exactly(tmp_path, mode, script))


MISTAKES: list[Step] = [
    *(("seek", (offset,)) for offset in (-1, 1 << 45, 1 << 62, LAST, LAST + 1, 1 << 70)),
    *(("seek", args) for args in ((1 << 62, 1), (1 << 62, 2), (-50, 2), (-5, 1), (0, 9), (99, 4))),
    *(("truncate", (size,)) for size in (-1, 1 << 62, 1 << 70, 1.5)),
    *(("read", (size,)) for size in (1 << 70, -(1 << 70), 1.5, "1")),
    *(("readline", (size,)) for size in (1 << 70, 1.5)),
]
BINARY_MISTAKES: list[Step] = [
    *(("peek", (size,)) for size in (1 << 70, 1.5)),
    *(("read1", (size,)) for size in (1 << 70, 1.5)),
    *((name, (data,)) for name in ("readinto", "readinto1") for data in (b"", b"a", "a", 5, None)),
    *(("write", (data,)) for data in ("a", 5, None, memoryview(b"abcd")[::2])),
]


@pytest.mark.parametrize(
    ("mode", "buffering", "mistakes"),
    [
        ("r+b", -1, [*MISTAKES, *BINARY_MISTAKES]),
        ("r+b", 0, MISTAKES),
        ("r+", -1, MISTAKES),
    ],
)
def test_a_mistake_raises_what_the_builtin_raises_and_moves_nothing(
    tmp_path: Path, mode: str, buffering: int, mistakes: list[Step]
) -> None:
    for mistake in mistakes:
        script = [("read", (3,)), mistake, ("tell", ()), ("fileno", ()), ("read", (2,))]
        asyncio.run(compare_exactly(tmp_path, mode, script, buffering))


def test_a_write_that_would_end_beyond_all_files_fails_as_with_the_builtin(tmp_path: Path) -> None:
    """A tmpfs takes any position, ext4 refuses the seek."""
    memory = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path)
    script: list[Step] = [("seek", (LAST,)), ("write", (b"abc",)), ("flush", ())]
    with folder as name:
        asyncio.run(compare_exactly(Path(name), "r+b", [*script, ("truncate", (4,))], 0))
