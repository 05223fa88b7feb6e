"""Text for a terminal, as wide as it is and in the letters that it has.

Python has no sys.stdout where the shell closed it (`>&-`), and then there is nobody to write to.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from typing import IO

WIDTH = 80  # columns where nobody tells
LONGEST = 9  # digits of a number that means something here
LEAST = 20  # columns that words beside a head need
ENDLESS = 10_000  # columns of a line that nobody wraps
NARROWEST = 40  # columns below which nothing is wrapped any more
PLAIN = str.maketrans(
    {"µ": "u", "·": "-", "…": "...", "–": "-"}  # noqa: RUF001  these are meant
)


class Parser(argparse.ArgumentParser):
    """argparse ignores an error of writing its help. Here it is raised."""

    def print_help(self, file: IO[str] | None = None) -> None:  # type: ignore[override]
        print(self.format_help(), end="", file=file)


def typed_number(word: str) -> int | None:
    """What somebody wrote as a number, or None. Python refuses to read more than 4,300 digits."""
    digits = word.isascii() and word.isdecimal() and len(word) <= LONGEST
    return int(word) if digits else None


def columns() -> int:
    """Of the terminal, or of $COLUMNS."""
    return max(NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns)


def room() -> int:
    """Columns to keep to. Where a program reads on, a line stays whole unless $COLUMNS is set."""
    return columns() if is_terminal() or os.environ.get("COLUMNS") else ENDLESS


def is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def hanging(head: str, words: str, width: int) -> str:
    """`words` beside `head`, in as many lines as they need, or below it where there is no room."""
    room = width - len(head)
    if room < LEAST and len(words) > room:
        lines = textwrap.wrap(words, max(LEAST, width - 4), break_on_hyphens=False)
        return "\n".join([head.rstrip(), *("    " + line for line in lines)])
    first, *more = textwrap.wrap(words, room, break_on_hyphens=False) or [""]
    return "\n".join([head + first, *(" " * len(head) + line for line in more)]).rstrip()


def legible(text: str) -> str:
    """In the letters of standard output. ASCII has no µ, and a name may be no text at all."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def say(text: str) -> None:
    print(legible(text), flush=True)
