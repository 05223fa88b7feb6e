"""What commands of study write: within the width of a terminal, in the letters that it has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aio_posix.study.console import hanging, legible

TOOL = [sys.executable, "-m", "aio_posix"]


def test_words_beside_a_name_are_wrapped_below_themselves() -> None:
    assert (
        hanging("  1  ", "one two three four five six", 25)
        == "  1  one two three four\n     five six"
    )


@pytest.mark.parametrize("columns", [80, 60, 40])
@pytest.mark.parametrize("command", ["study", "limits"])
def test_a_table_is_as_wide_as_the_terminal(command: str, columns: int) -> None:
    environment = {**os.environ, "COLUMNS": str(columns)}
    ran = subprocess.run(
        [*TOOL, command], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    lines = [line for line in ran.stdout.splitlines() if not line.startswith("one lesson:")]
    assert max(map(len, lines)) <= max(columns, 60)


@pytest.mark.parametrize("command", [["study", "8"], ["study"], ["limits"], ["trace", "SCRIPT"]])
def test_an_ascii_terminal_gets_letters_that_it_has(command: list[str], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from aio_posix import *\n"
        "cb = aiocb(open(__file__), bytearray(9))\n"
        "aio_read(cb)\naio_suspend([cb])\naio_return(cb)\n"
    )
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
