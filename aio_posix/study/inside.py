"""What the memory of a live process tells about its AIO, which is the pool's settings, where each
thread began, the queues, and what aio_posix has counted.

glibc says itself where its thread descriptors are and what is in them. It exports the place of each
field for debuggers (_thread_db_..., which libthread_db uses). They are read from the libc that the
process has, which may be another version than ours. The settings of the pool have no symbol, so
they are found by what they look like in the library's file. If they are not found the answer is
None, because a wrong guess would be worse.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Collection
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from aio_posix.flight import Stats
from aio_posix.study import queues
from aio_posix.study.memory import Mapping, Memory
from aio_posix.study.queues import Call, Queue

# `optim` of rt/aio_misc.c as it stands in the library's file
DEFAULTS = struct.pack("8i", 20, 64, 0, 0, 0, 0, 1, 0)
LIBC = re.compile(rb"/lib(c|rt)(\.so\.|-2\.)[^/]*$")  # before glibc 2.34 AIO was in librt
LOADER = re.compile(rb"/ld(-linux[^/]*\.so\.|64\.so\.|-2\.)[^/]*$")
OURS = re.compile(rb"/aio_posix/_ffi\.[^/]*so$")
COUNTERS = b"aio_posix_counters"  # submitted, completed, cancelled, late (csrc/engine/request.h)
# bytes of a library compared with its file, which are the header and the build's identity
PAGE = 4096
TRIES = 3  # walks of a list that threads join and leave meanwhile

# Each is an array of three: bits, count, offset (nptl_db/db_info.c).
TID, START, NODE = b"pthread_tid", b"pthread_start_routine", b"pthread_list"
LISTS = (b"rtld_global__dl_stack_used", b"rtld_global__dl_stack_user")  # glibc's stacks, and others
EXPORTED = frozenset(b"_thread_db_" + name for name in (TID, START, NODE, *LISTS))


class Pool(NamedTuple):
    """struct aioinit as glibc holds it now."""

    aio_threads: int
    aio_num: int
    aio_idle_time: int


class Inside:
    def __init__(self, pid: int) -> None:
        self.memory = Memory(pid)
        mappings = self.memory.mappings
        self.library = [one for one in mappings if LIBC.search(one.path)]
        self.loader = [one for one in mappings if LOADER.search(one.path)]

    def pool(self) -> Pool | None:
        for first in _firsts(self.library):
            for file in self._files(first):
                with suppress(OSError):
                    content = file.read_bytes()
                    same = content[:PAGE] == self.memory.read(first.start, PAGE)
                    if same and content.count(DEFAULTS) == 1:
                        return self._pool(first.path, content.index(DEFAULTS))
        return None

    def queues(self, calls: Collection[Call]) -> tuple[Queue, ...] | None:
        """Every descriptor's queue; `calls` are what the threads of the process are blocked in."""
        return queues.read(self.memory, self.library, calls)

    def stats(self) -> Stats | None:
        """What aio_posix.stats() says there. None if the process has not loaded the package."""
        for first in _firsts([one for one in self.memory.mappings if OURS.search(one.path)]):
            with suppress(OSError, ValueError, KeyError, StopIteration):
                address = self.memory.symbols(first, frozenset([COUNTERS]))[COUNTERS]
                submitted, *others = struct.unpack("4Q", self.memory.read(address, 32))
                return Stats(submitted - others[0], submitted, *others)
        return None

    def _files(self, first: Mapping) -> list[Path]:
        """Where the file of a mapping may be found: by the mapping, which needs privileges; below
        the root of the process; below ours, as a chroot shows it from outside.
        """
        here, path = Path(f"/proc/{self.memory.pid}"), os.fsdecode(first.path)
        mapping = f"{first.start:x}-{first.end:x}"
        return [here / "map_files" / mapping, here / "root" / path.lstrip("/"), Path(path)]

    def _pool(self, path: bytes, at: int) -> Pool | None:
        for one in self.library:
            address = one.start + at - one.offset
            if one.path == path and "w" in one.flags and one.start <= address < one.end:
                now = struct.unpack("8i", self.memory.read(address, len(DEFAULTS)))
                return Pool(aio_threads=now[0], aio_num=now[1], aio_idle_time=now[6])
        return None

    def from_libc(self, tid: int) -> bool | None:
        """Whether the thread's start routine is in glibc. None if its descriptor is not found."""
        start = self.starts.get(tid)
        if not start:  # the main thread has none
            return None
        code = [one for one in self.library if "x" in one.flags]
        return any(one.start <= start < one.end for one in code)

    @cached_property
    def starts(self) -> dict[int, int]:
        """The address of each thread's start routine, by thread, running or not.

        Read it after the threads have been listed, because glibc enters a thread before it starts
        it.
        """
        with suppress(OSError, ValueError, KeyError, StopIteration):
            places = self._places()
            for _ in range(TRIES):
                with suppress(OSError, ValueError):  # a list that changed meanwhile
                    return {
                        tid: start
                        for head in places.heads
                        for tid, start in self._walk(head, places).items()
                    }
        return {}

    def _places(self) -> _Places:
        """Raises OSError, ValueError, KeyError where glibc does not export them."""
        offsets: dict[bytes, int] = {}
        for library in _firsts(self.library):
            for name, address in self.memory.symbols(library, EXPORTED).items():
                bits, _, offset = struct.unpack("3I", self.memory.read(address, 12))
                if name.endswith((TID, START)) and bits not in (32, 64):
                    raise ValueError(f"{name!r} has {bits} bits")
                offsets[name.removeprefix(b"_thread_db_")] = offset
        loader = next(iter(_firsts(self.loader)))
        name = b"_rtld_global"
        start = self.memory.symbols(loader, frozenset([name]))[name]
        heads = tuple(start + offsets[name] for name in LISTS)
        return _Places(heads, offsets[NODE], offsets[TID], offsets[START])

    def _walk(self, head: int, places: _Places) -> dict[int, int]:
        found: dict[int, int] = {}
        node = self.memory.word(head)
        seen = {head}
        while node not in seen:
            seen.add(node)
            thread = node - places.node
            (tid,) = struct.unpack("i", self.memory.read(thread + places.tid, 4))
            if tid > 0:  # 0 if it has ended
                found[tid] = self.memory.word(thread + places.start)
            node = self.memory.word(node)
        if node != head:  # a thread ended meanwhile, and its link led into another list
            raise ValueError("this list of threads does not lead back")
        return found


class _Places(NamedTuple):
    """Where glibc's lists of threads begin, and where in a thread's descriptor its fields are."""

    heads: tuple[int, ...]
    node: int
    tid: int
    start: int


def _firsts(mappings: list[Mapping]) -> list[Mapping]:
    return [one for one in mappings if one.offset == 0]
