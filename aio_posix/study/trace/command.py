"""python -m aio_posix trace [--svg | --html | --json FILE] [--] SCRIPT ARGS, or -m MODULE ARGS

Runs the program, its standard streams untouched, and then draws or prints what its requests did.
The exit status is the program's. The recorder is on in the program's process. strace watches its
system calls, where it is installed and may.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from aio_posix.study.console import Parser, is_terminal, room, say
from aio_posix.study.echoes.counting import may_trace
from aio_posix.study.trace import event, strace
from aio_posix.study.trace.calls import Calls
from aio_posix.study.trace.drawing import timeline
from aio_posix.study.trace.html import html
from aio_posix.study.trace.perfetto import perfetto
from aio_posix.study.trace.svg import svg
from aio_posix.study.trace.table import text
from aio_posix.study.trace.timeline import Timeline

WRITERS: dict[str, Callable[[Timeline], str]] = {"svg": svg, "html": html, "json": perfetto}
USAGE = """%(prog)s [OPTION FILE] SCRIPT [ARGS ...]
       %(prog)s [OPTION FILE] -m MODULE [ARGS ...]"""


class Program(NamedTuple):
    """As it stands on the command line of Python."""

    name: str
    arguments: list[str]
    is_module: bool = False

    @property
    def title(self) -> str:
        words = [self.name if self.is_module else Path(self.name).name, *self.arguments]
        return " ".join(words).encode(errors="backslashreplace").decode()


def main(argv: list[str]) -> int:
    parser = Parser(
        "aio-posix trace", USAGE, "Run a program and draw what its AIO did; without FILE as text."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--svg", type=Path, metavar="FILE", help="a picture: one lane per thread")
    what.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="a page: time line, scrubber, and what glibc held at each moment",
    )
    what.add_argument(
        "--json", type=Path, metavar="FILE", help="Trace Event Format, for ui.perfetto.dev"
    )
    ours, program = split(argv)
    if ours[-1:] == ["-m"]:
        parser.error("argument -m: MODULE is missing")
    options = parser.parse_args(ours)
    if program is None:
        parser.error("what shall be run? SCRIPT or -m MODULE is missing")
    wanted = {name: getattr(options, name) for name in WRITERS if getattr(options, name)}
    if not _is_there(program):
        kind = "module" if program.is_module else "script"
        return _complain(f"there is no {kind} {program.name}", 2)
    for name, path in wanted.items():
        if wrong := _unwritable(path):
            return _complain(f"--{name} {path}: {wrong}", 2)
    with tempfile.TemporaryDirectory() as directory:
        status, line = run(program, Path(directory))
    if isinstance(line, str):
        return _complain(line, status or 1)
    if not wanted:
        say(text(line, room()))
    for name, path in wanted.items():
        try:
            path.write_text(WRITERS[name](line), encoding="utf-8")
        except OSError as error:
            return _complain(f"--{name} {path}: {error.strerror}", status or 1)
    return status


def split(argv: Sequence[str]) -> tuple[list[str], Program | None]:
    """Our options, and the program with its own. What follows its name is never ours."""
    ours = list(argv)
    for at, word in enumerate(argv):
        if word == "-m" and at + 1 < len(argv):
            return ours[:at], Program(argv[at + 1], ours[at + 2 :], is_module=True)
        if word == "--":
            rest = ours[at + 1 :]
            if rest[:1] == ["-m"]:
                return ours[:at], split(rest)[1]
            return ours[:at], Program(rest[0], rest[1:]) if rest else None
        if not word.startswith("-") and not (at and argv[at - 1] in ("--svg", "--html", "--json")):
            return ours[:at], Program(word, ours[at + 1 :])
    return ours, None


def _unwritable(path: Path) -> str | None:
    """Why the result cannot go there, said before the program has run for nothing."""
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    if path.is_dir():
        return os.strerror(errno.EISDIR)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return os.strerror(errno.EACCES)
    return None


def _is_there(program: Program) -> bool:
    if not program.is_module:
        return Path(program.name).is_file()
    sys.path.insert(0, "")  # as python -m does
    try:
        return find_spec(program.name) is not None
    except (ImportError, ValueError):
        return False
    finally:
        del sys.path[0]


def run(program: Program, directory: Path) -> tuple[int, Timeline | str]:
    """The program's exit status (128 + n for signal n), and what it did or why that cannot be
    told.
    """
    events, pipe = directory / "events", directory / "calls"
    traced = may_trace()
    calls = Calls(pipe) if traced else None
    command = [sys.executable, "-m", "aio_posix.study.trace.child", str(events)]
    command += ["-m"] * program.is_module + [program.name, *program.arguments]
    try:
        with subprocess.Popen([*strace.command(pipe), *command] if traced else command) as child:
            # Ctrl-C is for the program; what follows begins below the terminal's ^C
            before = signal.signal(signal.SIGINT, lambda *_: say("") if is_terminal() else None)
            try:
                status = child.wait()
            finally:
                signal.signal(signal.SIGINT, before)
    finally:
        seen_calls = calls.end() if calls else ""
    status = 128 - status if status < 0 else status
    try:
        seen = event.read(events) if events.exists() else []
        threads = strace.parse(seen_calls) if traced else None
        if calls and calls.full:
            ends = [
                call.end or call.begin for one in (threads or {}).values() for call in one.calls
            ]
            seen.append(event.Event(event.What.FULL, max(ends), 0, ()))
        return status, timeline(seen, threads, program.title)
    except ValueError as error:
        return status, f"{program.title}: {error}"


def _complain(words: str, status: int) -> int:
    print(f"trace: {words}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
