"""What to do: the request, its fields, its buffer.

- Fields do not change while the request is in flight.
- The buffer is exported (pinned: not resized, not freed) from submission until glibc is done, not
  before or after.
- One aiocb holds one C request, whose memory flight.py keeps for as long as glibc may use it.
"""

from __future__ import annotations

import errno
import os
from enum import IntEnum
from operator import index

from aio_posix import flight
from aio_posix._ffi import ffi, lib
from aio_posix.flight import IN_FLIGHT, STATE, Stop, look
from aio_posix.sigevent import address, sigevent

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


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


class aiocb:
    """One asynchronous read, write or sync: the control block of <aio.h>.

    C: ``struct aiocb { int aio_fildes; off_t aio_offset; volatile void *aio_buf; size_t aio_nbytes;
    int aio_reqprio; struct sigevent aio_sigevent; int aio_lio_opcode; }``

    aio_fildes: int or any object with fileno(); it is kept alive while the request is in flight.
    aio_buf: any C-contiguous buffer; it can be neither resized nor freed while the request is in
    flight. aio_offset: bytes, 64 bits wide; ignored on sockets, pipes and terminals. aio_nbytes:
    bytes; None stands for the whole buffer. Linux moves at most 0x7ffff000 bytes a request.
    aio_reqprio: 0 (urgent) to AIO_PRIO_DELTA_MAX. aio_sigevent: None means SIGEV_NONE.

    Fields can be set while the request is not in flight: otherwise BlockingIOError (EINPROGRESS).
    TypeError and ValueError for what can never be submitted. A request dropped in flight gives a
    ResourceWarning.
    """

    __slots__ = (
        "__weakref__",
        "_address",
        "_nbytes",
        "_request",
        "_told",
        "aio_buf",
        "aio_fildes",
        "aio_lio_opcode",
        "aio_offset",
        "aio_reqprio",
        "aio_sigevent",
    )

    aio_fildes: Any
    aio_buf: Any
    aio_offset: int
    aio_reqprio: int
    aio_sigevent: sigevent | None
    aio_lio_opcode: LioOpcode
    _request: Any
    _address: int
    _nbytes: int | None
    _told: Any

    def __init__(
        self,
        aio_fildes: Any,
        aio_buf: Any = None,
        aio_offset: int = 0,
        aio_nbytes: int | None = None,
        *,
        aio_reqprio: int = 0,
        aio_sigevent: sigevent | None = None,
        aio_lio_opcode: int = LIO_NOP,
    ) -> None:
        if hasattr(self, "_request") and self.in_progress:
            raise BlockingIOError(
                errno.EINPROGRESS, "the request is in flight: it cannot be made anew"
            )
        put = super().__setattr__
        put("_request", ffi.new("struct request *"))
        put("_address", address(self._request))
        put("aio_fildes", _fildes(aio_fildes))
        put("aio_buf", _buffer(aio_buf))
        put("aio_offset", _offset(aio_offset))
        put("_nbytes", _nbytes(aio_nbytes))
        put("aio_reqprio", _reqprio(aio_reqprio))
        put("aio_sigevent", _sigevent(aio_sigevent))
        put("aio_lio_opcode", LioOpcode(aio_lio_opcode))

    def __setattr__(self, name: str, value: Any) -> None:
        check = _FIELDS.get(name)
        if check is None:
            if name in aiocb.__slots__:
                raise AttributeError(f"{name} is not a field of an aiocb")
            return super().__setattr__(name, value)  # a subclass may have attributes of its own
        if self.in_progress:
            raise BlockingIOError(
                errno.EINPROGRESS, f"{name} cannot change: the request is in flight"
            )
        super().__setattr__("_nbytes" if name == "aio_nbytes" else name, check(value))

    def __delattr__(self, name: str) -> None:
        if name in _FIELDS or name in aiocb.__slots__:
            raise AttributeError(f"{name} cannot be deleted from an aiocb")
        super().__delattr__(name)

    def __reduce__(self) -> str:
        raise TypeError(
            "an aiocb can be neither copied nor pickled: it is memory that glibc knows by its address"
        )

    @property
    def aio_nbytes(self) -> int:
        nbytes: int | None = self._nbytes
        if nbytes is None:
            return 0 if self.aio_buf is None else memoryview(self.aio_buf).nbytes
        return nbytes

    @property
    def in_progress(self) -> bool:
        """True from submission until glibc is done with the request."""
        return bool(look(self._request) & STATE == IN_FLIGHT)

    def __repr__(self) -> str:
        state = ("never submitted", "in flight", "complete", "returned")[self._request.word & STATE]
        try:
            nbytes = str(self.aio_nbytes)
        except ValueError:  # a closed mmap, a released memoryview
            nbytes = "?"
        return f"<aiocb fd={self.aio_fildes!r} nbytes={nbytes} offset={self.aio_offset} {state}>"

    def __del__(self, _stop: type[Stop] = Stop) -> None:
        request = getattr(self, "_request", None)
        if request is None or _stop.now or request.word == 0 or lib.forked:
            return
        if look(request) & STATE == IN_FLIGHT:
            lib.request_abandon(request)
            import warnings  # rarely needed, and dear

            warnings.warn(
                f"dropped while in flight: {self!r}", ResourceWarning, stacklevel=2, source=self
            )
        else:
            lib.request_fence(request)


def _integer(name: str, value: Any) -> int:
    try:
        return int(index(value))
    except TypeError:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}") from None


def _fildes(value: Any) -> Any:
    if hasattr(value, "fileno"):
        return value
    number = _integer("a file without fileno()", value)
    if not -(2**31) <= number < 2**31:
        raise ValueError(f"descriptor {number} does not fit a C int")
    return number


def _buffer(value: Any) -> Any:
    if value is not None:
        with memoryview(value) as view:  # TypeError for what has no buffer
            if not view.c_contiguous:
                raise ValueError("aio_buf must be C-contiguous")
            if any(
                "O" in codes for codes in view.format.split(":")[::2]
            ):  # every second part is a field's name
                raise TypeError(
                    "aio_buf holds references to Python objects, which no file can supply"
                )
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
set_told = aiocb.__dict__["_told"].__set__

# csrc/aiocb.c puts its functions in here: each submission and each result is one call.
start: Callable[[aiocb, int], int]  # 0, or the errno of a refusal: then nothing is kept
collect: Callable[
    [aiocb], int | None
]  # the count, which is returned by this; None if there is none to return
keep_list: Callable[
    [int, list[aiocb], Any], tuple[list[int], list[Any]]
]  # listing, aiocbs, what else to keep
unkeep_list: Callable[[int], None]
# listing, waits, number, sigevent, value, serials, what the promise keeps -> 0, an errno, or minus
# an errno
start_list: Callable[[int, bool, int, sigevent | None, Any, list[int], Any], int]
land_list: Callable[[int], bool]  # whether a request of a list, which is complete, failed


def fileno(fildes: Any) -> int:
    fildes = _fildes(fildes)
    return fildes if isinstance(fildes, int) else int(_fildes(fildes.fileno()))


def unusable(buf: Any, nbytes: int | None, op: int) -> None:
    """Raises what is wrong with a buffer that csrc/aiocb.c could not use."""
    if buf is None:
        raise ValueError(f"aio_nbytes is {nbytes} but there is no aio_buf")
    try:
        size = len(ffi.from_buffer(CHARS, buf, op == LIO_READ))
    except (TypeError, ValueError, BufferError) as error:
        with memoryview(buf) as view:
            if op == LIO_READ and view.readonly:
                raise TypeError(f"cannot read into a read-only {type(buf).__name__}") from None
        raise ValueError(f"aio_buf: {error}") from None
    raise ValueError(f"aio_nbytes is {nbytes} but aio_buf has {size} bytes")


def signalled_by(cb: aiocb, sig: sigevent, serial: int) -> tuple[int, Any]:
    """What the signal of this submission will carry, and what is kept for it."""
    own, of_list = getattr(cb, "_told", (None, None))
    own = flight.tell(own, sig.sigev_value, cb if sig.sigev_value is None else None)
    set_told(cb, (own, of_list))
    own.of = (serial,)
    if sig.sigev_value is not None:
        return own.number, own
    flight.await_signal(serial)
    return own.number, cb


def submit(cb: aiocb, op: int) -> None:
    if Stop.look:
        flight.submittable()
    error = start(cb, op)  # noqa: F821 - C binds it
    if error:
        refused(error)


def refused(error: int) -> None:
    """Raises what glibc's refusal, or ours, means."""
    flight.usable()  # ENOTSUP
    if error == errno.EINPROGRESS:
        raise BlockingIOError(error, "the request is in flight already")
    raise OSError(error, f"{os.strerror(error)}: glibc did not accept the request")


if lib.aiocb_start(__name__.encode()) != 0:
    raise ImportError("aio_posix could not be set up")
