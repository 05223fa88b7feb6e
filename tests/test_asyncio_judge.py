"""aiofiles' own suite, unchanged, passes on aio_posix.asyncio; what is not promised is a list.

The suite comes from the package index as aiofiles' sdist. Where that is not to be had the tests are
skipped, and test_asyncio_aiofiles and test_asyncio_same judge alone.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

VERSION = "25.1.0"  # the lists below are about this one
LIMIT = 120  # seconds; the suite takes about five
LEAST = 140  # tests that must have run and passed, so that an empty suite is no judge

OTHER_FILES = {
    "test_os.py": "aiofiles.os is not here: the AttributeError points to it",
    "test_tempfile.py": "aiofiles.tempfile is not here: the AttributeError points to it",
    "test_stdio.py": "aiofiles.stdin and its kind are not here: the AttributeError points to them",
    "threadpool/test_wrap.py": "wrap() belongs to aiofiles' threads; open(fd) is our way",
}
NOT_PROMISED = {
    "threadpool/test_concurrency.py::test_slow_file": "replaces aiofiles' internal sync_open",
    "threadpool/test_open.py::test_filetask_async_context_aexit": "looks at aiofiles' private _obj",
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of aiofiles' tests."""
    folder = tmp_path_factory.mktemp("aiofiles")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary"]
    command += ["aiofiles", "--dest", str(folder), f"aiofiles=={VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        pytest.skip("the sdist of aiofiles did not come in time")
    archives = list(folder.glob("aiofiles-*.tar.gz"))
    if not archives:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        pytest.skip(f"the sdist of aiofiles is not to be had: {last}")
    # not by tarfile, whose filter is of Python 3.11.4 and whose later versions warn without one
    subprocess.run(["tar", "-xzf", archives[0], "-C", folder], check=True)
    return folder / f"aiofiles-{VERSION}" / "tests"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_suite_of_aiofiles_passes(loop: str, suite: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec(loop) is None:
        pytest.skip(f"{loop} is not installed")
    command = [sys.executable, "-X", "faulthandler", "-m", "pytest", "-p", "aiofiles_judge", "-q"]
    command += ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(suite), "-rfE"]
    command += [f"--basetemp={tmp_path / 'base'}"]
    command += [f"--ignore={suite / name}" for name in OTHER_FILES]
    command += [f"--deselect={name}" for name in NOT_PROMISED]
    environment = {**os.environ, "JUDGE_LOOP": loop, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [*command, str(suite)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=suite,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed, (\d+) deselected", done.stdout)
    assert passed is not None, done.stdout
    assert int(passed[1]) >= LEAST, done.stdout
    assert int(passed[2]) == len(NOT_PROMISED), done.stdout
