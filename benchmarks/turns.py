"""The longest turn of an event loop, without the time in which the machine let others run.

The kernel counts how long a thread was ready and had no processor (run delay, in
/proc/thread-self/schedstat). Waits for files, locks and the GIL are part of the turn.
"""

from __future__ import annotations

import asyncio
import os
import time


class Turns:
    """Watches the turns of the running loop until `stopped` is set."""

    def __init__(self) -> None:
        self.longest = 0.0  # seconds
        self.stopped = False
        self.schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self.begin()
        self.loop = asyncio.get_running_loop()
        self.loop.call_soon(self.turn)

    def now(self) -> float:
        delay = int(os.pread(self.schedstat, 100, 0).split()[1])
        return time.perf_counter() - delay / 1e9

    def begin(self) -> None:
        self.last = self.now()

    def end(self) -> None:
        self.longest = max(self.longest, self.now() - self.last)

    def turn(self) -> None:
        self.end()
        self.begin()
        if not self.stopped:
            self.loop.call_soon(self.turn)
        else:
            os.close(self.schedstat)
