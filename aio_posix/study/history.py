"""How busy the pool of a watched process was, look after look."""

from __future__ import annotations

from collections import deque

REMEMBERED = 40  # looks
RAMP = " .:-=+*#"  # for none busy to as many as ever


class History:
    """How many helpers were busy at each look, and at how many looks the pool was full."""

    def __init__(self) -> None:
        self.busy: deque[int] = deque(maxlen=REMEMBERED)
        self.full: deque[bool] = deque(maxlen=REMEMBERED)
        self.most = 1

    def add(self, busy: int, most: int | None) -> None:
        """``most`` says how many helpers there may be, if that is known."""
        self.busy.append(busy)
        self.full.append(busy > 0 and busy == most)
        self.most = max(self.most, busy)

    @property
    def marks(self) -> str:
        """One for each look."""
        steps = len(RAMP) - 1
        return "".join(RAMP[-(-busy * steps // self.most)] for busy in self.busy)

    def __str__(self) -> str:
        looks = f"busy in the last {len(self.busy)} looks, {self.most} at most"
        return f"{looks}: [{self.marks}]  the pool was full in {sum(self.full)}"
