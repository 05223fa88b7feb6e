"""The script aio-posix, and python -m aio_posix: how the AIO of this system and of its processes
works inside.

A command's result goes to standard output, and what is wrong goes to standard error in one line.
The status is 0 if all is well, 1 if it is not, 2 if the command line is wrong, 130 after Ctrl-C.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys

from aio_posix import __version__
from aio_posix.study.console import columns, hanging

USAGE = """\
usage: aio-posix COMMAND ...
       aio-posix COMMAND --help
       aio-posix --version

"""
WHAT = {
    "study [N ... | all]": "the lessons: their questions; some, run; all, as a test",
    "study play [SCRIPT]": "the model of glibc's queues, to play with in a browser",
    "study try N": "a lesson as a file of yours, run whenever it is saved",
    "ps PID | NAME ...": "who does AIO in live processes, and what blocks it",
    "trace SCRIPT ARGS": "run a Python program and draw its requests and threads",
    "limits": "what this system allows, and what follows for you",
}
COMMANDS = {
    "study": "course",
    "ps": "ps",
    "trace": "trace.command",
    "limits": "limits",
}  # in aio_posix.study
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def main(argv: list[str] | None = None) -> int:
    """Runs a command and returns its exit status. Raises SystemExit for options that it does not
    know.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - print(file=None) would use stdout
    if sys.stdout is None:
        return complain("standard output is closed")
    try:
        try:
            return run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        discard_output()
        return complain("interrupted", 130)
    except BrokenPipeError:  # as with `| head`: nobody reads on, and that is no failure
        discard_output()
        return 0
    except OSError as error:
        if error.errno not in UNWRITABLE or error.filename is not None:
            raise
        discard_output()
        return complain(f"cannot write to standard output: {error.strerror}")


def run(argv: list[str]) -> int:
    command, *rest = argv or ["--help"]
    if command in ("-h", "--help"):
        lines = (hanging(f"  {form:<21}  ", words, columns()) for form, words in WHAT.items())
        print(USAGE + "\n".join(lines))
        return 0
    if command in ("-V", "--version"):
        print(f"aio_posix {__version__}")
        return 0
    if command not in COMMANDS:
        return complain(f"there is no command {command!r}: aio-posix --help names them", 2)
    status: int = importlib.import_module(f"aio_posix.study.{COMMANDS[command]}").main(rest)
    return status


def complain(what: str, status: int = 1) -> int:
    print(f"aio-posix: {what}", file=sys.stderr)
    return status


def discard_output() -> None:
    """What is still buffered would fail again when the interpreter flushes it at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
