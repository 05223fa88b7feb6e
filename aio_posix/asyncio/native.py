"""The functions of C for the awaited layer, and their constants."""

from __future__ import annotations

from aio_posix._calls import (
    EachLine,
    Lines,
    Position,
    batch_abandon,
    batch_collect,
    batch_submit,
    close_local,
    close_now,
    declined,
    fill_now,
    fresh,
    is_local,
    kind_of,
    lock_held,
    lock_held_here,
    may_now,
    open_now,
    open_wait,
    plain_buffers,
    plain_ranges,
    read_many_now,
    read_now,
    readinto_many_now,
    same_file,
)
from aio_posix._ffi import lib

__all__ = [
    "ABSENT",
    "NOW_MOST",
    "REST",
    "STREAM",
    "EachLine",
    "Lines",
    "Position",
    "batch_abandon",
    "batch_collect",
    "batch_submit",
    "close_local",
    "close_now",
    "declined",
    "fill_now",
    "fresh",
    "is_local",
    "kind_of",
    "lock_held",
    "lock_held_here",
    "may_now",
    "nowait",
    "open_now",
    "open_wait",
    "plain_buffers",
    "plain_ranges",
    "read_many_now",
    "read_now",
    "readinto_many_now",
    "same_file",
]

REST: int = lib.REST
ABSENT: int = lib.ABSENT
STREAM: int = lib.STREAM
NOW_MOST: int = lib.NOW_MOST


def nowait(enabled: bool) -> bool:
    """Switch on or off that reads ask the page cache first, and return what held before.

    It is on (preadv2 with RWF_NOWAIT) unless it is switched off, in the whole process. Switch it
    off to measure, or for a file system that waits in spite of the flag.
    """
    return bool(lib.now_enable(enabled))
