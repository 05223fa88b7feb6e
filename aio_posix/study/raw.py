"""glibc's own calls, as a C program makes them. Nothing here protects anybody.

Lessons use them for what the binding refuses to do. The layout is that of 64-bit Linux (<aio.h>,
<bits/types/sigevent_t.h>). An aiocb must be kept alive by hand until its request is done, which is
the point.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, addressof, c_int, c_long, c_size_t, c_void_p, create_string_buffer
from typing import Any

# <bits/sigevent-consts.h>, where all zeros mean a signal
SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD = 0, 1, 2
FUNCTION = ctypes.CFUNCTYPE(None, c_void_p)  # void (*)(union sigval)


class sigevent(ctypes.Structure):
    _fields_ = (
        ("sigev_value", c_void_p),
        ("sigev_signo", c_int),
        ("sigev_notify", c_int),
        ("sigev_notify_function", FUNCTION),
        ("sigev_notify_attributes", c_void_p),
        ("_pad", c_long * 4),
    )


class aiocb(ctypes.Structure):
    _fields_ = (
        ("aio_fildes", c_int),
        ("aio_lio_opcode", c_int),
        ("aio_reqprio", c_int),
        ("aio_buf", c_void_p),
        ("aio_nbytes", c_size_t),
        ("aio_sigevent", sigevent),
        ("_next_prio", c_void_p),
        ("_abs_prio", c_int),
        ("_policy", c_int),
        ("_error_code", c_int),
        ("_return_value", c_long),
        ("aio_offset", c_long),
        ("_reserved", c_long * 4),
    )

    def __init__(self, fd: int, nbytes: int = 16, address: int | None = None) -> None:
        """A request for a buffer of its own, or for memory at an address. It is zeroed, and
        announced to nobody.
        """
        self.memory = create_string_buffer(nbytes)
        super().__init__(
            aio_fildes=fd, aio_buf=address or addressof(self.memory), aio_nbytes=nbytes
        )
        self.aio_sigevent.sigev_notify = SIGEV_NONE


def _library() -> ctypes.CDLL:
    program = ctypes.CDLL(None, use_errno=True)
    if hasattr(program, "aio_read"):
        return program
    return ctypes.CDLL("librt.so.1", use_errno=True)  # before 2.34


LIBRARY = _library()


def _call(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(LIBRARY, name)
    function.restype, function.argtypes = result, arguments
    return function


aio_read = _call("aio_read", c_int, POINTER(aiocb))
aio_write = _call("aio_write", c_int, POINTER(aiocb))
aio_error = _call("aio_error", c_int, POINTER(aiocb))
aio_return = _call("aio_return", c_long, POINTER(aiocb))
aio_cancel = _call("aio_cancel", c_int, c_int, POINTER(aiocb))
malloc = _call("malloc", c_void_p, c_size_t)
free = _call("free", None, c_void_p)
pthread_attr_init = _call("pthread_attr_init", c_int, c_void_p)
pthread_attr_setstacksize = _call("pthread_attr_setstacksize", c_int, c_void_p, c_size_t)
pthread_attr_getstacksize = _call("pthread_attr_getstacksize", c_int, c_void_p, POINTER(c_size_t))
pthread_getattr_np = _call("pthread_getattr_np", c_int, c_size_t, c_void_p)


def attributes(stack: int) -> Any:
    """A pthread_attr_t that asks for a stack of so many bytes."""
    attr = create_string_buffer(64)  # sizeof(pthread_attr_t): 56 on x86-64, 64 on aarch64
    pthread_attr_init(attr)
    if pthread_attr_setstacksize(attr, stack):
        raise ValueError(f"a stack cannot have {stack} bytes")
    return attr


def stack_size(thread: int) -> int:
    """How many bytes of stack a living thread has, called by its threading.get_ident()."""
    attr, size = create_string_buffer(64), c_size_t()
    pthread_getattr_np(thread, attr)
    pthread_attr_getstacksize(attr, size)
    return size.value
