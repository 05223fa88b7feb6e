"""Rows for the calls themselves (callbacks, lists, the queue) on a file in the page cache.

Every read is 4 KiB. python/NAME.py and c/NAME.c are the same loop and check every count.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from comparison import Row
from programs import c_number, pages, python_number

DEFAULT_STACK = 0  # without sigev_notify_attributes it is RLIMIT_STACK, 8 MiB as a rule
SMALL_STACK = 64  # KiB


def rows(seconds: float) -> Iterator[Row]:
    for in_flight, goal in ((1, 0.75), (32, 1.4)):
        yield callback(f"callback-{in_flight}", in_flight, DEFAULT_STACK, goal, seconds)
        yield callback(f"callback-{in_flight}-small-c", in_flight, SMALL_STACK, None, seconds)
    yield completion_queue("queue-32", 32, SMALL_STACK, 1.0, seconds)
    yield completion_queue("queue-32-default-c", 32, DEFAULT_STACK, None, seconds)
    for length, goal in ((32, 0.8), (1000, 0.9)):
        for mode in ("wait", "nowait"):
            yield listio(mode, length, goal, seconds)
    yield window(32, 0.7, seconds)


def callback(name: str, in_flight: int, stack: int, goal: float | None, seconds: float) -> Row:
    return Row(
        name, "completions/s", "rate", goal,
        ours=lambda of: python_number(of, "callback", pages(), in_flight, seconds, seconds=seconds),
        c=lambda: c_number("callback", pages(), in_flight, seconds, stack, seconds=seconds),
    )  # fmt: skip


def completion_queue(
    name: str, in_flight: int, stack: int, goal: float | None, seconds: float
) -> Row:
    theirs = partial(c_number, "queue", seconds=seconds)
    return Row(
        name, "completions/s", "rate", goal,
        ours=lambda of: python_number(
            of, "completion_queue", pages(), in_flight, seconds, seconds=seconds
        ),
        c=lambda: theirs(pages(), in_flight, seconds, stack),
    )  # fmt: skip


def listio(mode: str, length: int, goal: float, seconds: float) -> Row:
    ours = partial(python_number, seconds=seconds)
    return Row(
        f"listio-{mode}-{length}", "lists/s", "rate", goal,
        ours=lambda of: ours(of, "listio", pages(), mode, length, seconds),
        c=lambda: c_number("listio", pages(), mode, length, seconds, SMALL_STACK, seconds=seconds),
    )  # fmt: skip


def window(in_flight: int, goal: float, seconds: float) -> Row:
    return Row(
        f"window-{in_flight}", "completions/s", "rate", goal,
        ours=lambda of: python_number(of, "window", pages(), in_flight, seconds, seconds=seconds),
        c=lambda: c_number("window", pages(), in_flight, seconds, seconds=seconds),
    )  # fmt: skip
