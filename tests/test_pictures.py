"""The pictures of README and the site are drawn again from what is stored beside them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STUDY = ROOT / "docs" / "study"
NAMES = ("trace-echo.svg", "trace-echo-dark.svg")
DRAWINGS = [*(ROOT / "docs").glob("*.svg"), *STUDY.glob("*.svg")]
SHOWN = 760  # pixels that a page of documents is wide


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures as the stored recording gives them today."""
    root = tmp_path_factory.mktemp("pictures")
    (root / "benchmarks").mkdir()
    (root / "docs" / "study").mkdir(parents=True)
    shutil.copy(ROOT / "benchmarks" / "picture.py", root / "benchmarks")
    shutil.copy(STUDY / "trace-echo.json", root / "docs" / "study")
    script = root / "benchmarks" / "picture.py"
    subprocess.run([sys.executable, script], check=True, timeout=60)
    return root / "docs" / "study"


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_what_the_stored_recording_gives(name: str, redrawn: Path) -> None:
    assert (STUDY / name).read_text() == (redrawn / name).read_text()


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.name)
def test_the_text_of_a_picture_is_12_pixels_high_where_it_is_shown(path: Path) -> None:
    picture = path.read_text()
    sizes = [int(size) for size in re.findall(r'font-size(?:="|: ?)(\d+)', picture)]
    width = re.search(r'<svg [^>]*viewBox="0 0 (\d+) ', picture)
    assert sizes
    assert width
    assert min(sizes) * min(1, SHOWN / int(width[1])) >= 12


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_names_the_machine_and_the_versions(name: str) -> None:
    picture = (STUDY / name).read_text()
    assert re.search(r"Measured on \d+ .*cores .*glibc [\d.]+, Python [\d.]+", picture)


def test_the_two_forms_of_a_picture_differ_in_colours_only() -> None:
    light, dark = (re.sub(r"<style>.*?</style>", "", (STUDY / name).read_text(), flags=re.DOTALL)
                   for name in NAMES)  # fmt: skip
    assert light == dark
