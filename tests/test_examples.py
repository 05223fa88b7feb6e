"""Every program in examples/ prints what it says at its end."""

from __future__ import annotations

import re
from pathlib import Path

import fresh
import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_it_says(path: Path) -> None:
    text = path.read_text()
    output = re.sub(
        r"^# ?", "", text[text.index("# Output:\n") + len("# Output:\n") :], flags=re.MULTILINE
    )
    assert fresh.output(text, "-W", "error") == output


def test_the_examples_show_every_call() -> None:
    shown = "".join(path.read_text() for path in EXAMPLES)
    calls = [
        "aio_read",
        "aio_write",
        "aio_fsync",
        "aio_error",
        "aio_return",
        "aio_suspend",
        "aio_cancel",
        "lio_listio",
    ]
    assert [
        call for call in [*calls, "CompletionQueue", "sigwaitinfo"] if f"{call}(" not in shown
    ] == []


def test_the_page_on_layers_shows_examples_that_are_run() -> None:
    page = (Path(__file__).parent.parent / "docs" / "layers.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert programs == [
        (EXAMPLES[0].parent / f"layer_{name}.py").read_text()
        for name in ("callback", "queue", "asyncio")
    ]
