"""python -m aio_posix study try N: the lesson as a file of yours, run again whenever it is saved.

The last part of a lesson proposes a change and says what it will show. The file is never written
over, because it is yours from the moment it is there.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

from aio_posix.study.console import Parser, say
from aio_posix.study.lesson import Failed, Lesson, experiment, load

AGAIN = 0.3  # seconds between two looks at the file


def main(argv: list[str]) -> int:
    parser = Parser("aio-posix study try", description="change a lesson, and see what glibc does")
    parser.add_argument("number", type=int, metavar="N")
    parser.add_argument("--once", action="store_true", help="run it once; do not wait for changes")
    options = parser.parse_args(argv)
    lesson = next((one for one in load() if one.number == options.number), None)
    if lesson is None:
        print(f"study try: there is no lesson {options.number}", file=sys.stderr)
        return 2
    path = Path(f"{lesson.module.__name__.rpartition('.')[2]}.py")
    copy(lesson, path)
    while True:
        ran = _saved(path)  # before it runs, so that what is saved meanwhile runs as well
        failed = run(path)
        if options.once:
            return int(failed)
        say(f"waiting until {path} is saved (Ctrl-C ends it)")
        while _saved(path) in (ran, None):
            time.sleep(AGAIN)


def copy(lesson: Lesson, path: Path) -> None:
    """Writes the lesson to a file, unless the file exists."""
    source = Path(str(lesson.module.__file__)).read_text(encoding="utf-8")
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(source)
        say(f"{path} is the lesson. What to change in it:\n\n{lesson.try_}\n")
    except FileExistsError:
        say(f"{path} is there already, and is run as it is\n")


def run(path: Path) -> bool:
    """Runs the file. Returns whether it failed."""
    try:
        for line in experiment(str(path.resolve())):
            say(f"    {line}")
    except Failed as error:
        say(f"\n{why(str(error), path)}\n")
        return True
    say("\nall its asserts hold\n")
    return False


def why(text: str, path: Path) -> str:
    """The line of the file that failed, from a traceback, or the whole traceback."""
    lines = text.strip().splitlines()
    places = re.findall(rf'File "{re.escape(str(path.resolve()))}", line (\d+)', text)
    if not places:
        return text.strip()
    number = int(places[-1])
    source = path.read_text(encoding="utf-8").splitlines()
    code = source[number - 1].strip() if number <= len(source) else ""
    error = next(
        (one for one in reversed(lines) if re.match(r"\w*(Error|Exit|Interrupt)", one)), ""
    )
    return f"line {number} failed: {code}\n{error or lines[-1]}"


def _saved(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:  # an editor is writing it anew
        return None
    return found.st_mtime_ns, found.st_ino
