"""io_uring in its smallest form, for lesson 4, which is one ring on the bare system calls.

There is one thread, and there are system calls between writing a ring and reading it, so no memory
barrier is needed. The layout is that of <linux/io_uring.h> with IORING_FEAT_SINGLE_MMAP (Linux
5.4).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from typing import Any

IO_URING_SETUP, IO_URING_ENTER = 425, 426  # the same numbers on every machine
IORING_OFF_SQ_RING, IORING_OFF_SQES = 0, 0x10000000
IORING_ENTER_GETEVENTS = 1
IORING_OP_READ = 22
SQE, CQE = 64, 16  # bytes

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _call(number: int, *arguments: Any) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Ring:
    """A ring of a few entries. Raises OSError (EPERM or ENOSYS) where io_uring is forbidden or
    unknown.
    """

    def __init__(self, entries: int) -> None:
        params = ctypes.create_string_buffer(120)  # struct io_uring_params
        self.fd = _call(IO_URING_SETUP, ctypes.c_uint(entries), params)
        words = struct.unpack("30I", params.raw)
        self._entries, (sq, cq) = words[0], (words[10:20], words[20:30])
        self._tail, self._mask, self._array = sq[1], sq[2], sq[6]
        self._cq_head, self._cq_tail, self._cq_mask, self._cqes = cq[0], cq[1], cq[2], cq[5]
        size = max(sq[6] + 4 * words[0], cq[5] + CQE * words[1])
        self._rings = mmap.mmap(
            self.fd, size, mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=IORING_OFF_SQ_RING
        )
        self._sqes = mmap.mmap(self.fd, SQE * words[0], mmap.MAP_SHARED, offset=IORING_OFF_SQES)
        self._keep: dict[int, Any] = {}

    def _word(self, at: int) -> int:
        return int(struct.unpack_from("I", self._rings, at)[0])

    def read(self, fd: int, buffer: bytearray, offset: int = 0) -> None:
        """Puts a read into the ring. Its name in the results is the descriptor."""
        memory = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        tail = self._word(self._tail)
        index = tail & self._word(self._mask)
        entry = struct.pack(
            "BBHiQQIIQ24x",
            IORING_OP_READ,
            0,
            0,
            fd,
            offset,
            ctypes.addressof(memory),
            len(buffer),
            0,
            fd,
        )
        self._sqes[index * SQE : (index + 1) * SQE] = entry
        struct.pack_into("I", self._rings, self._array + 4 * index, index)
        struct.pack_into("I", self._rings, self._tail, (tail + 1) & 0xFFFFFFFF)
        self._keep[fd] = memory

    def enter(self, submit: int, wait_for: int = 0) -> dict[int, int]:
        """io_uring_enter: submits so many entries and waits for so many results. Returns all
        results by descriptor.
        """
        flags = IORING_ENTER_GETEVENTS if wait_for else 0
        _call(
            IO_URING_ENTER,
            self.fd,
            ctypes.c_uint(submit),
            ctypes.c_uint(wait_for),
            ctypes.c_uint(flags),
            None,
            0,
        )
        results = {}
        head, tail = self._word(self._cq_head), self._word(self._cq_tail)
        while head != tail:
            at = self._cqes + CQE * (head & self._word(self._cq_mask))
            name, result = struct.unpack_from("Qi", self._rings, at)
            results[name] = result
            self._keep.pop(name, None)
            head = (head + 1) & 0xFFFFFFFF
        struct.pack_into("I", self._rings, self._cq_head, head)
        return results

    def close(self) -> None:
        self._rings.close()
        self._sqes.close()
        os.close(self.fd)
