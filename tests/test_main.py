"""python -m aio_posix."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from aio_posix.__main__ import main


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "aio_posix", *arguments], capture_output=True, text=True, timeout=60)


def test_limits_tells_what_the_system_allows() -> None:
    ended = run("limits")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "AIO_PRIO_DELTA_MAX" in ended.stdout


def test_ps_of_a_process_without_aio_is_one_line_on_stderr() -> None:
    ended = run("ps", str(os.getppid()))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)


def test_an_unknown_command_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_names_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "ps PID" in capsys.readouterr().out
