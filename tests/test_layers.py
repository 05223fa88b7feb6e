"""The layout shows the architecture. Files use each other in one direction.

docs/design.md states an order for each folder, in its section on layers. A file includes or
imports only from those before it, and every file has its place.
"""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import fresh
import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "aio_posix"
CSRC = PACKAGE / "csrc"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
STATED = re.compile(r"^    (\w+):  (.*(?:\n {6,}.*)*)", re.MULTILINE)


def orders() -> dict[str, list[set[str]]]:
    """For each folder of docs/design.md its groups. Those of one group do not know each other."""
    return {
        name: [set(re.split(r",\s*", group.strip())) for group in text.split("->")]
        for name, text in STATED.findall((ROOT / "docs" / "design.md").read_text())
    }


ORDERS = orders()
ALONE = {
    "host": [".h"],  # what the surroundings have to answer
    "python": [".h"],  # Python.h, and what differs between its versions
    "batches": [".h"],  # what of batch.c cffi cannot read
    "module": [".c"],  # the top: nobody uses it
    "opening": [".c"],  # nothing but methods, which module.c lists
    "many": [".c"],  # nothing but methods, too
    "each_line": [".c"],  # types, which module.c makes
    "position": [".c"],
    "writes": [".c"],
}


def place(folder: str, name: str) -> int:
    """The number of the group that a file belongs to."""
    found = [i for i, group in enumerate(ORDERS[folder]) if name in group]
    assert len(found) == 1, f"docs/design.md has {len(found)} places for {name} in {folder}"
    return found[0]


# C: a .c file and its header are one


def c_files(folder: str) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in sorted((CSRC / folder).glob("*.[ch]")):
        files.setdefault(path.stem, []).append(path)
    return files


def included(path: Path) -> set[Path]:
    """The files of csrc that a file includes."""
    own = [name for quote, name in INCLUDE.findall(path.read_text()) if quote == '"']
    return {(path.parent / name).resolve() for name in own}


C_FILES = [
    (folder, name, paths)
    for folder in ("engine", "python")
    for name, paths in c_files(folder).items()
]


@pytest.mark.parametrize(
    ("folder", "name", "paths"), C_FILES, ids=[f"{folder}-{name}" for folder, name, _ in C_FILES]
)
def test_a_c_file_includes_only_those_before_it(folder: str, name: str, paths: list[Path]) -> None:
    here = place(folder, name)
    for path in set().union(*map(included, paths)):
        assert path.is_file(), path
        if path.parent.name == folder and path.stem != name:
            assert place(folder, path.stem) < here, path.name


@pytest.mark.parametrize("path", sorted((CSRC / "engine").iterdir()), ids=lambda path: path.name)
def test_the_engine_knows_nothing_of_python(path: Path) -> None:
    names = [name for _, name in INCLUDE.findall(path.read_text())]
    assert not [name for name in names if "python" in name.lower()]
    assert not re.search(r"\bPy[A-Z_]\w+", path.read_text())
    assert {other.parent.name for other in included(path)} <= {"engine"}


@pytest.mark.parametrize(
    ("folder", "name", "paths"), C_FILES, ids=[f"{folder}-{name}" for folder, name, _ in C_FILES]
)
def test_a_c_file_has_one_header_of_its_name(folder: str, name: str, paths: list[Path]) -> None:
    assert [path.suffix for path in paths] == ALONE.get(name, [".c", ".h"])


# Python


def imported(path: Path) -> set[str]:
    """Names of the package's modules that a file imports, also for type checking and inside
    functions.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.startswith("aio_posix.")}


def modules(folder: Path) -> dict[str, list[Path]]:
    """What a folder consists of; a folder in it stands for all its modules."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if parts[0] != "__init__.py":
            found.setdefault(parts[0].removesuffix(".py"), []).append(path)
    return found


def members(name: str, folder: Path) -> set[str]:
    """Those of a folder that an imported name belongs to. A package that itself imports nothing of
    ours may be imported by whoever finds its modules there.
    """
    prefix = ".".join(folder.relative_to(ROOT).parts) + "."
    package = ROOT.joinpath(*name.split("."), "__init__.py")
    if not name.startswith(prefix) or (package.is_file() and not imported(package)):
        return set()
    return {name.removeprefix(prefix).split(".")[0]}


FOLDERS = {
    "aio_posix": PACKAGE,
    "asyncio": PACKAGE / "asyncio",
    "descriptors": PACKAGE / "asyncio" / "descriptors",
    "files": PACKAGE / "asyncio" / "files",
    "study": PACKAGE / "study",
    "trace": PACKAGE / "study" / "trace",
}
PLACES = [
    (folder, name, paths)
    for folder, path in FOLDERS.items()
    for name, paths in modules(path).items()
]


@pytest.mark.parametrize(
    ("folder", "name", "paths"), PLACES, ids=[f"{folder}-{name}" for folder, name, _ in PLACES]
)
def test_a_module_imports_only_from_those_before_it(
    folder: str, name: str, paths: list[Path]
) -> None:
    here = place(folder, name)
    known = set(modules(FOLDERS[folder])) | {"_ffi", "_calls"}
    for path in paths:
        for module in imported(path):
            for other in members(module, FOLDERS[folder]) & known - {name}:
                assert place(folder, other) < here, f"{path.name} imports {module}"


def test_one_module_of_the_files_knows_who_does_their_requests() -> None:
    files = (PACKAGE / "asyncio" / "files").glob("*.py")
    below = "aio_posix.asyncio.descriptors."
    assert [
        path.name for path in files if any(name.startswith(below) for name in imported(path))
    ] == ["opened.py"]


def test_the_package_itself_loads_neither_asyncio_nor_study() -> None:
    program = (
        "import sys, aio_posix; print(*(name for name in sys.modules if 'aio_posix.' in name))"
    )
    loaded = {name.split(".")[1] for name in fresh.output(program).split()}
    assert "aio" in loaded
    assert not loaded & {"asyncio", "study", "__main__"}


def layered(uses: dict[str, set[str]]) -> list[list[str]]:
    """Groups in which each stands as early as it can."""
    depth: dict[str, int] = {}

    def of(name: str, path: tuple[str, ...] = ()) -> int:
        assert name not in path, f"a circle: {' '.join((*path, name))}"
        if name not in depth:
            depth[name] = 1 + max((of(other, (*path, name)) for other in uses[name]), default=-1)
        return depth[name]

    groups: list[list[str]] = [[] for _ in range(1 + max(map(of, uses)))]
    for name in sorted(uses):
        groups[of(name)].append(name)
    return groups


def c_uses(folder: str) -> dict[str, set[str]]:
    return {
        name: {
            other.stem
            for path in paths
            for other in included(path)
            if other.parent.name == folder and other.stem != name
        }
        for name, paths in c_files(folder).items()
    }


def python_uses(folder: Path) -> dict[str, set[str]]:
    found = modules(folder)
    known = set(found) | ({"_ffi", "_calls"} if folder == PACKAGE else set())
    return {name: set() for name in known} | {
        name: {
            other
            for path in paths
            for module in imported(path)
            for other in members(module, folder) & known - {name}
        }
        for name, paths in found.items()
    }


if __name__ == "__main__":  # what docs/design.md could say
    uses = {folder: c_uses(folder) for folder in ("engine", "python")}
    uses |= {folder: python_uses(path) for folder, path in FOLDERS.items()}
    for folder, files in uses.items():
        text = " -> ".join(", ".join(group) for group in layered(files))
        first, more = f"    {folder}:  ", " " * 10
        print(textwrap.fill(text, 96, initial_indent=first, subsequent_indent=more))
