"""What may stand for a descriptor and for a buffer. There is no such module at run time. It is
imported for type checkers only.
"""

from typing import Any, Protocol, TypeAlias

class HasFileno(Protocol):
    def fileno(self) -> int: ...

FileDescriptor: TypeAlias = int | HasFileno

class _Buffer(Protocol):
    def __buffer__(self, flags: int, /) -> memoryview: ...

class _WritableBuffer(Protocol):
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...

class _Array(Protocol):
    """An array of numpy, whose stubs for Python 3.11 have no __buffer__."""

    @property
    def __array_interface__(self) -> Any: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...

# bytes, bytearray, memoryview, mmap, array, numpy arrays, and all else that PEP 688 calls a buffer
ReadableBuffer: TypeAlias = _Buffer | _Array
# the same without bytes, which has no __setitem__
WritableBuffer: TypeAlias = _WritableBuffer | _Array
