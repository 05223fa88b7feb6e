"""python -m aio_posix trace [--svg FILE | --html FILE | --json FILE] -- SCRIPT ARGS

Runs the script, its standard streams untouched, and then draws or prints what its requests did; the
exit status is the script's. The recorder is on in the script's process; strace watches its system
calls, where it is installed and may.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from aio_posix.study.echoes.counting import may_trace
from aio_posix.study.trace import event, strace
from aio_posix.study.trace.drawing import timeline
from aio_posix.study.trace.html import html
from aio_posix.study.trace.perfetto import perfetto
from aio_posix.study.trace.svg import svg
from aio_posix.study.trace.table import text
from aio_posix.study.trace.timeline import Timeline

WRITERS: dict[str, Callable[[Timeline], str]] = {"svg": svg, "html": html, "json": perfetto}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "aio_posix trace", description="run a program and draw what its AIO did"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--svg", type=Path, metavar="FILE", help="a picture: one lane per thread")
    what.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="the picture, to zoom into; point at a box to follow it",
    )
    what.add_argument(
        "--json", type=Path, metavar="FILE", help="Trace Event Format, for ui.perfetto.dev"
    )
    parser.add_argument(
        "script", metavar="SCRIPT", help="a Python program; without a file the result is text"
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS")
    options = parser.parse_args(argv)
    wanted = {name: getattr(options, name) for name in WRITERS if getattr(options, name)}
    script = Path(options.script)
    if not script.is_file():
        return _complain(f"there is no script {script}", 2)
    for name, path in wanted.items():
        if not path.parent.is_dir():
            return _complain(f"--{name} {path}: there is no directory {path.parent}", 2)
    with tempfile.TemporaryDirectory() as directory:
        status, line = run(script, options.arguments, Path(directory))
    if isinstance(line, str):
        return _complain(line, status or 1)
    if not wanted:
        print(text(line))
    for name, path in wanted.items():
        path.write_text(WRITERS[name](line))
    return status


def run(script: Path, arguments: list[str], directory: Path) -> tuple[int, Timeline | str]:
    """The script's exit status (128 + n for signal n), and what it did or why that cannot be
    told.
    """
    events, calls = directory / "events", directory / "calls"
    traced = may_trace()
    command = [
        sys.executable,
        "-m",
        "aio_posix.study.trace.child",
        str(events),
        str(script),
        *arguments,
    ]
    with subprocess.Popen([*strace.command(calls), *command] if traced else command) as child:
        before = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the script
        try:
            status = child.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    status = 128 - status if status < 0 else status
    title = " ".join([script.name, *arguments])
    try:
        seen = event.read(events) if events.exists() else []
        return status, timeline(seen, strace.parse(calls.read_text()) if traced else None, title)
    except ValueError as error:
        return status, f"{title}: {error}"


def _complain(words: str, status: int) -> int:
    print(f"trace: {words}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
