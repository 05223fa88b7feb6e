"""What happened, for every kind of drawing, as lanes of threads, boxes in them, and arrows between
them.

Times are nanoseconds of time.time_ns().
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from aio_posix.study.observed import Flight, Life

QUEUE = 0  # the lane of what no thread has taken
AWAITED = -1  # the lane of what tasks wait for
UNTHREADED = (QUEUE, AWAITED)


class Group(StrEnum):
    PROGRAM = "program"
    AWAITED = "awaited"
    QUEUE = "queued"
    HELPER = "helpers"
    NOTIFICATION = "notification threads"


class Kind(StrEnum):
    SUBMIT = "submission"
    AWAITED = "awaited"
    CACHE = "page cache"
    QUEUE = "queued"
    FLIGHT = "in flight"
    IO = "I/O"
    NOTIFY = "notification"
    CALLBACK = "callback"
    CALL = "system call"


@dataclass(frozen=True)
class Lane:
    tid: int  # of the thread, or QUEUE if it is none
    group: Group
    name: str
    begin: int
    end: int


@dataclass(frozen=True)
class Box:
    tid: int
    kind: Kind
    begin: int
    end: int
    label: str
    of: tuple[int, ...] = ()  # serial numbers of requests
    detail: str = ""
    error: str = ""
    open: bool = False  # had not ended when all else had


@dataclass(frozen=True)
class Arrow:
    """Who started whom, from one lane to another at one moment."""

    what: str  # submits, is taken, starts, notifies
    at: int
    source: int
    target: int
    of: tuple[int, ...] = ()


@dataclass(frozen=True)
class Timeline:
    begin: int
    end: int
    lanes: tuple[Lane, ...]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    files: Mapping[int, str]  # descriptor -> what it was when first used
    traced: bool  # system calls were seen
    title: str = ""
    left_out: int = 0  # requests that came later
    flights: tuple[Flight, ...] = ()
    lives: Mapping[int, Life] = field(default_factory=dict)  # of the helpers
    aio_threads: int | None = None  # None if nobody knows how many there may be
    full: int | None = None  # since when nothing was recorded any more
