"""docs/conformance.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NAMED = re.findall(
    r"(test_\w+)::(test_\w+)", (TESTS.parent / "docs" / "conformance.md").read_text()
)


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED)))
def test_a_named_test_exists(file: str, test: str) -> None:
    assert f"\ndef {test}(" in (TESTS / f"{file}.py").read_text()
