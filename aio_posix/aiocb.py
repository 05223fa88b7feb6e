"""What to do: the request, its fields, its buffer.

- Fields do not change while the request is in flight.
- The buffer is exported (not resized, not freed) from submission until glibc is done, not before or
  after.
- One aiocb owns one C request (csrc/python/control.h), which lives as long as glibc may use it.
"""

from __future__ import annotations

import errno
import os
from enum import IntEnum
from operator import index

from aio_posix import _calls
from aio_posix._calls import Control
from aio_posix._ffi import ffi, lib
from aio_posix.flight import Exit
from aio_posix.sigevent import sigevent

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from aio_posix._types import FileDescriptor, ReadableBuffer


class LioOpcode(IntEnum):
    """What an entry of lio_listio asks for."""

    LIO_READ = lib.LIO_READ
    LIO_WRITE = lib.LIO_WRITE
    LIO_NOP = lib.LIO_NOP


LIO_READ = LioOpcode.LIO_READ
LIO_WRITE = LioOpcode.LIO_WRITE
LIO_NOP = LioOpcode.LIO_NOP

CHARS = ffi.typeof("char[]")
AIO_PRIO_DELTA_MAX = os.sysconf("SC_AIO_PRIO_DELTA_MAX")  # 20 on glibc
IN_FLIGHT = lib.IN_FLIGHT


class aiocb(Control):
    """One asynchronous read, write or sync, as the control block of <aio.h>.

    C: ``struct aiocb { int aio_fildes; off_t aio_offset; volatile void *aio_buf; size_t aio_nbytes;
    int aio_reqprio; struct sigevent aio_sigevent; int aio_lio_opcode; }``

    aio_fildes
        The descriptor, or an object with ``fileno()``, which is kept alive while the request is in
        flight. glibc keeps one queue for each descriptor number. Requests on the same number run
        one after another.
    aio_buf
        The memory, which is any C-contiguous buffer. A read needs a writable one (bytearray,
        memoryview, mmap, array, numpy). While the request is in flight it can be neither resized
        nor freed.
    aio_offset
        Where in the file, in bytes from its beginning, 64 bits wide. Sockets, pipes and terminals
        ignore it, and so does a write with O_APPEND. The request does not move it.
    aio_nbytes
        How many bytes. None stands for the whole buffer, and reads back as a number. Linux moves at
        most 0x7ffff000 bytes in one request, and aio_return() tells how many it was.
    aio_reqprio
        From 0, which is urgent, to AIO_PRIO_DELTA_MAX. It orders requests of one descriptor that
        wait. A request that runs stays ahead.
    aio_sigevent
        How completion is announced, by a sigevent or (None) not at all.
    aio_lio_opcode
        What lio_listio() does with the request (LIO_READ, LIO_WRITE or LIO_NOP). The other calls
        ignore it.

    A field can be set while the request is not in flight. While it is, setting one raises
    BlockingIOError (EINPROGRESS). TypeError and ValueError are for what can never be submitted. A
    request that is dropped in flight gives a ResourceWarning, and lives on until glibc has
    finished.
    """

    __slots__ = ("__weakref__",)

    aio_lio_opcode: LioOpcode

    def __init__(
        self,
        aio_fildes: FileDescriptor,
        aio_buf: ReadableBuffer | None = None,
        aio_offset: int = 0,
        aio_nbytes: int | None = None,
        *,
        aio_reqprio: int = 0,
        aio_sigevent: sigevent | None = None,
        aio_lio_opcode: int = LIO_NOP,
    ) -> None:
        fields = {
            "aio_fildes": _fildes(aio_fildes),
            "aio_buf": _buffer(aio_buf),
            "aio_offset": _offset(aio_offset),
            "_nbytes": _nbytes(aio_nbytes),
            "aio_reqprio": _reqprio(aio_reqprio),
            "aio_sigevent": _sigevent(aio_sigevent),
            "aio_lio_opcode": LioOpcode(aio_lio_opcode),
        }
        if not _calls.reset(self):  # not before, or a bad argument would cost the last result
            raise BlockingIOError(
                errno.EINPROGRESS,
                "the request is in flight, or a thread is waiting for it: it cannot be made anew",
            )
        put = super().__setattr__
        for name, value in fields.items():
            put(name, value)

    if not TYPE_CHECKING:  # it would make type checkers accept any name

        def __setattr__(self, name: str, value: Any) -> None:
            check = _FIELDS.get(name)
            if check is None:
                if name in _HIDDEN:
                    raise AttributeError(f"{name} is not a field of an aiocb")
                return super().__setattr__(name, value)  # a subclass may have attributes of its own
            value = check(value)  # first, for that may run code that submits the request
            if self.in_progress:
                raise BlockingIOError(
                    errno.EINPROGRESS, f"{name} cannot change: the request is in flight"
                )
            super().__setattr__("_nbytes" if name == "aio_nbytes" else name, value)

    def __delattr__(self, name: str) -> None:
        if name in _FIELDS or name in _HIDDEN:
            raise AttributeError(f"{name} cannot be deleted from an aiocb")
        super().__delattr__(name)

    def __reduce__(self) -> str:
        raise TypeError(
            "an aiocb can be neither copied nor pickled: glibc knows its memory by the address"
        )

    @property
    def aio_nbytes(self) -> int:
        """How many bytes. It can be set, and None stands for the whole buffer."""
        nbytes: int | None = self._nbytes
        if nbytes is None:
            return 0 if self.aio_buf is None else memoryview(self.aio_buf).nbytes
        return nbytes

    if TYPE_CHECKING:  # __setattr__ sets it, with a check

        @aio_nbytes.setter
        def aio_nbytes(self, value: int | None) -> None: ...

    @property
    def in_progress(self) -> bool:
        """True from submission until glibc has finished with the request."""
        return _calls.state(self) == IN_FLIGHT

    def __repr__(self) -> str:
        state = ("never submitted", "in flight", "complete", "returned")[_calls.state(self)]
        try:
            nbytes = str(self.aio_nbytes)
        except ValueError:  # a closed mmap, a released memoryview
            nbytes = "?"
        return f"<aiocb fd={self.aio_fildes!r} nbytes={nbytes} offset={self.aio_offset} {state}>"

    def __del__(self, _state: Any = _calls.state, _exit: type[Exit] = Exit) -> None:
        """Warns. What the request needs is released without this, in C."""
        if not _exit.drained and not lib.forked and _state(self) == IN_FLIGHT:
            import warnings  # rarely needed, and slow to import

            warnings.warn(
                f"dropped while in flight: {self!r}", ResourceWarning, stacklevel=2, source=self
            )


def _integer(name: str, value: Any) -> int:
    try:
        return int(index(value))
    except TypeError:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}") from None


def _fildes(value: Any) -> Any:
    if hasattr(value, "fileno"):
        return value
    try:
        number = int(index(value))
    except TypeError:
        raise TypeError(
            f"aio_fildes must be an int or have fileno(), not {type(value).__name__}"
        ) from None
    if not -(2**31) <= number < 2**31:
        raise ValueError(f"descriptor {number} does not fit a C int")
    return number


def _buffer(value: Any) -> Any:
    if value is not None:
        try:
            # not a second view of one, which two threads may not make of the same at once
            view = value if type(value) is memoryview else memoryview(value)
        except TypeError:
            raise TypeError(
                "aio_buf must be a buffer (bytes, bytearray, memoryview, mmap, array ...), "
                f"not {type(value).__name__}"
            ) from None
        try:
            if not view.c_contiguous:
                raise ValueError("aio_buf must be C-contiguous")
            if any(
                "O" in codes for codes in view.format.split(":")[::2]
            ):  # every second part is a field's name
                raise TypeError(
                    "aio_buf holds references to Python objects, which no file can supply"
                )
        finally:
            if view is not value:
                view.release()
    return value


def _offset(value: int) -> int:
    value = _integer("aio_offset", value)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"aio_offset {value} does not fit a 64-bit off_t")
    return value


def _nbytes(value: int | None) -> int | None:
    if value is not None:
        value = _integer("aio_nbytes", value)
        if value < 0:
            raise ValueError(f"aio_nbytes {value} is negative")
    return value


def _reqprio(value: int) -> int:
    value = _integer("aio_reqprio", value)
    if not 0 <= value <= AIO_PRIO_DELTA_MAX:
        raise ValueError(
            f"aio_reqprio {value} is not in 0..{AIO_PRIO_DELTA_MAX} (AIO_PRIO_DELTA_MAX)"
        )
    return value


def _sigevent(value: sigevent | None) -> sigevent | None:
    if value is not None and not isinstance(value, sigevent):
        raise TypeError(f"aio_sigevent must be a sigevent or None, not {type(value).__name__}")
    return value


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "aio_fildes": _fildes,
    "aio_buf": _buffer,
    "aio_offset": _offset,
    "aio_nbytes": _nbytes,
    "aio_reqprio": _reqprio,
    "aio_sigevent": _sigevent,
    "aio_lio_opcode": LioOpcode,
}
_HIDDEN = {"_nbytes", "_signalled"}


def plain_type() -> type[aiocb]:
    """The type whose fields C may read itself. A subclass may compute them."""
    return aiocb


def fileno(fildes: Any) -> int:
    fildes = _fildes(fildes)
    return fildes if isinstance(fildes, int) else int(_fildes(fildes.fileno()))


def unusable(buf: Any, nbytes: int | None, op: int) -> None:
    """Raises what is wrong with a buffer that csrc/python/describe.c could not use."""
    if buf is None:
        what = "read into" if op == LIO_READ else "write from"
        raise ValueError(f"aio_buf is None: there is nothing to {what}")
    try:
        size = len(ffi.from_buffer(CHARS, buf, op == LIO_READ))
    except (TypeError, ValueError, BufferError) as error:
        with memoryview(buf) as view:
            if op == LIO_READ and view.readonly:
                raise TypeError(f"cannot read into a read-only {type(buf).__name__}") from None
        raise ValueError(f"aio_buf: {error}") from None
    raise ValueError(f"aio_nbytes is {nbytes} but aio_buf has {size} bytes")
