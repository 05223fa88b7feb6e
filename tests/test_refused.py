"""Where openat2() and preadv2() are refused, as an old seccomp profile of a container does it,
awaited files work by threads and glibc.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FAST = """
import asyncio, os, sys
import aio_posix.asyncio as aio
from aio_posix import _calls
async def main():
    for _ in range(2):  # the second open finds a known file system
        async with aio.open(sys.argv[1], "rb") as file:
            assert await file.read() == b"x" * 100
            assert await file.pread(10, 95) == b"x" * 5
    assert _calls.open_now(sys.argv[1], os.O_RDONLY) is None
    print("read")
asyncio.run(main())
"""


def under(error: str, *command: str) -> str:
    """What a command prints under the filter; skips where there are no filters."""
    done = subprocess.run(
        [sys.executable, str(HERE / "refused.py"), error, sys.executable, *command],
        capture_output=True, text=True, timeout=120, cwd=HERE.parent,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip(f"no seccomp filters here: {done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_a_file_is_opened_and_read_without_the_fast_paths(tmp_path: Path, error: str) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert under(error, "-X", "faulthandler", "-c", FAST, str(tmp_path / "file")) == "read\n"


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_lines_are_the_same_without_the_fast_paths(error: str) -> None:
    tests = str(HERE / "test_asyncio_lines.py")
    printed = under(error, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    assert " passed" in printed
    assert "failed" not in printed


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_a_read_by_a_thread_holds_up_no_end_of_a_pipe(error: str) -> None:
    tests = [str(HERE / f"test_asyncio_{name}.py") for name in ("descriptors", "requests")]
    chosen = ["-k", "epipe or larger_than_a_pipe"]
    printed = under(error, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, *chosen)
    assert " passed" in printed
    assert "failed" not in printed
