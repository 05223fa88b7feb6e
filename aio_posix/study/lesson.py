"""Finds, reads and runs one lesson. `python -m aio_posix.study.lesson N` runs it in this process.

A lesson is imported only to be read. Its experiment always runs in a fresh process with a time
limit, so a lesson may fill the pool, fork or crash, and none can spoil the next.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

import aio_posix
from aio_posix.study import lessons

# seconds for one experiment, of which the slowest took 5, and 18 on a busy machine
LIMIT = 100
COMMAND = [sys.executable, "-X", "faulthandler", "-m", "aio_posix.study.lesson"]
MEASURED = "~"  # begins a line that differs from run to run


class Show(Protocol):
    def __call__(self, *what: object, measured: bool = False) -> None: ...


class Failed(Exception):
    """The experiment ended otherwise than its lesson says. The text is what it left on stderr."""


@dataclass(frozen=True)
class Lesson:
    module: ModuleType
    number: int
    ask: str
    guess: str
    source: str
    try_: str
    c: str
    missing: tuple[str, ...]  # what it needs and is not installed

    @property
    def stem(self) -> str:
        """The name of the file of its transcript, as 01-aio-error."""
        return self.module.__name__.rpartition(".")[2].removeprefix("l").replace("_", "-")

    @property
    def code(self) -> str:
        """The functions of the module as they stand in it, without the marks that are for
        linters.
        """
        text = inspect.getsource(self.module)
        lines = [re.sub(r"  # (noqa|fmt|type|mypy):.*", "", line) for line in text.splitlines()]
        wanted = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        nodes = [node for node in ast.parse(text).body if isinstance(node, wanted)]
        starts = [
            min([node.lineno, *(one.lineno for one in node.decorator_list)]) for node in nodes
        ]
        parts = zip(starts, nodes, strict=True)
        return "\n\n\n".join("\n".join(lines[start - 1 : node.end_lineno]) for start, node in parts)

    def see(self) -> Iterator[str]:
        """Runs the experiment. Yields its lines as they come. Raises Failed."""
        return experiment(str(self.number))


def experiment(which: str) -> Iterator[str]:
    """Runs the experiment of a lesson, which is given by number or as a file that defines
    run(show). Yields its lines as they come.

    Raises Failed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONOPTIMIZE"}
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(
            [*COMMAND, which],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            start_new_session=True,  # a lesson may fork, and all of it can be ended
        ) as child,
    ):
        late = threading.Event()
        stdout = child.stdout
        assert stdout is not None

        def end() -> None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

        def end_late() -> None:
            late.set()
            end()

        timer = threading.Timer(LIMIT, end_late)
        try:
            timer.start()
            for line in stdout:
                yield line.rstrip("\n")
            status = child.wait()
        finally:
            timer.cancel()
            end()  # when nobody wants to see the rest
        if status:
            ended = f"did not end in {LIMIT} s" if late.is_set() else f"ended with status {status}"
            errors.seek(0)
            raise Failed(f"{errors.read()}lesson {which} {ended}")


def demo_line(words: str) -> str:
    """The one line of demo_echo.py that has these words, and its number."""
    demo = Path(aio_posix.__file__).parents[1] / "demo_echo.py"
    if not demo.exists():
        return "demo_echo.py is in the repository, and not in what was installed"
    lines = enumerate(demo.read_text(encoding="utf-8").splitlines(), 1)
    ((number, line),) = [(number, line) for number, line in lines if words in line]
    return f"line {number}: {line.strip().partition('  #')[0]}"


def load() -> list[Lesson]:
    return [
        _lesson(importlib.import_module(f"{lessons.__name__}.{name}")) for name in lessons.names()
    ]


def _lesson(module: ModuleType) -> Lesson:
    missing = tuple(
        name
        for name in getattr(module, "NEEDS", ())
        if importlib.util.find_spec(name) is None and shutil.which(name) is None
    )
    ask, guess, source, try_, c = (
        inspect.cleandoc(getattr(module, name, ""))
        for name in ("ASK", "GUESS", "SOURCE", "TRY", "C")
    )
    return Lesson(module, module.NUMBER, ask, guess, source, try_, c, missing)


def show(*what: object, measured: bool = False) -> None:
    for line in " ".join(map(str, what)).split("\n"):
        print(f"{MEASURED} {line}" if measured else line, flush=True)


def main(which: str) -> None:
    if which.endswith(".py"):
        runpy.run_path(which)["run"](show)
        return
    (wanted,) = (name for name in lessons.names() if name.startswith(f"l{int(which):02}_"))
    importlib.import_module(f"{lessons.__name__}.{wanted}").run(show)


if __name__ == "__main__":
    main(sys.argv[1])
