"""The programs that a benchmark runs. The C ones are compiled into build/, ours run under the
interpreter of a checkout.

- A program prints one number, last; anything else than exit status 0 and a number is a ProgramError
  that names the program and shows its standard error. A benchmark never prints half a figure.
- Every child is waited for, with a limit. What outlives its limit is killed by its own pid.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = HERE / "build"

CFLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-pthread"]
PAGES = 1024  # of 4 KiB, as the longest list has 1,000 reads, each of its own page
GRACE = 60.0  # seconds over the measured time, after which a program that hangs is reported


class Checkout(NamedTuple):
    """Where the package under test comes from. The programs are always those beside this file."""

    python: str
    root: Path


THIS = Checkout(sys.executable, ROOT)


def checkout(root: Path) -> Checkout:
    """Another one, with the .venv that it has."""
    python = root.absolute() / ".venv" / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"{root} has no .venv/bin/python")
    return Checkout(str(python), root.absolute())


class ProgramError(Exception):
    """A program that crashed, hung, or found a wrong result."""


def compiled(name: str) -> Path:
    """The C program c/NAME.c, compiled again only when its source is newer."""
    source, binary = HERE / "c" / f"{name}.c", BUILD / name
    newest = max(path.stat().st_mtime for path in (source, HERE / "c" / "bench.h"))
    if binary.exists() and binary.stat().st_mtime >= newest:
        return binary
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise ProgramError("the C side of each ratio needs gcc (or cc) on PATH")
    BUILD.mkdir(exist_ok=True)
    command = [compiler, *CFLAGS, str(source), "-o", str(binary), "-lrt"]
    built = subprocess.run(command, capture_output=True, text=True, timeout=GRACE)
    if built.returncode != 0:
        raise ProgramError(f"{compiler} {source.name}:\n{built.stderr}")
    return binary


def pages() -> Path:
    """The file that both sides read. It is written here, so its pages are in the page cache."""
    path = BUILD / "pages"
    if not path.exists() or path.stat().st_size != PAGES * 4096:
        BUILD.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(PAGES * 4096))
    path.read_bytes()
    return path


def c_number(name: str, *arguments: object, seconds: float) -> float:
    """The number that c/NAME.c prints."""
    return number([str(compiled(name)), *map(str, arguments)], seconds)


def python_number(of: Checkout, name: str, *arguments: object, seconds: float) -> float:
    """The number that python/NAME.py prints."""
    command = [of.python, "-X", "faulthandler", str(HERE / "python" / f"{name}.py")]
    return number([*command, *map(str, arguments)], seconds)


def number(command: list[str], seconds: float) -> float:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + GRACE, cwd=ROOT
        )
    except subprocess.TimeoutExpired as hung:
        raise ProgramError(f"{title(command)}: no result after {hung.timeout:.0f} s") from None
    if done.returncode != 0:
        raise ProgramError(f"{title(command)}: {ending(done.returncode)}\n{done.stderr.strip()}")
    try:
        return float(done.stdout.split()[-1])
    except (IndexError, ValueError):
        raise ProgramError(f"{title(command)}: printed {done.stdout!r}, not a number") from None


def title(command: list[str]) -> str:
    """The program and its arguments as a person would name them, without directories."""
    words = [word for word in command if word not in ("-X", "faulthandler")]
    return " ".join(Path(word).name if "/" in word else word for word in words)


def ending(returncode: int) -> str:
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"
