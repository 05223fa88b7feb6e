"""What a moment of the model is made of, which is a request, what became of it, and a helper
thread.

These are values that never change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Op(Enum):
    READ = "read"
    WRITE = "write"
    SYNC = "fsync"


class Doing(Enum):
    STARTING = "starting"
    WORKING = "working"
    IDLE = "idle"
    WOKEN = (
        "woken"  # still counted as idle, and another thread may empty the runlist before it looks
    )


@dataclass(frozen=True)
class Request:
    name: str
    fd: int
    op: Op = Op.READ
    aio_reqprio: int = 0

    @property
    def priority(self) -> int:
        return 0 if self.op is Op.SYNC else -self.aio_reqprio  # aio_fsync zeroes aio_reqprio


@dataclass(frozen=True)
class Done:
    request: Request
    error: int  # as aio_error
    value: int  # as aio_return


@dataclass(frozen=True)
class Helper:
    number: int = field(compare=False)  # for people, as glibc does not tell its helpers apart
    doing: Doing
    request: Request | None = None
