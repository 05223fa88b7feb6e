"""Commands of study write within the width of a terminal, in the letters that it has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aio_posix.study.console import hanging, legible

READS = """
from aio_posix import *
event = sigevent(SIGEV_THREAD, sigev_notify_function=lambda cb: None)
cb = aiocb(open(__file__), bytearray(9), aio_sigevent=event)
aio_read(cb)
aio_suspend([cb])
aio_return(cb)
"""
TOOL = [sys.executable, "-m", "aio_posix"]


def test_words_beside_a_name_are_wrapped_below_themselves() -> None:
    assert (
        hanging("  1  ", "one two three four five six", 25)
        == "  1  one two three four\n     five six"
    )


@pytest.mark.parametrize("columns", [80, 60, 40])
@pytest.mark.parametrize(
    "command",
    [["study"], ["limits"], ["--help"], ["trace", "SCRIPT"], ["study", "play", "8", "--check"]],
    ids=" ".join,
)
def test_a_table_is_as_wide_as_the_terminal(
    command: list[str], columns: int, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(READS)
    words = [str(script) if word == "SCRIPT" else word for word in command]
    words += ["--no-page"] * ("--check" in words)
    environment = {**os.environ, "COLUMNS": str(columns)}
    ran = subprocess.run(
        [*TOOL, *words], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    assert max(map(len, ran.stdout.splitlines())) <= columns


@pytest.mark.parametrize("command", [["study", "8"], ["study"], ["limits"], ["trace", "SCRIPT"]])
def test_an_ascii_terminal_gets_letters_that_it_has(command: list[str], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(READS)
    named = [str(script) if word == "SCRIPT" else word for word in command]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    ran = subprocess.run([*TOOL, *named], capture_output=True, timeout=60, env=environment)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.isascii()


def test_letters_are_replaced_only_where_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull, "w", encoding="ascii") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert legible("12 µs · x \udcff ☃") == "12 us - x \\udcff \\u2603"
    with open(os.devnull, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert legible("12 µs ☃") == "12 µs ☃"
        assert legible("µ \udcff") == "u \\udcff"
    monkeypatch.setattr(sys, "stdout", None)
    assert legible("12 µs") == "12 µs"


@pytest.mark.parametrize("which", ["6", "all"])
def test_ctrl_c_ends_a_lesson_with_one_line(which: str) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*TOOL, "study", which], stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        while not running.stdout.readline().startswith(("SEE", "ok ")):
            pass
        os.killpg(running.pid, signal.SIGINT)
        _, complaint = running.communicate(timeout=20)
    assert (running.returncode, complaint) == (
        128 + signal.SIGINT,
        "aio-posix: interrupted\n",
    )
