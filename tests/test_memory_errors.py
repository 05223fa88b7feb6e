"""Without memory nothing is lost, nothing returns with an exception set, and nothing stays behind.

Each allocation of Python's fails in turn (tests/memory_errors.py), in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fresh
import pytest

pytest.importorskip("_testcapi", reason="an interpreter built without its test modules")

PROGRAM = Path(__file__).with_name("memory_errors.py")


def well(name: str) -> None:
    command = [sys.executable, "-X", "faulthandler", os.fspath(PROGRAM), name]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    ended = fresh.end(process)
    assert (ended.returncode, ended.stdout) == (0, "well\n"), ended


@pytest.mark.parametrize("file", ["number", "socket"])
@pytest.mark.parametrize("listed", ["alone", "listed"])
@pytest.mark.parametrize("event", ["none", "callback", "queue", "object", "itself", "number"])
def test_a_submission_without_memory_happens_or_does_not(
    event: str, listed: str, file: str
) -> None:
    well(f"submission-{event}-{listed}-{file}")


def test_waiting_without_memory_loses_no_result() -> None:
    well("wait")


def test_a_failed_request_keeps_its_error_until_it_can_be_raised() -> None:
    well("failure")


def test_a_callback_waits_for_memory_for_its_thread() -> None:
    well("awaited")
