"""The programs in examples/ do what they say.

Those with an "# Output:" print it, and the others are run with arguments.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import fresh
import pytest
from deadline import eventually

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
PRINTING = [path for path in EXAMPLES if "# Output:\n" in path.read_text()]
MEBIBYTE = 1 << 20


def need(path: Path) -> None:
    """Skips where something that the example imports is not installed."""
    for name in re.findall(r"^import (numpy|trio|gevent)", path.read_text(), re.MULTILINE):
        pytest.importorskip(name)


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    need(FOLDER / name)
    command = [sys.executable, "-X", "faulthandler", "-W", "error", FOLDER / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=fresh.LIMIT)


@pytest.mark.parametrize("path", PRINTING, ids=lambda path: path.stem)
def test_an_example_prints_what_it_says(path: Path) -> None:
    need(path)
    text = path.read_text()
    output = re.sub(
        r"^# ?", "", text[text.index("# Output:\n") + len("# Output:\n") :], flags=re.MULTILINE
    )
    assert fresh.output(text, "-W", "error") == output


@pytest.mark.parametrize("size", [0, 1, 8 * MEBIBYTE, 21 * MEBIBYTE + 5], ids=str)
def test_a_copy_is_the_same_file(size: int, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(size))
    ended = run("copy_file.py", source, target)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{size} bytes\n", "")
    assert target.read_bytes() == source.read_bytes()


def test_a_file_that_is_copied_onto_itself_stays_as_it_was(tmp_path: Path) -> None:
    source, link = tmp_path / "source", tmp_path / "link"
    source.write_bytes(b"precious")
    link.symlink_to(source)
    for target in (source, link):
        ended = run("copy_file.py", source, target)
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
        assert source.read_bytes() == b"precious"


def test_a_copy_of_nothing_is_one_line_on_stderr(tmp_path: Path) -> None:
    ended = run("copy_file.py", tmp_path / "none", tmp_path / "target")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)


def test_the_checksums_of_a_tree_are_those_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    files = [tmp_path / "a", tmp_path / "below" / "b", tmp_path / "below" / "empty"]
    for path, size in zip(files, (100, 700_000, 0), strict=True):
        path.write_bytes(os.urandom(size))
    ended = run("checksum_tree.py", tmp_path)
    expected = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}" for path in files]
    assert (ended.returncode, ended.stdout.splitlines(), ended.stderr) == (0, expected, "")


def test_a_log_is_followed_through_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before ERROR\n")
    command = [sys.executable, FOLDER / "follow_log.py", log, "ERROR"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        os.set_blocking(follower.stdout.fileno(), False)
        said = b""

        def says(line: bytes) -> bool:
            nonlocal said
            assert follower.stdout is not None
            said += follower.stdout.read() or b""
            return said.endswith(line)

        def write(text: str) -> None:
            with log.open("a") as file:
                file.write(text)

        def write_until_it_is_said() -> bool:  # the follower begins at the end, wherever that is
            write("first ERROR\nhello\n")
            return eventually(lambda: says(b"first ERROR\n"), 0.5)

        assert eventually(write_until_it_is_said)
        write("half ")
        write("a line, ERROR\n")
        assert eventually(lambda: says(b"half a line, ERROR\n"))
        log.rename(tmp_path / "log.1")
        log.write_text("after ERROR\n")
        assert eventually(lambda: says(b"after ERROR\n"))
        follower.send_signal(signal.SIGINT)
        assert (follower.wait(fresh.LIMIT), follower.stderr.read()) == (130, b"")
        assert b"before" not in said


def test_random_rows_are_rows_of_the_file(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    matrix = numpy.repeat(numpy.arange(1000, dtype="<f4"), 256)
    matrix.tofile(tmp_path / "matrix")
    ended = run("random_rows.py", tmp_path / "matrix", "5000")
    chosen = numpy.random.default_rng(0).integers(1000, size=5000)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert abs(float(ended.stdout) - chosen.mean()) < 0.01


WRONG = (
    "checksum_tree.py", "checksum_tree.py NONE", "checksum_tree.py FILE",
    "column.py", "column.py NONE 8 0 4", "column.py FILE x 0 4", "column.py FILE 0 0 4",
    "column.py FILE 8 6 4", "column.py FILE 8 -1 4", "column.py FILE 8 0 0",
    "copy_file.py", "copy_file.py FOLDER TARGET", "copy_file.py FILE NONE/TARGET",
    "edit_json.py", "edit_json.py NONE key value", "edit_json.py FOLDER key value",
    "follow_log.py", "follow_log.py NONE", "follow_log.py FOLDER",
    "random_rows.py", "random_rows.py NONE 5", "random_rows.py FILE x", "random_rows.py FILE 5",
    "random_rows.py FILE -5",
    "trio_lines.py", "trio_lines.py NONE", "trio_lines.py FOLDER",
)  # fmt: skip


@pytest.mark.parametrize("command", WRONG)
def test_wrong_use_of_an_example_is_one_line_on_stderr(command: str, tmp_path: Path) -> None:
    name, *arguments = command.split()
    (tmp_path / "FILE").write_bytes(b"8 bytes.")
    (tmp_path / "FOLDER").mkdir()
    places = [tmp_path / one if one.isupper() else one for one in arguments]
    ended = run(name, *places)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)


def test_a_column_is_that_of_the_records(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.write_bytes(b"".join(b"%-8s%08d" % (b"name%d" % i, i) for i in range(2500)))
    ended = run("column.py", path, "16", "8", "8")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [f"{i:08}" for i in range(2500)]


def test_a_json_file_is_changed_or_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"a": "1"}')
    assert run("edit_json.py", path, "b", "2").returncode == 0
    assert json.loads(path.read_text()) == {"a": "1", "b": "2"}
    path.write_text("no JSON")
    ended = run("edit_json.py", path, "b", "2")
    assert (ended.returncode, ended.stderr.count("\n"), path.read_text()) == (1, 1, "no JSON")


def test_lines_are_counted_in_trio(tmp_path: Path) -> None:
    files = [tmp_path / "many", tmp_path / "none"]
    for path, count in zip(files, (100_000, 0), strict=True):
        path.write_text("line\n" * count)
    ended = run("trio_lines.py", *files)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["100000", "0"]


def test_every_example_is_run_and_listed() -> None:
    listed = re.findall(r"\[(\w+\.py)\]", (FOLDER / "README.md").read_text())
    assert sorted(listed) == [path.name for path in EXAMPLES]
    tests = Path(__file__).read_text()
    assert [
        path for path in EXAMPLES if path not in PRINTING and f'"{path.name}"' not in tests
    ] == []


@pytest.mark.parametrize("checker", [["mypy", "--strict"], ["basedpyright", "--level", "error"]])
def test_a_type_checker_finds_nothing(checker: list[str], tmp_path: Path) -> None:
    stubs = ["mypy", "numpy", "trio", "gevent"]
    if any(importlib.util.find_spec(name) is None for name in [*stubs, checker[0]]):
        pytest.skip(f"no {checker[0]}, or no stubs")
    cache = ["--cache-dir", str(tmp_path)] if checker[0] == "mypy" else []
    ended = subprocess.run(
        [sys.executable, "-m", *checker, *cache, *map(str, EXAMPLES)],
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_examples_show_every_call() -> None:
    shown = "".join(path.read_text() for path in EXAMPLES)
    calls = [
        "aio_read",
        "aio_write",
        "aio_fsync",
        "aio_error",
        "aio_return",
        "aio_suspend",
        "aio_cancel",
        "lio_listio",
        "CompletionQueue",
        "sigwaitinfo",
    ]
    assert [call for call in calls if f"{call}(" not in shown] == []


def test_the_page_on_layers_shows_examples_that_are_run() -> None:
    page = (FOLDER.parent / "docs" / "layers.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert programs == [
        (FOLDER / f"layer_{name}.py").read_text() for name in ("callback", "queue", "asyncio")
    ]
