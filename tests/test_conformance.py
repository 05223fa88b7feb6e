"""docs/conformance.md and docs/hazards.md name tests that are there, and no hazard has none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
NAMED = re.compile(r"\b(test_\w+)::(test_\w+)")
HAZARD = re.compile(r"^\| \*\*G(\d+)\*\* \|(.*)\|$", re.MULTILINE)
HAZARDS = HAZARD.findall((DOCS / "hazards.md").read_text())


def named(document: str) -> list[tuple[str, str]]:
    return sorted(set(NAMED.findall((DOCS / document).read_text())))


@pytest.mark.parametrize(
    ("file", "test"), sorted({*named("conformance.md"), *named("hazards.md")}), ids="::".join
)
def test_a_named_test_exists(file: str, test: str) -> None:
    assert f"def {test}(" in (TESTS / f"{file}.py").read_text()


def test_there_are_22_hazards_in_their_order() -> None:
    assert [int(number) for number, _ in HAZARDS] == list(range(1, 23))


@pytest.mark.parametrize(("number", "row"), HAZARDS, ids=lambda value: value[:3])
def test_a_hazard_says_trap_cause_cure_and_test(number: str, row: str) -> None:
    trap, cause, cure, tests = (cell.strip() for cell in row.split(" | "))
    assert trap.endswith(".")
    assert cause.endswith(".")
    assert cure.endswith(".")
    assert NAMED.search(tests)


def test_only_hazards_that_have_a_row_are_referred_to() -> None:
    rows = {number for number, _ in HAZARDS}
    folders = [TESTS, TESTS.parent / "aio_posix"]
    files = [
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in (".py", ".c", ".h")
    ]
    for path in files:
        assert set(re.findall(r"\bG(\d+)\b", path.read_text())) <= rows, path
