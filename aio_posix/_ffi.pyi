"""The compiled module, for type checkers: csrc/aio.cdef.h says what is in lib."""

from typing import Any

ffi: Any
lib: Any
