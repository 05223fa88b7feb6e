"""Reads of the page cache: why one is declined, how much it may be, and the switch for all."""

from __future__ import annotations

from aio_posix._ffi import lib

REST: int = lib.REST
ABSENT: int = lib.ABSENT
STREAM: int = lib.STREAM
OTHERWISE: int = lib.OTHERWISE
NOW_MOST: int = lib.NOW_MOST


def nowait(enabled: bool) -> bool:
    """Switch on or off that reads ask the page cache first, and return what held before.

    It is on (preadv2 with RWF_NOWAIT) unless it is switched off, in the whole process. Switch it
    off to measure, or for a file system that waits in spite of the flag.
    """
    return bool(lib.now_enable(enabled))
