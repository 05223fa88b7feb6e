"""The functions of C for the awaited layer, and their constants."""

from __future__ import annotations

from aio_posix._calls import (
    EachLine as EachLine,
)
from aio_posix._calls import (
    Lines as Lines,
)
from aio_posix._calls import (
    Position as Position,
)
from aio_posix._calls import (
    batch_abandon as batch_abandon,
)
from aio_posix._calls import (
    batch_collect as batch_collect,
)
from aio_posix._calls import (
    batch_submit as batch_submit,
)
from aio_posix._calls import (
    close_local as close_local,
)
from aio_posix._calls import (
    close_now as close_now,
)
from aio_posix._calls import (
    declined as declined,
)
from aio_posix._calls import (
    fill_now as fill_now,
)
from aio_posix._calls import (
    fresh as fresh,
)
from aio_posix._calls import (
    is_local as is_local,
)
from aio_posix._calls import (
    kind_of as kind_of,
)
from aio_posix._calls import (
    lock_held as lock_held,
)
from aio_posix._calls import (
    lock_held_here as lock_held_here,
)
from aio_posix._calls import (
    may_now as may_now,
)
from aio_posix._calls import (
    open_now as open_now,
)
from aio_posix._calls import (
    open_wait as open_wait,
)
from aio_posix._calls import (
    plain_buffers as plain_buffers,
)
from aio_posix._calls import (
    plain_ranges as plain_ranges,
)
from aio_posix._calls import (
    read_many_now as read_many_now,
)
from aio_posix._calls import (
    read_now as read_now,
)
from aio_posix._calls import (
    readinto_many_now as readinto_many_now,
)
from aio_posix._calls import (
    same_file as same_file,
)
from aio_posix._ffi import lib

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
