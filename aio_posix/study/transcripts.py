"""python -m aio_posix.study.transcripts [--words] [N ...]: writes docs/study/NN-words.md, a
transcript of each lesson's run, and the table of all lessons in docs/study/README.md. --words: runs
nothing, and leaves what was seen as it is.

What is an accident of the run gets a name in the order of appearance, as tid 1, pid 1, fd A. Lines
that begin with ~ are measurements. `drift` compares them without their numbers, all else to the
letter.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from aio_posix.study.chart import dark
from aio_posix.study.course import wrapped
from aio_posix.study.lesson import MEASURED, Lesson, load

DOCS = Path("docs/study")  # in the root of a checkout, where this runs
DRAWINGS = [DOCS / "lists.svg", DOCS / "costs.svg"]  # a dark one is made beside each
WIDTH = 100
SEE, SEEN = "## See\n\n```text\n", "\n```"
BEGIN, END = "<!-- lessons, written by aio_posix.study.transcripts -->", "<!-- end of lessons -->"


def transcript(lesson: Lesson, seen: str) -> str:
    parts = [
        f"# {lesson.number}. {lesson.ask}",
        f"**Guess.** {wrapped(lesson.guess, WIDTH)}",
        f"## Run\n\n```python\n{lesson.code}\n```",
        f"The same in C:\n\n```c\n{lesson.c}\n```" if lesson.c else "",
        f"{SEE}{seen}{SEEN}",
        f"## Source\n\n{wrapped(lesson.source, WIDTH)}",
        f"## Try\n\n{wrapped(lesson.try_, WIDTH)}",
        f"`python -m aio_posix study {lesson.number}` runs it. Module: `{lesson.module.__name__}`. "
        "[All lessons](README.md)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def see(lesson: Lesson) -> str:
    """What the lesson prints when it is run now. Raises lesson.Failed."""
    return named("\n".join(lesson.see()))


def seen_in(text: str) -> str:
    """What the lesson printed when this transcript was made."""
    return text.partition(SEE)[2].partition(SEEN)[0]


def named(text: str) -> str:
    """Thread, process and descriptor numbers by order of appearance, and addresses and inodes as
    three dots.
    """
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        kind = found[1]
        if found[0] not in names:
            count = sum(other.startswith(kind) for other in names)
            names[found[0]] = f"{kind} {_letters(count) if kind == 'fd' else count + 1}"
        return names[found[0]]

    text = re.sub(r"\b(tid|pid|fd) \d+", name, text)
    return re.sub(
        r"0x[0-9a-f]{5,}", "0x...", re.sub(r"\b(socket|pipe|anon_inode):\[\d+\]", r"\1:[...]", text)
    )


def _letters(count: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    before, last = divmod(count, 26)
    return (_letters(before - 1) if before else "") + chr(ord("A") + last)


def drift(text: str) -> str:
    """What two runs of the same lesson have in common."""
    lines = [
        re.sub(r"\s+", " ", re.sub(r"\d[\d.,]*", "N", line)) if line.startswith(MEASURED) else line
        for line in text.split("\n")
    ]
    return "\n".join(lines)


def table(course: list[Lesson]) -> str:
    """Question, lesson, and the functions of glibc that its SOURCE names as `file.c: function`."""
    lines = ["| question | lesson | in glibc |", "|---|---|---|"]
    for lesson in course:
        where: dict[str, list[str]] = {}
        for file, function in re.findall(r"([\w/-]+\.[ch]):\s(\w+)", lesson.source):
            where.setdefault(file, []).append(f"`{function}`")
        places = "; ".join(f"{file}: {', '.join(functions)}" for file, functions in where.items())
        lines.append(f"| {lesson.ask} | [{lesson.number}]({lesson.stem}.md) | {places} |")
    return "\n".join(lines)


def with_table(readme: str, course: list[Lesson]) -> str:
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{table(course)}\n\n{END}{after}"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "aio_posix.study.transcripts", description="write docs/study from the lessons"
    )
    parser.add_argument("which", nargs="*", metavar="N", help="lessons (default: all)")
    parser.add_argument(
        "--words", action="store_true", help="run nothing: keep what was seen, write the rest anew"
    )
    options = parser.parse_args(argv)
    readme = DOCS / "README.md"
    if not readme.exists():
        print(
            f"transcripts: there is no {readme} here: run it at the top of a checkout",
            file=sys.stderr,
        )
        return 1
    course = load()
    for drawing in DRAWINGS:
        drawing.with_stem(f"{drawing.stem}-dark").write_text(dark(drawing.read_text()))
    readme.write_text(with_table(readme.read_text(), course))
    for lesson in course:
        if options.which and str(lesson.number) not in options.which:
            continue
        if lesson.missing and not options.words:
            print(
                f"transcripts: lesson {lesson.number} needs {', '.join(lesson.missing)}",
                file=sys.stderr,
            )
            return 1
        path = DOCS / f"{lesson.stem}.md"
        path.write_text(
            transcript(lesson, seen_in(path.read_text()) if options.words else see(lesson))
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
