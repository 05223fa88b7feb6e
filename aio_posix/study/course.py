"""python -m aio_posix study [N ... | all]: lists the questions, teaches lessons, runs all.

Every lesson has six parts, which are Ask, Guess, Run, See, Source and Try. A reader at a terminal
is asked to guess first, and learns afterwards why the other answers are wrong. With rich installed
the parts have colours. The words are the same without.
"""

from __future__ import annotations

import importlib
import sys
import textwrap
import time
from collections.abc import Callable

from aio_posix.study.console import Parser, columns, hanging, is_terminal, room, say
from aio_posix.study.guesses import QUESTIONS, Question
from aio_posix.study.lesson import Failed, Lesson, load

WIDTH = 96  # of prose at most
LETTERS = "abcd"


OTHERS = {"play": "aio_posix.study.play", "try": "aio_posix.study.trial"}
EPILOG = (
    "study play [SCRIPT | N]: the model in a browser.  study try N: change a lesson and run it."
)


def main(argv: list[str]) -> int:
    if argv and argv[0] in OTHERS:
        status: int = importlib.import_module(OTHERS[argv[0]]).main(argv[1:])
        return status
    parser = Parser("aio-posix study", description="see how glibc's AIO works", epilog=EPILOG)
    parser.add_argument(
        "which", nargs="*", metavar="N | all", help="lessons; without them: their questions"
    )
    parser.add_argument(
        "--no-guess", action="store_true", help="show at once, without asking what you think"
    )
    options = parser.parse_args(argv)
    course = {str(lesson.number): lesson for lesson in load()}
    if not options.which:
        say(table(list(course.values())))
        return 0
    if options.which == ["all"]:
        return run_all(list(course.values()))
    for which in options.which:
        if which not in course:
            numbers = f"1 to {len(course)}, or all by itself"
            print(f"study: there is no lesson {which}: {numbers}", file=sys.stderr)
            return 2
    asks = not options.no_guess and is_terminal() and sys.stdin is not None and sys.stdin.isatty()
    guesses, failed = [], 0
    for which in options.which:
        status, guessed = teach(course[which], asks)
        failed |= status
        guesses += [guessed] if guessed is not None else []
    if len(options.which) > 1 and guesses:
        say(f"\nguessed right: {sum(guesses)} of {len(guesses)}")
    return failed


def table(course: list[Lesson]) -> str:
    lines = [hanging(f"{lesson.number:>3}  ", lesson.ask, columns()) for lesson in course]
    more = "one lesson: python -m aio_posix study N     all, as a test: study all"
    return "\n".join([*lines, "", hanging("", more, columns())])


def run_all(course: list[Lesson]) -> int:
    """Runs every lesson, prints one line for each, and prints in full what went wrong."""
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
    return f"needs: {' '.join(lesson.missing)}"


def teach(lesson: Lesson, asks: bool = False) -> tuple[int, bool | None]:
    """Teaches a lesson. Returns its exit status and whether the guess was right (None for no
    guess).
    """
    part, code, line = _with_colours() or (_part, _code, say)
    question = QUESTIONS.get(lesson.number) if asks else None
    guess = None
    part(f"{lesson.number}. Ask", lesson.ask)
    if question is None:
        part("Guess", lesson.guess)
    else:
        guess = ask(question)
    part("Run", "")
    code(lesson.code, "python")
    if lesson.c:
        part("The same in C", "")
        code(lesson.c, "c")
    part("See", "")
    if lesson.missing:
        print(f"study: {needs(lesson)}", file=sys.stderr)
        return 1, None
    try:
        for seen in lesson.see():
            line(seen_line(seen))
    except Failed as error:
        print(error, file=sys.stderr)
        return 1, None
    if question is not None:
        right = LETTERS[question.right]
        yours = "" if guess is None else "Right. " if guess == question.right else f"No: {right}. "
        part("Guess", f"{yours}{right}) {question.answers[question.right]}. {question.why}")
    part("Source", lesson.source)
    part("Try", lesson.try_)
    return 0, None if guess is None or question is None else guess == question.right


def seen_line(text: str) -> str:
    """A line of a lesson, broken into as many lines as a narrow terminal needs."""
    words = text.lstrip()
    return hanging(" " * (4 + len(text) - len(words)), words, room())


def ask(question: Question) -> int | None:
    """The place of the answer that is typed, or None if the reader skips it."""
    for letter, answer in zip(LETTERS, question.answers, strict=False):
        say(hanging(f"    {letter}) ", answer, columns()))
    letters = LETTERS[: len(question.answers)]
    while True:
        print(f"    your guess ({letters[0]}-{letters[-1]}, Enter skips): ", end="", flush=True)
        typed = sys.stdin.readline().strip().lower().rstrip(")")
        if typed in letters:
            return letters.index(typed) if typed else None
        say(f"    one of {', '.join(letters)}, or Enter")


def _part(name: str, text: str) -> None:
    say(f"\n{name.upper()}")
    if text:
        say(textwrap.indent(wrapped(text, min(WIDTH, columns() - 4)), "    "))


def _code(text: str, language: str) -> None:
    say(textwrap.indent(text, "    "))


def wrapped(text: str, width: int = WIDTH) -> str:
    """Paragraphs filled. A line that begins with a space stays as it is."""
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
