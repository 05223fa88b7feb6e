"""Every mutant of tests/mutants changes a place that is there once, and its tests are there."""

from __future__ import annotations

from pathlib import Path

import mutants

MUTANTS = mutants.mutants()


def is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    if not (mutants.ROOT / file).exists():
        return False
    text = (mutants.ROOT / file).read_text()
    if "test_a_wall_holds[" in name:
        program, _, name = name.partition("[")[2].rstrip("]").partition(".")
        text = (Path(__file__).parent / "c" / f"{program}.c").read_text()
        return f"static void {name}(void)" in text
    return not name or f"def {name.partition('[')[0]}(" in text


def test_what_a_mutant_replaces_is_in_its_file_once() -> None:
    found = {one.name: (mutants.ROOT / one.file).read_text().count(one.old) for one in MUTANTS}
    assert {name: times for name, times in found.items() if times != 1} == {}


def test_the_tests_of_a_mutant_exist() -> None:
    missing = {one.name: test for one in MUTANTS for test in one.tests if not is_there(test)}
    assert missing == {}
