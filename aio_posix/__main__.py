"""python -m aio_posix: a look at the AIO of this system and of its processes."""

from __future__ import annotations

import sys

USAGE = """\
usage: python -m aio_posix ps PID [--watch] [--json]   who does AIO in a live process, and what blocks it
       python -m aio_posix limits [--json]             what this system allows, and what follows for you
"""


def main(argv: list[str]) -> int:
    command, *rest = argv or ["--help"]
    if command == "ps":
        from aio_posix.study import ps

        return ps.main(rest)
    if command == "limits":
        from aio_posix.study import limits

        return limits.main(rest)
    if command in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    print(f"aio_posix: no command {command!r}; python -m aio_posix --help", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
