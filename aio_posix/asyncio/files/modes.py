"""The modes of open(), which there are for type checkers, and what each asks of the system.

The Literals name the same modes as typeshed's OpenTextMode and OpenBinaryMode.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    # The letters of a mode may come in any order.
    TextMode: TypeAlias = Literal[
        "r", "rt", "tr", "w", "wt", "tw", "a", "at", "ta", "x", "xt", "tx",
        "r+", "+r", "rt+", "r+t", "+rt", "tr+", "t+r", "+tr",
        "w+", "+w", "wt+", "w+t", "+wt", "tw+", "t+w", "+tw",
        "a+", "+a", "at+", "a+t", "+at", "ta+", "t+a", "+ta",
        "x+", "+x", "xt+", "x+t", "+xt", "tx+", "t+x", "+tx",
    ]  # fmt: skip
    BinaryMode: TypeAlias = Literal[
        "rb", "br", "wb", "bw", "ab", "ba", "xb", "bx",
        "rb+", "r+b", "+rb", "br+", "b+r", "+br",
        "wb+", "w+b", "+wb", "bw+", "b+w", "+bw",
        "ab+", "a+b", "+ab", "ba+", "b+a", "+ba",
        "xb+", "x+b", "+xb", "bx+", "b+x", "+bx",
    ]  # fmt: skip


class Mode(NamedTuple):
    """A valid mode."""

    text: bool
    raw: str  # what the audit event "open" has of it, as "r+" for "r+b"
    flags: int  # of open(2)
    reads: bool
    writes: bool
    appends: bool
    shown: str  # as FileIO.mode, "rb+" for "w+" before Python 3.15


class Answer(int):
    """True or False, at once or awaited, because aiofiles has both in its two kinds of files."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, bool]:
        return bool(self)
        yield  # a generator, as await wants it

    def __repr__(self) -> str:
        return repr(bool(self))


KINDS = {"r": 0, "w": os.O_CREAT | os.O_TRUNC, "a": os.O_CREAT | os.O_APPEND,
         "x": os.O_CREAT | os.O_EXCL}  # fmt: skip
SHOWN_WITH_PLUS = "wax" if sys.version_info >= (3, 15) else "ax"


@functools.cache
def parse(mode: str) -> Mode | None:
    """What ``mode`` means; None if the built-in open() refuses it."""
    kinds = [letter for letter in mode if letter in KINDS]
    rest = sorted(letter for letter in mode if letter not in KINDS)
    if len(kinds) != 1 or rest not in ([], ["+"], ["b"], ["t"], ["+", "b"], ["+", "t"]):
        return None
    kind, both = kinds[0], "+" in rest
    reads, writes = both or kind == "r", both or kind != "r"
    access = os.O_RDWR if both else os.O_RDONLY if reads else os.O_WRONLY
    shown = f"{kind}b" if kind in SHOWN_WITH_PLUS or not reads else "rb"
    return Mode(
        "b" not in rest,
        kind + "+" * both,
        access | KINDS[kind] | os.O_CLOEXEC,
        reads,
        writes,
        kind == "a",
        shown + "+" * both,
    )
