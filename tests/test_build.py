"""What is built is a source archive with all that a build needs, and a wheel for every Python from
3.11 on. A build that cannot succeed says what to install.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import fresh
import pytest

import aio_posix

ROOT = Path(__file__).parent.parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
LEFT = shutil.ignore_patterns(
    ".git",
    ".venv*",
    ".*_cache",
    ".hypothesis",
    "build",
    "dist",
    "*.so",
    "*.egg-info",
    "__pycache__",
    "_ffi.c",
)
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def build(hook: str, where: Path, to: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Calls a hook of PEP 517, as pip does."""
    code = f"from setuptools import build_meta; build_meta.{hook}({str(to)!r})"
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(
        command,
        cwd=where,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source archive."""
    tree, out = tmp_path_factory.mktemp("tree") / "aio_posix", tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT, tree, ignore=LEFT)
    built = build("build_sdist", tree, out)
    assert built.returncode == 0, built.stderr
    (archive,) = out.iterdir()
    assert archive.name == f"aio_posix-{VERSION}.tar.gz"
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(out, filter="data")
        else:
            tar.extractall(out)
    return out / f"aio_posix-{VERSION}"


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    built = build("build_wheel", source, out)
    assert built.returncode == 0, built.stderr
    assert "Warning" not in built.stderr
    (path,) = out.iterdir()
    return path


NEEDED = """
    build_ffi.py setup.py pyproject.toml noxfile.py README.md LICENSE CHANGELOG.md
    CONTRIBUTING.md demo_echo.py .ci/setup .ci/run aio_posix/csrc/aio.cdef.h
    tests/test_build.py tests/fresh.py tests/c/stress.c tests/mutants/engine.toml docs/design.md
    examples/callback.py benchmarks/run.py
    """


@pytest.mark.parametrize("path", NEEDED.split())
def test_the_source_archive_contains(source: Path, path: str) -> None:
    assert (source / path).is_file()


def test_the_source_archive_contains_all_of_the_c(source: Path) -> None:
    def files(root: Path) -> set[Path]:
        csrc = root / "aio_posix" / "csrc"
        return {path.relative_to(csrc) for path in csrc.rglob("*") if path.is_file()}

    assert files(source) == files(ROOT)


@pytest.mark.skipif(FREE_THREADED, reason="a free-threaded build has its own tag")
def test_one_wheel_serves_every_python_from_3_11_on(wheel: Path) -> None:
    assert wheel.name.startswith(f"aio_posix-{VERSION}-cp311-abi3-linux_")
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith(".so")] == ["aio_posix/_ffi.abi3.so"]


def test_the_wheel_contains_the_whole_package_and_nothing_of_the_build(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "aio_posix"
    modules = {
        str(path.relative_to(ROOT))
        for path in package.rglob("*.py*")
        if path.suffix in (".py", ".pyi")
    }
    study = [*package.glob("study/pages/*"), *package.glob("study/c/*")]
    read_at_run_time = {str(path.relative_to(ROOT)) for path in study}
    assert modules | {"aio_posix/py.typed"} | read_at_run_time <= names
    built_from = {name for name in names if name.endswith((".c", ".h"))} - read_at_run_time
    assert built_from == {name for name in names if not name.startswith("aio_posix")} == set()


def test_the_installed_wheel_works(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    printed = fresh.output(
        """
        import os, aio_posix
        cb = aio_posix.aiocb(os.memfd_create("m"), b"12345")
        aio_posix.aio_write(cb)
        aio_posix.aio_suspend([cb])
        print(aio_posix.aio_return(cb), aio_posix.__file__)
        """,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert printed == f"5 {tmp_path}/aio_posix/__init__.py\n"


@pytest.mark.parametrize("missing", ["compiler", "every header", "Python.h", "aio.h"])
def test_a_build_that_lacks_something_says_what_to_install(
    source: Path, tmp_path: Path, missing: str
) -> None:
    if missing.endswith(".h"):
        (tmp_path / missing).write_text(f"#error {missing}: No such file or directory\n")
        environment = {"CFLAGS": f"-I{tmp_path}"}
    else:
        environment = (
            {"CC": "/nonexistent/cc"} if missing == "compiler" else {"CFLAGS": "-nostdinc"}
        )
    shutil.copytree(source, tmp_path / "tree", ignore=LEFT)
    built = build("build_wheel", tmp_path / "tree", tmp_path, **environment)
    assert built.returncode == 1
    assert "aio_posix could not be compiled. It needs a C compiler" in built.stderr
    assert "apt-get install gcc libc6-dev python3-dev" in built.stderr
    assert "Traceback" not in built.stderr


def test_the_package_has_the_version_of_the_project() -> None:
    assert aio_posix.__version__ == VERSION


def test_a_package_that_was_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "aio_posix", tmp_path / "aio_posix", ignore=LEFT)
    ended = fresh.run("import aio_posix", cwd=tmp_path)
    assert ended.returncode == 1
    message = ended.stderr.splitlines()[-1]
    assert message.startswith("ModuleNotFoundError: the C part of aio_posix was not built")
    assert "pip install -e ." in message


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        ("sys.implementation.name = 'pypy'", "aio_posix needs CPython"),
        ("sys.maxsize = 2**31 - 1", "aio_posix needs a 64-bit Python"),
    ],
)
def test_a_build_for_another_interpreter_is_refused_in_one_sentence(
    difference: str, sentence: str
) -> None:
    ended = fresh.run(f"import runpy, sys; {difference}; runpy.run_path('setup.py')", cwd=ROOT)
    assert ended.returncode == 1
    assert ended.stderr.startswith(sentence)
    assert "Traceback" not in ended.stderr
