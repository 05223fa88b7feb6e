"""The functions of C that take and return Python objects; they put themselves in here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aio_posix._ffi import lib

# fd, nbytes, offset: the bytes, if they are in the page cache and a slice is open; else declined()
# tells why not.
read_now: Callable[[Any, int, int], bytes | None]
fill_now: Callable[[int, bytes, int, int, int], int | None]  # fd, data, at, nbytes, offset
may_now: Callable[[int, int], bool]  # fd, nbytes
declined: Callable[[], int]
fresh: Callable[[int], bytes]

batch_submit: Callable[[int, list[Any], Iterator[int], int], int]  # batch, entries, serials, bell
batch_collect: Callable[
    [int], list[tuple[int, int]]
]  # (index, count or minus errno) of what is newly complete

same_file: Callable[[int, int], int]  # 1, 0, or -1 when this system does not tell
lock_held: Callable[[int], bool]
close_local: Callable[[int], int]  # CLOSED, LOCKED or MAY_WAIT

open_now: Callable[[str | bytes, int], tuple[int, int] | None]  # path, flags: fd, size
open_wait: Callable[[str | bytes, int], tuple[int, int, int]]  # path, flags: fd, st_mode, size
close_now: Callable[[int], bool]  # False: it may take long, and nothing has happened

REST: int = lib.REST
ABSENT: int = lib.ABSENT
STREAM: int = lib.STREAM
NOW_MOST: int = lib.NOW_MOST

if lib.batch_start(__name__.encode()) != 0:
    raise ImportError("aio_posix.asyncio could not be set up")


def nowait(enabled: bool) -> bool:
    """Whether reads try the page cache first (preadv2 with RWF_NOWAIT), in the whole process; what
    held before.

    On unless switched off: for measuring, or for a file system that waits in spite of the flag.
    """
    return bool(lib.now_enable(enabled))
