"""Memory that a request reads into or writes from."""

from __future__ import annotations

from typing import Any

from aio_posix._ffi import ffi

ALIGNMENT = 4096  # bytes, to which O_DIRECT aligns offset, length and memory on any device of Linux

_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


def uncleared(size: int) -> memoryview:
    """Memory for O_DIRECT. It lives as long as this view, a part of it, or an export of either.

    A ffi.buffer of a pointer into the memory would not keep the memory.
    """
    memory = _uncleared("char[]", size + ALIGNMENT)
    start = -int(ffi.cast("uintptr_t", memory)) % ALIGNMENT
    return memoryview(ffi.buffer(memory))[start : start + size]


def aligned(data: Any) -> memoryview:
    """A copy of data in memory that O_DIRECT can write."""
    with memoryview(data) as whole:
        memory = uncleared(whole.nbytes)
        memory[:] = whole.tobytes()
    return memory


def pin(buffer: Any, *, writable: bool = False) -> tuple[Any, int]:
    """An export of the buffer, which can be neither resized nor freed meanwhile, and its
    address.
    """
    pinned = ffi.from_buffer("char[]", buffer, writable)
    return pinned, int(ffi.cast("uintptr_t", pinned))
