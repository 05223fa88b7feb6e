"""Awaited files used at random for a few seconds; `python tests/random_use.py 600` for longer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SECONDS = 4
LIMIT = 150  # seconds; random_use.py ends an episode that hangs long before


def test_random_use_loses_nothing_and_leaves_nothing() -> None:
    command = [sys.executable, str(Path(__file__).with_name("random_use.py")), str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing lost, nothing left" in done.stdout
    assert "Exception ignored" not in done.stderr, done.stderr


def test_in_use_for_seconds_no_descriptor_is_left() -> None:
    command = [sys.executable, str(Path(__file__).with_name("soak.py")), "4", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    found = re.findall(r" (\d+) descriptors", done.stdout)
    assert len(found) >= 2, done.stdout + done.stderr
    assert set(found) == {found[0]}, done.stdout
