"""What callers pass in, checked as the built-in's files check it.

The same mistake raises an error of the same type. Nothing here does I/O, so a wrong
argument is found before anything has happened.
"""

from __future__ import annotations

import errno
import operator
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aio_posix._types import ReadableBuffer, WritableBuffer

MOST = sys.maxsize  # of a size, and on 64 bits of an offset, too


def size(value: object) -> int:
    """An optional size, where None means -1."""
    if value is None:
        return -1
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # whatever is no integer raises
    except TypeError:
        text = f"argument should be integer or None, not '{type(value).__name__}'"
        raise TypeError(text) from None
    return fitting(number)


def fitting(number: int) -> int:
    """An integer that C's Py_ssize_t holds."""
    if not -sys.maxsize - 1 <= number <= sys.maxsize:
        raise OverflowError("cannot fit 'int' into an index-sized integer")
    return number


def not_negative(what: str, number: int) -> None:
    if number < 0:
        raise ValueError(f"negative {what}: {number}")


def position(value: object) -> int:
    """An offset that C's off_t holds."""
    number = operator.index(value)  # type: ignore[arg-type]  # whatever is no integer raises
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError("cannot fit 'int' into an offset-sized integer")
    return number


def extent(nbytes: object, offset: object) -> None:
    """A size and an offset in a file."""
    if type(nbytes) is int and type(offset) is int and 0 <= nbytes <= MOST >= offset >= 0:
        return
    not_negative("size", size(nbytes))
    not_negative("offset", position(offset))


def readable(data: ReadableBuffer) -> memoryview:
    """The bytes of ``data``, whatever its shape. TypeError or BufferError if it has none."""
    if isinstance(data, str):
        raise TypeError("a bytes-like object is required, not 'str'")
    try:
        view = memoryview(data)  # type: ignore[arg-type]  # as numpy says on 3.11
    except TypeError:
        text = f"a bytes-like object is required, not '{type(data).__name__}'"
        raise TypeError(text) from None
    if not view.nbytes:  # memoryview refuses to cast a shape with a 0 in it
        return memoryview(b"" if view.readonly else bytearray())
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    return view.cast("B")


def writable(buffer: WritableBuffer, method: str) -> memoryview:
    """The bytes of ``buffer``, to be written by ``method``."""
    try:
        view = readable(buffer)
        writable = not view.readonly
    except (TypeError, BufferError):
        writable = False
    if not writable:
        text = f"{method}() argument must be read-write bytes-like object"
        raise TypeError(f"{text}, not {type(buffer).__name__}")
    return view


# of requests at an offset, with the errors of os.pread


def count(nbytes: object) -> int:
    """A number of bytes."""
    number = operator.index(nbytes)  # type: ignore[arg-type]  # whatever is no integer raises
    if number < 0:
        raise ValueError(f"nbytes {number} is negative")
    return number


def place(offset: object) -> int:
    """An offset, perhaps before the beginning."""
    number = operator.index(offset)  # type: ignore[arg-type]  # whatever is no integer raises
    if not -(1 << 63) < number < 1 << 63:
        raise OverflowError(f"offset {number} is larger than a file can be")
    return number


def positive(offset: int) -> int:
    """The offset, where there are positions."""
    if offset < 0:
        raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: offset {offset} is negative")
    return offset
