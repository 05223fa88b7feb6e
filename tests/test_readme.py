"""README is true. Its programs run, and its figures are those of docs/performance.md."""

from __future__ import annotations

import re
from pathlib import Path

import fresh

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text()
LIBRARIES = ("turbofile", "ayafileio", "urio", "aiofiles")


def table(text: str, first: str) -> dict[str, dict[str, str]]:
    """The rows of the table whose first heading this is, by their names."""
    lines = text[text.index(f"| {first} |") :].partition("\n\n")[0].splitlines()
    heads, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    return {row[0]: dict(zip(heads, row, strict=True)) for row in rows}


def test_the_fifteen_lines_run() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert fresh.output(program) == "5 bytearray(b'world')\n"


def test_ci_runs_the_command_that_passes_the_tests() -> None:
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    *_, tests = commands
    ci = (ROOT / ".ci" / "run").read_text()
    for part in tests.split(" && "):
        assert re.search(rf"^{re.escape(part)}$", ci, re.MULTILINE)


def test_the_figures_are_those_of_the_page_about_performance() -> None:
    here, there = table(README, "work"), table(PERFORMANCE, "ours / theirs | turbofile")
    assert len(here) > 5
    for work, row in here.items():
        assert {one: row[one] for one in LIBRARIES} == {one: there[work][one] for one in LIBRARIES}
