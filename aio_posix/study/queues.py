"""The queues of glibc's AIO in a live process, read from its memory.

glibc's list of requests has no symbol. What must be in the list tells where it is. Among the
variables of the C library one points to the first request of the list, and the list contains the
request that a helper is carrying out at this moment: its descriptor, buffer and length are the
arguments of the helper's system call. A list that contains none of them, or whose links do not fit,
is not taken. The program runs on meanwhile, so a walk may fail. It is tried again, and then the
answer is None.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from aio_posix.study.memory import Mapping, Memory

# struct requestlist of glibc's aio_misc.h: state; the descriptors before and after; the next of
# this descriptor; the next of the runlist; aiocb
NODE = struct.Struct("i4x5Q")
# struct aiocb: aio_fildes, aio_lio_opcode, aio_reqprio; aio_buf, aio_nbytes
AIOCB = struct.Struct("3i4x2Q")
BEHIND, READY, TAKEN = 1, 2, 3  # states: behind a head; in the runlist; in a helper
# A head that is in none of both is left when the head before it was cancelled in the runlist.
HEAD = {BEHIND: "orphaned", READY: "ready", TAKEN: "taken"}
MOST = 20_000  # requests that are counted
TRIES = 3


class Call(NamedTuple):
    """The first three arguments of a system call that a thread is blocked in."""

    fd: int
    address: int
    nbytes: int


@dataclass(frozen=True)
class Queue:
    fd: int
    head: str  # taken by a helper, ready for one, or orphaned so that nobody will take it
    behind: int  # requests behind the head


class _Node(NamedTuple):
    state: int
    last_fd: int
    next_fd: int
    next_prio: int
    next_run: int
    aiocb: int


def read(
    memory: Memory, library: list[Mapping], calls: Collection[Call]
) -> tuple[Queue, ...] | None:
    """All queues, by descriptor. None if no call is that of a request, or if they are hidden."""
    if not calls:
        return None
    for _ in range(TRIES):
        for first in _pointers(memory, library):
            with suppress(OSError, ValueError):
                return _walk(memory, first, calls)
    return None


def _pointers(memory: Memory, library: list[Mapping]) -> Iterator[int]:
    """What the library's variables point to in memory that it does not have in its file."""
    ends = {one.end for one in library}
    mine = [one for one in memory.mappings if "w" in one.flags and one in library]
    mine += [one for one in memory.mappings if "w" in one.flags and one.start in ends]  # .bss
    others = [(one.start, one.end) for one in memory.mappings if "w" in one.flags]
    others = [one for one in others if one not in {(own.start, own.end) for own in mine}]
    seen = set()
    for one in dict.fromkeys(mine):
        with suppress(OSError):
            for (word,) in struct.iter_unpack("Q", memory.read(one.start, one.end - one.start)):
                if word and word % 8 == 0 and word not in seen:
                    seen.add(word)
                    if any(start <= word < end for start, end in others):
                        yield word


def _walk(memory: Memory, first: int, calls: Collection[Call]) -> tuple[Queue, ...]:
    """Raises OSError, ValueError if this is not the list of requests, or if it changes."""
    found: list[Queue] = []
    before, here, left, known = 0, first, MOST, False
    while here:
        head = _node(memory, here)
        fd, _, _, address, nbytes = AIOCB.unpack(memory.read(head.aiocb, AIOCB.size))
        if head.last_fd != before or head.state not in HEAD:
            raise ValueError("no head of a queue")
        if found and fd <= found[-1].fd:
            raise ValueError("not in the order of descriptors")
        known |= head.state == TAKEN and Call(fd, address, nbytes) in calls
        behind, next_prio = 0, head.next_prio
        while next_prio and left:
            node = _node(memory, next_prio)
            if node.state != BEHIND:
                raise ValueError("not behind a head")
            behind, left, next_prio = behind + 1, left - 1, node.next_prio
        found.append(Queue(fd, HEAD[head.state], behind))
        before, here, left = here, head.next_fd, left - 1
        if left < 0:
            raise ValueError("too long a list")
    if not known:
        raise ValueError("none of them is being carried out")
    return tuple(found)


def _node(memory: Memory, address: int) -> _Node:
    return _Node._make(NODE.unpack(memory.read(address, NODE.size)))
