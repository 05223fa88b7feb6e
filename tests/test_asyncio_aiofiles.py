"""A program written for aiofiles runs when only its import is changed, and does the same."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from fresh import LIMIT

PROGRAM = (Path(__file__).parent / "aiofiles_program.py").read_text()


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def run(program: str, source: Path, target: Path) -> str:
    command = [
        sys.executable,
        "-X",
        "faulthandler",
        "-W",
        "error",
        "-c",
        program,
        str(source),
        str(target),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_a_program_for_aiofiles_runs_with_another_import(tmp_path: Path) -> None:
    source = tmp_path / "source"
    chance = random.Random(3)
    for i in range(60):
        path = source / f"{i % 7}" / f"{i % 3}" / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        words = [
            chance.choice(["wörd", "word", "語", "x", "and so on", "\n", "\r\n"])
            for _ in range(20 * i)
        ]
        path.write_bytes(" ".join(words).encode() + (b"\xff\xfe" if i % 5 == 2 else b""))
    assert PROGRAM.count("import aiofiles\n") == 1
    theirs = run(PROGRAM, source, tmp_path / "theirs")
    ours = run(
        PROGRAM.replace("import aiofiles\n", "import aio_posix.asyncio as aiofiles\n"),
        source,
        tmp_path / "ours",
    )
    assert ours == theirs
    assert tree(tmp_path / "ours") == tree(tmp_path / "theirs") != tree(source)
