"""Rows for what is paid without any I/O, the import and the memory of a request in flight."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from statistics import median

from comparison import Row
from programs import THIS, Checkout, ProgramError, ending, python_number

STARTS = 15  # interpreters for one figure, each followed by a bare one


def rows() -> Iterator[Row]:
    yield Row(
        "import", "ms", "extra", 5.0,
        ours=lambda of: import_ms(of, "aio_posix"),
        c=lambda: import_ms(THIS, "_cffi_backend"),
    )  # fmt: skip
    for kind in ("none", "callback", "queue"):
        yield memory(kind)


def memory(kind: str) -> Row:
    return Row(
        f"memory-{kind}", "bytes", "amount", 800.0,
        ours=lambda of: python_number(of, "memory", kind, seconds=0),
        most_pairs=3,
    )  # fmt: skip


def import_ms(of: Checkout, module: str) -> float:
    """Milliseconds that `import module` adds to a bare interpreter."""
    return median(start_ms(of, f"import {module}") - start_ms(of, "pass") for _ in range(STARTS))


def start_ms(of: Checkout, statement: str) -> float:
    # With -I neither this directory nor the environment decides which package is found.
    begin = time.perf_counter()
    done = subprocess.run(
        [of.python, "-I", "-c", statement],
        cwd=of.root,
        capture_output=True,
        text=True,
        timeout=60,
    )
    elapsed = time.perf_counter() - begin
    if done.returncode != 0:
        raise ProgramError(f"{statement}: {ending(done.returncode)}\n{done.stderr.strip()}")
    return elapsed * 1000
