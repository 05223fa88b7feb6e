"""What a program that awaits files relies on: one function for each fact.

A fact returns if the library is right. It raises Wrong where a result is false or something is
lost, Absent where the library does not offer the call; any other exception is the library's own.
Each runs in a process and an empty directory of its own. Its docstring is its row in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from adapters import Library


class Wrong(Exception):
    """The library gave a false result, or lost something."""


def same(got: object, expected: object, what: str) -> None:
    if got != expected:
        raise Wrong(f"{what}: {got!r:.60} instead of {expected!r:.60}")


LIMIT = 30  # seconds for one fact
LONGER = {"three_gib_read": 180, "three_gib_write": 180}  # a few seconds on an idle machine


class Fact(NamedTuple):
    name: str
    title: str
    holds: Callable[[Library], None]

    @property
    def limit(self) -> int:
        return LONGER.get(self.name, LIMIT)


def facts() -> list[Fact]:
    from facts import cancelling, descriptors, errors, loops, order, processes, slow, texts

    return [
        Fact(function.__name__, (function.__doc__ or "").split("\n")[0].rstrip("."), function)
        for module in (order, texts, descriptors, cancelling, errors, slow, loops, processes)
        for function in module.FACTS
    ]
