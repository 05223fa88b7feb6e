"""What wakes a loop."""

from __future__ import annotations

import os

from aio_posix._ffi import ffi, lib


class Bell:
    """Wakes a loop from any thread. It is closed with its last user."""

    __slots__ = ("c", "fd")

    def __init__(self) -> None:
        bell = lib.bell_new()
        if not bell:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        self.c = ffi.gc(bell, lib.bell_drop)
        self.fd = int(self.c.fd)

    def ring(self) -> None:
        lib.bell_ring(self.c)

    def hush(self) -> None:
        lib.bell_hush(self.c)
