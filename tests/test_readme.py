"""What the README shows runs, and CI runs the README's command."""

from __future__ import annotations

import re
from pathlib import Path

import fresh

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_fifteen_lines_run() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert fresh.output(program) == "5 bytearray(b'world')\n"


def test_ci_runs_the_command_that_passes_the_tests() -> None:
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    *_, tests = commands
    ci = (ROOT / ".ci" / "run").read_text()
    for part in tests.split(" && "):
        assert re.search(rf"^{re.escape(part)}$", ci, re.MULTILINE)
