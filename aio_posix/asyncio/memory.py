"""Memory that a request reads into or writes from."""

from __future__ import annotations

from typing import Any

from aio_posix._ffi import ffi

ALIGNMENT = 4096  # bytes, to which O_DIRECT aligns offset, length and memory on any device of Linux

_uncleared = ffi.new_allocator(should_clear_after_alloc=False)


class Aligned:
    """Memory for O_DIRECT."""

    __slots__ = ("_memory", "address", "view")

    def __init__(self, size: int) -> None:
        self._memory = _uncleared("char[]", size + ALIGNMENT)
        start = int(ffi.cast("uintptr_t", self._memory))
        self.address = start + -start % ALIGNMENT
        self.view = ffi.buffer(self._memory + -start % ALIGNMENT, size)


def aligned(data: Any) -> Any:
    """A copy of data in memory that O_DIRECT can write."""
    with memoryview(data) as whole:
        memory = Aligned(whole.nbytes)
        memory.view[:] = whole.tobytes()
    return memory.view


def pin(buffer: Any, *, writable: bool = False) -> tuple[Any, int]:
    """An export of the buffer, which can be neither resized nor freed meanwhile, and its
    address.
    """
    pinned = ffi.from_buffer("char[]", buffer, writable)
    return pinned, int(ffi.cast("uintptr_t", pinned))
