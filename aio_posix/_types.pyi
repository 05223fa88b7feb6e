"""What may stand for a descriptor and for a buffer. There is no such module at run time: it is
imported for type checkers only.
"""

from typing import Any, Protocol, TypeAlias

class HasFileno(Protocol):
    def fileno(self) -> int: ...

FileDescriptor: TypeAlias = int | HasFileno

class ReadableBuffer(Protocol):
    """bytes, bytearray, memoryview, mmap, array, numpy arrays: all that PEP 688 calls a buffer."""

    def __buffer__(self, flags: int, /) -> memoryview: ...

class WritableBuffer(Protocol):
    """The same without bytes, which has no __setitem__."""

    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
