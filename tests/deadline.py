"""Waiting with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable

TAKEN = 0.05  # seconds after which a helper thread has taken a request, on the slowest machine seen


def eventually(true: Callable[[], object], timeout: float = 10.0) -> bool:
    """Whether it becomes true in time."""
    end = time.monotonic() + timeout
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True
