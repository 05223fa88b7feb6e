"""The protections of csrc/engine/ and of the gate, one at a time and step by step.

tests/c/walls.c is the host of the engine and tests/c/puppet.c an AIO in which nothing happens by
itself; for tests/c/gates.c the interpreter is a puppet, too. So every thread can be held where a
protection is needed. AddressSanitizer watches.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "aio_posix" / "csrc"
HERE = ROOT / "tests" / "c"
ENGINE = sorted((CSRC / "engine").glob("*.c"))
SOURCES = {
    "walls": [HERE / "walls.c", HERE / "puppet.c", *ENGINE],
    "gates": [HERE / "gates.c", CSRC / "python" / "gate.c", CSRC / "engine" / "baton.c"],
}
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-Wall", "-Wextra", "-Wpedantic"]
CHECKED = ["-pthread", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
INCLUDE = ["-isystem", sysconfig.get_paths()["include"]]
TIME_LIMIT = 60  # seconds; most take a tenth of one, some wait three for the sweeper
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="there is no gcc")


def names(program: str) -> list[str]:
    """The walls of a program, as its list WALLS has them."""
    _, _, listed = (HERE / f"{program}.c").read_text().partition("#define WALLS(WALL)")
    return [part.split(")")[0] for part in listed.partition("int main")[0].split("WALL(")[1:]]


WALLS = [f"{program}.{name}" for program in SOURCES for name in names(program)]
if FREE_THREADED:  # the interpreter of gates.c has a GIL
    WALLS = [wall for wall in WALLS if not wall.startswith("gates.")]


@pytest.fixture(scope="module")
def ended(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], subprocess.CompletedProcess[str]]]:
    """What became of a wall. All that are to be tried run at once: most of their time they wait."""
    folder = tmp_path_factory.mktemp("walls")
    wanted = [
        item.callspec.params["wall"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test_a_wall_holds
    ]
    for program in sorted({wall.split(".")[0] for wall in wanted}):
        command = ["gcc", *FLAGS, *CHECKED, *INCLUDE, *SOURCES[program], "-o", folder / program]
        subprocess.run(command, check=True)

    def run(wall: str) -> subprocess.CompletedProcess[str]:
        program, name = wall.split(".")
        command = [folder / program, name]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT)

    with ThreadPoolExecutor(16) as pool:
        running = {wall: pool.submit(run, wall) for wall in wanted}
        yield lambda wall: running[wall].result()


@pytest.mark.parametrize("wall", WALLS)
def test_a_wall_holds(wall: str, ended: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    assert (ended(wall).returncode, ended(wall).stderr) == (0, "")
