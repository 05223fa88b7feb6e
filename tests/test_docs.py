"""Every block of code in the documents is what it seems to be. A program runs and prints what the
page says, and a command exists.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import fresh
import pytest

from aio_posix.__main__ import COMMANDS

ROOT = Path(__file__).parent.parent
# docs/study is written by the lessons, which have tests of their own
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "study"),
    ]
)
LANGUAGES = {"python", "text", "sh"}
DIRECTIVES = ("{toctree}", "{include}", "{eval-rst}")  # of the site; tests/test_site.py builds it
STARTS = (
    "git clone ", "cd ", "nox", "python3 -m venv ", "pre-commit ",
    ".venv/bin/pip install ", ".venv/bin/pre-commit ", ".venv/bin/ruff ", ".venv/bin/mypy",
    ".venv/bin/nox", ".venv/bin/python -m sphinx ", ".venv/bin/pytest",
    ".venv/bin/python -m aio_posix ", "python -m aio_posix ", "aio-posix ",
    ".venv/bin/python ", "sh .ci/",
)  # fmt: skip


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str
    output: str | None  # what the page says that it prints: the block of text that follows

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    fences = list(re.finditer(r"^```(\S*)[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    found = []
    for fence, after in zip(fences, [*fences[1:], None], strict=False):
        output = None
        if after and after[1] == "text" and not text[fence.end() : after.start()].strip():
            output = after[2]
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page, line, fence[1], fence[2], output))
    return found


BLOCKS = [block for page in PAGES for block in blocks(page)]
# Python 3.15 raises what was said of a fork on stderr until then
FORKS = "ignore:This process:DeprecationWarning"
PROGRAMS = [block for block in BLOCKS if block.language == "python"]
COMMAND_LINES = [
    (block, line)
    for block in BLOCKS
    if block.language == "sh"
    for line in block.text.splitlines()
    if line and not line.startswith((" ", "#"))
]


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_a_program_prints_what_the_page_says(program: Block, tmp_path: Path) -> None:
    needs = re.match(r"# needs: (.*)\n", program.text)
    for name in needs[1].split(", ") if needs else []:
        pytest.importorskip(name)
    output = fresh.output(program.text, "-W", "error", "-W", FORKS, cwd=tmp_path)
    assert program.output is None or output == program.output


def test_no_block_is_of_a_kind_that_nothing_checks() -> None:
    odd = [
        str(block)
        for block in BLOCKS
        if block.language not in LANGUAGES and not block.language.startswith(DIRECTIVES)
    ]
    assert odd == []


@pytest.mark.parametrize(("block", "line"), COMMAND_LINES, ids=str)
def test_a_command_is_one_that_exists(block: Block, line: str) -> None:
    for part in line.split(" && "):
        assert part.startswith(STARTS), part
        if command := re.search(r"(?:-m aio_posix|aio-posix) (\S+)", part):
            assert command[1] in [*COMMANDS, "--version", "--help", "COMMAND"]
        for path in re.findall(r"(?:tests|benchmarks|docs|\.ci)/[\w./-]+", part):
            assert (ROOT / path).exists() or "build/" in path, path
