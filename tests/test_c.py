"""The C that runs in glibc's threads, under every sanitizer: tests/c/stress.c with the real csrc,
but without Python.

ThreadSanitizer cannot follow the threads that the C library makes for itself, so it gets
tests/c/model.c, an AIO of its own; AddressSanitizer and valgrind run on glibc's.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "aio_posix" / "csrc"
HERE = ROOT / "tests" / "c"
ENGINE = sorted((CSRC / "engine").glob("*.c"))
STRICT = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-D_FILE_OFFSET_BITS=64",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-pthread",
]
PYTHON = [
    "-isystem",
    sysconfig.get_paths()["include"],
    "-isystem",
    sysconfig.get_paths()["platinclude"],
    *(["-D_CFFI_NO_LIMITED_API"] if sysconfig.get_config_var("Py_GIL_DISABLED") else []),
]
TIME_LIMIT = 120  # seconds; ThreadSanitizer needs about ten on one core

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="there is no gcc")


def compile_stress(to: Path, *flags: str, more: tuple[Path, ...] = ()) -> Path:
    sources = [*ENGINE, HERE / "host.c", HERE / "stress.c", *more]
    return compile_program(to / "stress", *flags, *map(str, sources))


def compile_program(program: Path, *arguments: str) -> Path:
    subprocess.run(
        ["gcc", *STRICT, "-g", "-O1", f"-I{CSRC}", *arguments, "-o", program], check=True
    )
    return program


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT)


@pytest.mark.parametrize("source", sorted(CSRC.glob("*/*.c")), ids=lambda path: path.name)
def test_every_file_compiles_without_a_warning(source: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["gcc", *STRICT, "-O2", *PYTHON, "-c", source, "-o", tmp_path / "object"], check=True
    )


def test_the_file_of_cffi_compiles_where_the_compiler_is_stricter(tmp_path: Path) -> None:
    """It sees the oldest limited API in our headers, and gcc 14 takes these warnings for errors."""
    file = tmp_path / "ffi.c"
    write = "import sys, build_ffi; build_ffi.ffibuilder.emit_c_code(sys.argv[1])"
    subprocess.run([sys.executable, "-c", write, file], cwd=ROOT, check=True)
    strict = ["-Werror=implicit-function-declaration", "-Werror=int-conversion"]
    command = ["gcc", "-std=c11", "-D_GNU_SOURCE", *strict, *PYTHON, f"-I{CSRC}", "-c", file]
    subprocess.run([*command, "-o", tmp_path / "object"], check=True)


def test_many_threads_lose_nothing_and_get_everything_once(tmp_path: Path) -> None:
    ended = run(compile_stress(tmp_path, "-O2"))
    assert ended.returncode == 0, ended.stderr


def test_addresssanitizer_finds_nothing(tmp_path: Path) -> None:
    ended = run(compile_stress(tmp_path, "-fsanitize=address,undefined", "-fno-sanitize-recover"))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_threadsanitizer_finds_nothing(tmp_path: Path) -> None:
    program = compile_stress(tmp_path, "-fsanitize=thread", more=(HERE / "model.c",))
    ended = run_under_thread_sanitizer(program)
    assert (ended.returncode, ended.stderr) == (0, "")


def run_under_thread_sanitizer(program: Path) -> subprocess.CompletedProcess[str]:
    ended = run(program)
    if "unexpected memory mapping" in ended.stderr:
        return run("setarch", "-R", program)  # it expects less randomness than newer kernels have
    return ended


@pytest.mark.parametrize("checks", ["address,undefined", "thread"])
def test_each_job_is_begun_once_and_its_loop_hears_of_it(tmp_path: Path, checks: str) -> None:
    """tests/c/jobs.c: lines of jobs, and loops that close with jobs on their way."""
    sources = [HERE / "jobs.c", HERE / "host.c", *ENGINE]
    flags = [f"-fsanitize={checks}", "-fno-sanitize-recover"]
    ended = run_under_thread_sanitizer(
        compile_program(tmp_path / "jobs", *flags, *map(str, sources))
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("valgrind"), reason="there is no valgrind")
def test_valgrind_finds_nothing_but_the_leak_of_glibc_itself(tmp_path: Path) -> None:
    leaks = ["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]
    known = f"--suppressions={HERE / 'glibc.supp'}"
    ended = run(
        "valgrind",
        "-q",
        "--fair-sched=yes",
        "--error-exitcode=9",
        *leaks,
        known,
        compile_stress(tmp_path),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
