"""How long a loop looks for the end of something before it leaves that to a thread and a bell."""

from __future__ import annotations

import os
import time

RETRY = 16


class Patience:
    """Seconds of looking in vain. After that has been too short, it is tried at every RETRY'th
    time. With one processor nothing would end meanwhile, so there is none.
    """

    __slots__ = ("_in_vain", "_seconds", "_since")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds if len(os.sched_getaffinity(0)) > 1 else 0.0
        self._since = 0.0  # when something was found or begun
        self._in_vain = 0

    def begin(self) -> None:
        self._since = time.monotonic()

    def found(self) -> None:
        self.begin()
        self._in_vain = 0

    def ends(self) -> bool:
        """Whether the loop has looked in vain for long enough."""
        if self._in_vain % RETRY or time.monotonic() - self._since >= self._seconds:
            self._in_vain += 1
            return True
        return False
