"""What the memory of a live process tells about its AIO: the settings of the pool, and where a
thread began.

Neither has an exported symbol, so both are found by what they look like; /proc/PID/mem is only
read, nobody is stopped. Found or None: a wrong guess would be worse than none. The start of a
thread is found on x86-64 alone, whose thread descriptor begins with a pointer to itself.
"""

from __future__ import annotations

import os
import platform
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

# `optim` of rt/aio_misc.c as it stands in the library's file
DEFAULTS = struct.pack("8i", 20, 64, 0, 0, 0, 0, 1, 0)
TCB_SELF = (0, 16)  # where x86-64's tcbhead_t points to itself (nptl/tls.h: tcb, self)
DESCRIPTOR = (
    0x900  # sizeof(struct pthread) in 2.36; its only pointer to code is start_routine, at 0x638
)
TID = 0x2D0  # in struct pthread: 704 bytes of tcbhead_t's union, a list entry, tid (nptl/descr.h)
# bytes at the end of a stack: glibc puts the descriptor there; a helper's begins 0x18c0 before it
END = 2 * 4096
SEARCHED = 1 << 20  # bytes of stack searched: a helper needs 4 KiB, a callback in Python some 100


@dataclass(frozen=True)
class Pool:
    """struct aioinit as glibc holds it now."""

    aio_threads: int
    aio_num: int
    aio_idle_time: int


@dataclass(frozen=True)
class Mapping:
    start: int
    end: int
    flags: str
    offset: int
    path: str


class Inside:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        with open(f"/proc/{pid}/maps") as maps:
            self.mappings = [_mapping(line) for line in maps]
        # before glibc 2.34 AIO was in librt
        self.library = [
            m for m in self.mappings if re.search(r"/lib(c|rt)(\.so\.|-2\.)[^/]*$", m.path)
        ]

    def pool(self) -> Pool | None:
        for path in {mapping.path for mapping in self.library}:
            with suppress(OSError):
                content = Path(f"/proc/{self.pid}/root{path}").read_bytes()
                at = content.find(DEFAULTS)
                if at >= 0 and content.find(DEFAULTS, at + 1) < 0:
                    return self._pool(path, at)
        return None

    def _pool(self, path: str, at: int) -> Pool | None:
        for mapping in self.library:
            address = mapping.start + at - mapping.offset
            if (
                mapping.path == path
                and "w" in mapping.flags
                and mapping.start <= address < mapping.end
            ):
                now = struct.unpack("8i", self._memory(address, len(DEFAULTS)))
                return Pool(aio_threads=now[0], aio_num=now[1], aio_idle_time=now[6])
        return None

    def from_libc(self, tid: int, stack_pointer: int | None) -> bool | None:
        """Whether the thread's start routine is in glibc; None if its descriptor is not found.

        stack_pointer: of a thread that is in a system call.
        """
        if not self.library or platform.machine() != "x86_64" or tid == self.pid:
            return None
        if tid in self.descriptors:
            return self._starts_in_libc(self.descriptors[tid])
        stack = next(
            (m for m in self.mappings if stack_pointer and m.start <= stack_pointer < m.end), None
        )
        if stack is not None and stack_pointer is not None:
            with suppress(OSError):
                data = self._memory(stack_pointer, min(stack.end - stack_pointer, SEARCHED))
                return next(map(self._starts_in_libc, _descriptors(stack_pointer, data)), None)
        return None

    @cached_property
    def descriptors(self) -> dict[int, bytes]:
        """By thread, of those whose stack ends where its mapping does: they are found while the
        thread runs, too.
        """
        found = {}
        for mapping in self.mappings:
            if (
                mapping.flags.startswith("rw")
                and not mapping.path
                and mapping.end - mapping.start >= END
            ):
                with suppress(OSError):
                    for one in _descriptors(
                        mapping.end - END, self._memory(mapping.end - END, END)
                    ):
                        if len(one) > TID + 4:
                            found[struct.unpack_from("i", one, TID)[0]] = one
        return found

    def _starts_in_libc(self, descriptor: bytes) -> bool:
        words = struct.unpack_from(f"{len(descriptor) // 8}Q", descriptor)
        code = [m for m in self.library if "x" in m.flags]
        return any(m.start <= word < m.end for m in code for word in words)

    def _memory(self, address: int, size: int) -> bytes:
        memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY)
        try:
            data = os.pread(memory, size, address)
        finally:
            os.close(memory)
        if len(data) != size:
            raise OSError(f"{size} bytes at {address:#x} cannot be read")
        return data


def _descriptors(start: int, data: bytes) -> Iterator[bytes]:
    """What begins with pointers to itself."""
    for at in range(-start % 64, len(data) - 24, 64):  # TCB_ALIGNMENT
        if all(struct.unpack_from("Q", data, at + n)[0] == start + at for n in TCB_SELF):
            yield data[at : at + DESCRIPTOR]


def _mapping(line: str) -> Mapping:
    words = line.split(None, 5)
    start, end = (int(word, 16) for word in words[0].split("-"))
    return Mapping(
        start, end, words[1], int(words[2], 16), words[5].rstrip("\n") if len(words) > 5 else ""
    )
