"""python -m aio_posix study [N | all]: the questions; one lesson, printed and run; all, run.

Every lesson has six parts: Ask, Guess, Run, See, Source, Try. With rich installed and a terminal to
write to they have colours; the words are the same without.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections.abc import Callable

from aio_posix.study.console import columns, hanging, is_terminal, say
from aio_posix.study.lesson import Failed, Lesson, load

WIDTH = 96  # of prose, where the terminal does not tell


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("aio-posix study", description="see how glibc's AIO works")
    parser.add_argument(
        "which", nargs="?", metavar="N | all", help="a lesson; without it: their questions"
    )
    which = parser.parse_args(argv).which
    course = {lesson.number: lesson for lesson in load()}
    if which is None:
        say(table(list(course.values())))
        return 0
    if which == "all":
        return run_all(list(course.values()))
    if not which.isdecimal() or int(which) not in course:
        print(
            f"study: there is no lesson {which}: one of {', '.join(map(str, course))}, or all",
            file=sys.stderr,
        )
        return 1
    return teach(course[int(which)])


def table(course: list[Lesson]) -> str:
    lines = [hanging(f"{lesson.number:>3}  ", lesson.ask, columns()) for lesson in course]
    return "\n".join(
        [*lines, "", "one lesson: python -m aio_posix study N     all, as a test: study all"]
    )


def run_all(course: list[Lesson]) -> int:
    """Each lesson in one line; what went wrong in full."""
    failed = skipped = 0
    began = time.monotonic()
    for lesson in course:
        if lesson.missing:
            skipped += 1
            say(f"skipped  {lesson.number:>2}  {lesson.ask}  ({needs(lesson)})")
            continue
        start, seen = time.monotonic(), []
        try:
            seen = list(lesson.see())
        except Failed as error:
            failed += 1
            say("\n".join([f"FAILED   {lesson.number:>2}  {lesson.ask}", *seen, str(error)]))
        else:
            say(f"ok       {lesson.number:>2}  {lesson.ask}  {time.monotonic() - start:.1f} s")
    hold = len(course) - failed - skipped
    took = time.monotonic() - began
    say(f"{hold} of {len(course)} lessons hold, {skipped} skipped; {took:.0f} s")
    return 1 if failed else 0


def needs(lesson: Lesson) -> str:
    return f"needs: pip install {' '.join(lesson.missing)}"


def teach(lesson: Lesson) -> int:
    part, code, line = _with_colours() or (_part, _code, say)
    part(f"{lesson.number}. Ask", lesson.ask)
    part("Guess", lesson.guess)
    part("Run", "")
    code(lesson.code, "python")
    if lesson.c:
        part("The same in C", "")
        code(lesson.c, "c")
    part("See", "")
    if lesson.missing:
        print(f"study: {needs(lesson)}", file=sys.stderr)
        return 1
    try:
        for seen in lesson.see():
            line("    " + seen)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    part("Source", lesson.source)
    part("Try", lesson.try_)
    return 0


def _part(name: str, text: str) -> None:
    say(f"\n{name.upper()}")
    if text:
        say(textwrap.indent(wrapped(text, min(WIDTH, columns() - 4)), "    "))


def _code(text: str, language: str) -> None:
    say(textwrap.indent(text, "    "))


def wrapped(text: str, width: int = WIDTH) -> str:
    """Paragraphs filled; a line that begins with a space stays as it is."""
    paragraphs = text.split("\n\n")
    as_it_is = [one.startswith(" ") for one in paragraphs]
    filled = [
        one if raw else textwrap.fill(one, width)
        for one, raw in zip(paragraphs, as_it_is, strict=True)
    ]
    return "\n\n".join(filled)


Print = Callable[[str], None]


def _with_colours() -> tuple[Callable[[str, str], None], Callable[[str, str], None], Print] | None:
    if not is_terminal():
        return None
    try:
        from rich.console import Console
        from rich.padding import Padding
        from rich.syntax import Syntax
        from rich.text import Text
    except ImportError:
        return None
    console = Console()

    def part(name: str, text: str) -> None:
        console.print(Text(f"\n{name}", style="bold cyan"))
        if text:
            style = "bold" if name.endswith("Ask") else ""
            console.print(
                Padding(
                    Text(wrapped(text, min(WIDTH, console.width - 4)), style=style), (0, 0, 0, 4)
                )
            )

    def code(text: str, language: str) -> None:
        highlighted = Syntax(
            text, language, theme="ansi_dark", background_color="default", word_wrap=True
        )
        console.print(Padding(highlighted, (0, 0, 0, 4)))

    def line(text: str) -> None:
        console.print(Text(text, style="green" if not text.lstrip().startswith("~") else "yellow"))

    return part, code, line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
