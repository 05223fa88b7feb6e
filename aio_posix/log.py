"""What is said by logging, under "aio_posix": only when something is wrong.

A program that has not imported logging has no handler, so there is nobody to say it to. Nothing
here runs in the sweeper, because a handler may block.
"""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from logging import Logger

DEBUG, WARNING = 10, 30  # as in logging
EVERY = 60.0  # seconds between two warnings of a stuck pool


class Last:
    """When something was said last."""

    stuck = -EVERY


def _say(level: int, text: str, *details: object) -> None:
    logging = sys.modules.get("logging")
    if logging is None:
        return
    logger: Logger = logging.getLogger("aio_posix")
    if not logger.handlers:  # or logging would print what nobody handles
        logger.addHandler(logging.NullHandler())
    logger.log(level, text, *details)


def delivered_late() -> None:
    """glibc lost a notification, and it has come all the same."""
    _say(
        DEBUG,
        "glibc could not make the thread for a notification; the sweeper found the request "
        "complete and delivered it",
    )


def lost_at_exit(text: str) -> None:
    """Writes were given up at exit; text names them."""
    _say(WARNING, "%s", text)


def pool_is_stuck(blocked: Sequence[tuple[str, int]]) -> None:
    """glibc begins nothing any more. blocked: operation and descriptor of what it has, the oldest
    first.
    """
    now = time.monotonic()
    if now - Last.stuck < EVERY:
        return
    Last.stuck = now
    names = ", ".join(f"{op} of descriptor {fd}" for op, fd in blocked[:3])
    _say(
        WARNING,
        "glibc has %d requests and makes no progress (%s%s): its helpers are blocked, and threads "
        "of aio_posix do awaited requests meanwhile; aio_init(aio_threads=...) makes the pool "
        "larger",
        len(blocked),
        names,
        ", ..." if len(blocked) > 3 else "",
    )
