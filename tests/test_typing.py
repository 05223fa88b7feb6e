"""Type checkers find every typical mistake of a program, and nothing in a right one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import ffi_stub
import pytest

HERE = Path(__file__).parent / "typing"
PROGRAMS = sorted(HERE.glob("*.py"))
TIME_LIMIT = 300  # seconds; mypy without its cache takes about 20


def mistakes(program: Path) -> set[int]:
    lines = program.read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# mistake")}


def run(*command: str | Path, cwd: Path) -> str:
    environment = os.environ | {"NO_COLOR": "1"}
    ended = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT
    )
    assert ended.returncode in (0, 1), ended
    return ended.stdout


@pytest.fixture(scope="module")
def found_by_mypy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[int]]:
    """For each program the lines in which mypy --strict finds something."""
    pytest.importorskip("mypy")
    flags = ["--strict", "--follow-imports=silent", "--no-error-summary", "--config-file="]
    folder = tmp_path_factory.mktemp("mypy")
    said = run(sys.executable, "-m", "mypy", *flags, *PROGRAMS, cwd=folder)
    found: dict[str, set[int]] = {}
    for line in said.splitlines():
        path, number, kind, _ = line.split(":", 3)
        if kind.strip() == "error":
            found.setdefault(Path(path).name, set()).add(int(number))
    return found


@pytest.fixture(scope="module")
def found_by_pyright(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[int]]:
    """For each program the lines in which pyright finds something, by its standard rules."""
    name = next((n for n in ("pyright", "basedpyright") if importlib.util.find_spec(n)), None)
    if name is None:
        pytest.skip("there is no pyright")
    if not os.access(HERE, os.R_OK):
        pytest.skip("pyright asks access(2), which knows nothing of this user's capabilities")
    folder = tmp_path_factory.mktemp("pyright")
    rules = {"typeCheckingMode": "standard", "include": list(map(str, PROGRAMS))}
    (folder / "pyrightconfig.json").write_text(json.dumps(rules))
    said = run(
        sys.executable, "-m", name, "--outputjson", "--pythonpath", sys.executable, cwd=folder
    )
    found: dict[str, set[int]] = {}
    for diagnostic in json.loads(said)["generalDiagnostics"]:
        if diagnostic["severity"] == "error":
            line = diagnostic["range"]["start"]["line"] + 1
            found.setdefault(Path(diagnostic["file"]).name, set()).add(line)
    return found


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_mypy_finds_every_mistake_and_nothing_else(
    program: Path, found_by_mypy: dict[str, set[int]]
) -> None:
    assert found_by_mypy.get(program.name, set()) == mistakes(program)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_pyright_finds_every_mistake_and_nothing_else(
    program: Path, found_by_pyright: dict[str, set[int]]
) -> None:
    assert found_by_pyright.get(program.name, set()) == mistakes(program)


def test_the_stub_of_the_compiled_module_agrees_with_it() -> None:
    assert ffi_stub.STUB.read_text() == ffi_stub.stub(), "run: python tests/ffi_stub.py"
