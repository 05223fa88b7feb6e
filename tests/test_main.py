"""python -m aio_posix, and the script aio-posix."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aio_posix.__main__ import COMMANDS, main


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aio_posix", *arguments], capture_output=True, text=True, timeout=60
    )


def test_limits_tells_what_the_system_allows() -> None:
    ended = run("limits")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "AIO_PRIO_DELTA_MAX" in ended.stdout


def test_ps_of_a_process_without_aio_is_one_line_on_stderr() -> None:
    ended = run("ps", str(os.getppid()))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)


def test_study_without_a_number_asks_the_questions() -> None:
    ended = run("study")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "What does aio_error really return?" in ended.stdout


def test_study_of_a_number_runs_that_lesson() -> None:
    ended = run("study", "8")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "W0 fsync W5" in ended.stdout


def test_study_of_no_lesson_is_one_line_on_stderr() -> None:
    ended = run("study", "99")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "aio_posix", "study"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ended:
        assert ended.stdout is not None
        assert ended.stderr is not None
        ended.stdout.close()
        assert ended.stderr.read() == b""
    assert ended.returncode == 0


def test_the_script_is_the_same_command() -> None:
    script = shutil.which("aio-posix", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("the package is not installed here")
    ended = subprocess.run([script, "--help"], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, run("--help").stdout)


def test_an_unknown_command_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_names_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    words = capsys.readouterr().out.split()
    assert [command for command in COMMANDS if command not in words] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_under_its_own_name(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: aio-posix {command}")
