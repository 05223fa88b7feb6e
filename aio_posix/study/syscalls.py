"""Linux-native AIO, as far as the lessons need it: names of the package `libaio`, on the bare
system calls.

libaio is a thin wrapper of four system calls, and the package of that name wraps libaio.so.1, which
newer systems call otherwise or do not have. library() gives the package where it works, and this
module where it does not.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any

# <asm/unistd.h>
CALLS = {
    "x86_64": {"io_setup": 206, "io_destroy": 207, "io_getevents": 208, "io_submit": 209},
    "aarch64": {"io_setup": 0, "io_destroy": 1, "io_getevents": 4, "io_submit": 2},
}
AIOBLOCK_MODE_READ, AIOBLOCK_MODE_POLL = 0, 5  # IOCB_CMD_PREAD, IOCB_CMD_POLL of <linux/aio_abi.h>


class iocb(ctypes.Structure):  # struct iocb of <linux/aio_abi.h>
    _fields_ = (
        ("aio_data", ctypes.c_uint64),
        ("aio_key", ctypes.c_uint32),
        ("aio_rw_flags", ctypes.c_int32),
        ("aio_lio_opcode", ctypes.c_uint16),
        ("aio_reqprio", ctypes.c_int16),
        ("aio_fildes", ctypes.c_uint32),
        ("aio_buf", ctypes.c_uint64),
        ("aio_nbytes", ctypes.c_uint64),
        ("aio_offset", ctypes.c_int64),
        ("aio_reserved2", ctypes.c_uint64),
        ("aio_flags", ctypes.c_uint32),
        ("aio_resfd", ctypes.c_uint32),
    )


class io_event(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),
        ("res", ctypes.c_int64),
        ("res2", ctypes.c_int64),
    )


class timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def number(name: str) -> int:
    return CALLS[platform.machine()][name]


def _call(name: str, *arguments: Any) -> int:
    result = int(_libc.syscall(ctypes.c_long(number(name)), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


class AIOBlock:
    def __init__(
        self,
        mode: int,
        target_file: Any,
        buffer_list: Sequence[Any] = (),
        offset: int = 0,
        event_mask: int = 0,
    ) -> None:
        self.target_file, self.buffer_list = target_file, buffer_list
        self._iocb = iocb(
            aio_lio_opcode=mode,
            aio_fildes=target_file.fileno(),
            aio_offset=offset,
            aio_buf=event_mask,
        )
        if mode == AIOBLOCK_MODE_READ:
            (buffer,) = buffer_list
            self._memory = (ctypes.c_char * len(buffer)).from_buffer(buffer)
            self._iocb.aio_buf, self._iocb.aio_nbytes = ctypes.addressof(self._memory), len(buffer)


class AIOContext:
    def __init__(self, maxevents: int) -> None:
        self._ctx = ctypes.c_ulong(0)
        self._maxevents = maxevents
        self._submitted: dict[int, AIOBlock] = {}
        _call("io_setup", ctypes.c_uint(maxevents), ctypes.byref(self._ctx))

    def submit(self, blocks: Sequence[AIOBlock]) -> int:
        addresses = [ctypes.addressof(block._iocb) for block in blocks]
        self._submitted.update(zip(addresses, blocks, strict=True))
        array = (ctypes.c_void_p * len(blocks))(*addresses)
        return _call("io_submit", self._ctx, ctypes.c_long(len(blocks)), array)

    def getEvents(
        self, min_nr: int = 1, timeout: float | None = None
    ) -> list[tuple[AIOBlock, int, int]]:
        events = (io_event * self._maxevents)()
        until = (
            None
            if timeout is None
            else ctypes.byref(timespec(int(timeout), int(timeout % 1 * 1e9)))
        )
        count = _call(
            "io_getevents",
            self._ctx,
            ctypes.c_long(min_nr),
            ctypes.c_long(len(events)),
            events,
            until,
        )
        return [(self._submitted.pop(event.obj), event.res, event.res2) for event in events[:count]]

    def close(self) -> None:
        _call("io_destroy", self._ctx)

    def __enter__(self) -> AIOContext:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def library() -> Any:
    """The package libaio, or this module in its place."""
    try:
        return importlib.import_module("libaio")
    except (ImportError, OSError):  # not installed, or without its C library
        return sys.modules[__name__]
