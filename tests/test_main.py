"""python -m aio_posix, and the script aio-posix."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aio_posix
from aio_posix.__main__ import COMMANDS, main

COMMAND = [sys.executable, "-m", "aio_posix"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)


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
    for words in (["99"], ["1", "all"], ["try", "99"]):
        ended = run("study", *words)
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "aio_posix", "study"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ended:
        assert ended.stdout is not None
        assert ended.stderr is not None
        ended.stdout.close()
        assert ended.stderr.read() == b""
    assert ended.returncode == 0


HELP = [("--help",), ("study", "play", "--help"), ("study", "try", "--help")]
HELP += [(command, "--help") for command in COMMANDS]


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", [("limits",), ("study",), ("study", "8"), *HELP], ids=str)
def test_a_full_disk_is_one_line_on_stderr(arguments: tuple[str, ...], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*COMMAND, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert ended.returncode == 1
    assert ended.stderr == "aio-posix: cannot write to standard output: No space left on device\n"


def closed(descriptor: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that is started without one of its standard streams."""
    shell = ["sh", "-c", f'exec "$0" "$@" {descriptor}>&-', *COMMAND, *arguments]
    return subprocess.run(shell, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("arguments", [("limits",), ("study", "8"), ("dance",)], ids=str)
def test_a_closed_standard_output_is_one_line_on_stderr(arguments: tuple[str, ...]) -> None:
    ended = closed(1, *arguments)
    assert (ended.returncode, ended.stderr) == (1, "aio-posix: standard output is closed\n")


def test_without_a_standard_error_nothing_goes_to_standard_output_instead() -> None:
    ended = closed(2, "dance")
    assert (ended.returncode, ended.stdout) == (2, "")


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_that_of_the_package(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([option]) == 0
    assert capsys.readouterr().out == f"aio_posix {aio_posix.__version__}\n"


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)], ids=str)
def test_help_fits_80_columns_and_has_no_colours(command: list[str]) -> None:
    ended = run(*command, "--help")
    assert ended.returncode == 0
    assert "\x1b" not in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80


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
