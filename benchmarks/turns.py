"""The longest turn of an event loop."""

from __future__ import annotations

import asyncio
import time


class Turns:
    """Watches the turns of the running loop until `stopped` is set."""

    def __init__(self) -> None:
        self.longest = 0.0  # seconds
        self.stopped = False
        self.last = time.perf_counter()
        self.loop = asyncio.get_running_loop()
        self.loop.call_soon(self.turn)

    def turn(self) -> None:
        now = time.perf_counter()
        self.longest, self.last = max(self.longest, now - self.last), now
        if not self.stopped:
            self.loop.call_soon(self.turn)
