"""No line of code, of a script or of a page is longer than 100 columns."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
KINDS = {".py", ".pyi", ".c", ".h", ".sh", ".toml", ".html", ".js", ".css", ".yaml"}
FOLDERS = ("aio_posix", "benchmarks", "docs", "examples", "tests")


def long_lines(path: Path) -> list[str]:
    lines = enumerate(path.read_text().splitlines(), 1)
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for number, line in lines
        if len(line) > 100 and "://" not in line
    ]


def test_no_line_is_longer_than_100_columns() -> None:
    paths = [*ROOT.glob("*"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*"))]
    written = [
        path
        for path in paths
        if path.suffix in KINDS and path.is_file()
        if not {"build", "_build", "__pycache__"} & set(path.parts)
        and not path.name.startswith("_ffi.")
    ]
    assert written
    assert [line for path in written for line in long_lines(path)] == []
