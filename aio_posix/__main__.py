"""python -m aio_posix, and the script aio-posix: how the AIO of this system and of its processes
works inside.
"""

from __future__ import annotations

import importlib
import os
import sys

USAGE = """\
usage: python -m aio_posix COMMAND ...      (or the script aio-posix; each command has --help)

  study [N | all]        the lessons: their questions; one of them, run; all of them, as a test
  ps PID                 who does AIO in a live process, and what blocks it
  trace -- SCRIPT ARGS   run a program and draw its requests and threads (--svg, --html, --json FILE)
  limits                 what this system allows, and what follows for you
"""
COMMANDS = {
    "study": "course",
    "ps": "ps",
    "trace": "trace.command",
    "limits": "limits",
}  # in aio_posix.study


def main(argv: list[str] | None = None) -> int:
    """Runs a command; its exit status. Raises SystemExit for options that it does not know."""
    command, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if command not in COMMANDS:
        print(f"aio_posix: no command {command!r}; python -m aio_posix --help", file=sys.stderr)
        return 2
    run = importlib.import_module(f"aio_posix.study.{COMMANDS[command]}").main
    try:
        status: int = run(rest)
        sys.stdout.flush()
        return status
    except (
        BrokenPipeError
    ):  # as with `| head`: nobody reads on, and that is no failure of the command
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 0


if __name__ == "__main__":
    sys.exit(main())
