"""Text that fits the width and the letters of the terminal.

Python has no sys.stdout where the shell closed it (`>&-`), and then there is nobody to write to.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from typing import IO

WIDTH = 80  # columns if neither the terminal nor $COLUMNS says how many
LONGEST = 9  # digits; all PIDs and numbers of lessons are shorter
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
    """The number that a user typed, or None if it is none. Python refuses to read more than 4,300
    digits.
    """
    digits = word.isascii() and word.isdecimal() and len(word) <= LONGEST
    return int(word) if digits else None


def columns() -> int:
    """How wide the terminal is, or $COLUMNS if that is set."""
    return max(NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns)


def room() -> int:
    """How wide a line may be. What a program reads is not wrapped unless $COLUMNS is set."""
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
    """The text in letters that standard output can encode. ASCII has no µ, for example."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def say(text: str) -> None:
    print(legible(text), flush=True)
