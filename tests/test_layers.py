"""The layout shows the architecture: each module imports only from those before it."""

from __future__ import annotations

import ast
from pathlib import Path

import fresh
import pytest

PACKAGE = Path(__file__).parent.parent / "aio_posix"
ORDER = [
    "_ffi",
    "_calls",
    "_types",
    "sigevent",
    "flight",
    "aiocb",
    "listio",
    "aio",
    "queue",
    "sigwaitinfo",
    "asyncio",
    "study",
    "__main__",
]
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def layer(module: str) -> int:
    """The place of a module of the package in the order; 'aio_posix.asyncio.ring' belongs to
    asyncio.
    """
    return ORDER.index(module.split(".")[1])


def imported(path: Path) -> set[str]:
    """Names of the package's modules that a file imports, also for type checking and inside
    functions.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("aio_posix.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "aio_posix":
            found |= {f"aio_posix.{alias.name}" for alias in node.names if alias.name in ORDER}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aio_posix."):
            found.add(str(node.module))
    return found


def name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.parent != PACKAGE or path.stem != "__init__"],
    ids=name,
)
def test_a_module_imports_only_from_the_layers_before_it(path: Path) -> None:
    here = layer(name(path))
    assert {module for module in imported(path) if layer(module) > here} == set()


def test_the_package_itself_imports_neither_asyncio_nor_study() -> None:
    program = (
        "import sys, aio_posix; print(*(name for name in sys.modules if 'aio_posix.' in name))"
    )
    late = [*ORDER[ORDER.index("asyncio") :], "__main__"]
    loaded = [name.split(".")[1] for name in fresh.output(program).split()]
    assert "aio" in loaded
    assert [name for name in loaded if name in late] == []
