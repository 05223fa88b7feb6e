"""What the threads of a process do for glibc's AIO, made of the facts of proc.read().

How threads are told apart:
- A helper began in a function of glibc, and has every signal blocked but KILL, STOP and glibc's own
  32 and 33.
- A notification thread (SIGEV_THREAD) began in a function of glibc too, with no signal blocked.
  timer_create(SIGEV_THREAD) starts threads like these.
- A thread that began elsewhere is the program's own.
- Where the beginning cannot be seen the mask decides. An empty one decides nothing, so such a
  thread is shown as "notification or own".
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from aio_posix.flight import Stats
from aio_posix.study.proc import Process, Room, Socket, Thread
from aio_posix.study.queues import Queue

# all signals but SIGKILL, SIGSTOP and 32, 33, which glibc keeps for itself (internal-signals.h)
HELPER_MASK = ((1 << 64) - 1) & ~sum(1 << signal - 1 for signal in (9, 19, 32, 33))
# <asm/unistd.h>: the system calls these threads are met in; those of a descriptor take it as first
# argument
ON_DESCRIPTOR = {
    "x86_64": {
        0: "read",
        1: "write",
        17: "pread",
        18: "pwrite",
        43: "accept",
        44: "sendto",
        45: "recvfrom",
    }
    | {74: "fsync", 75: "fdatasync", 288: "accept", 232: "epoll_wait", 281: "epoll_wait"},
    "aarch64": {63: "read", 64: "write", 67: "pread", 68: "pwrite", 202: "accept", 206: "sendto"}
    | {207: "recvfrom", 82: "fsync", 83: "fdatasync", 242: "accept", 22: "epoll_wait"},
}
FUTEX, RT_SIGTIMEDWAIT = {"x86_64": (202, 128), "aarch64": (98, 137)}.get(
    platform.machine(), (-1, -1)
)
FUTEX_WAIT_BITSET = 9  # <linux/futex.h>: a wait for work; for a mutex it is FUTEX_WAIT, 0
SIZED = {"read", "write", "pread", "pwrite"}  # third argument, in bytes
UNKNOWN = "its limits of threads seem not to be reached now, so it may be that of memory"
LOCK = "waiting for a lock"


@dataclass(frozen=True)
class Row:
    tid: int
    kind: str  # helper, notification, notification or own
    doing: str  # the blocking call, idle or running
    fd: int | None = None
    what: str = ""  # what the descriptor is
    nbytes: int | None = None

    def __str__(self) -> str:
        where = f" of fd {self.fd} = {self.what}" if self.fd is not None else ""
        return self.doing + where + (f", {self.nbytes} bytes" if self.nbytes is not None else "")


@dataclass(frozen=True)
class Report:
    pid: int
    name: str
    rows: tuple[Row, ...]
    own_threads: int
    helpers: int
    idle: int
    aio_threads: int | None
    calls_hidden: bool
    unserved: tuple[str, ...]  # what waits because there is no helper for it
    queues: tuple[Queue, ...] | None  # one for each descriptor, or None if they cannot be read
    stats: Stats | None  # of aio_posix, where it is loaded
    forbidden: str  # why glibc cannot start a helper that is needed, or ""


def kind(thread: Thread, process: Process) -> str:
    # A thread of timer_create has the same mask, and waits in sigtimedwait.
    helps = thread.blocked == HELPER_MASK and (thread.syscall or (None,))[0] != RT_SIGTIMEDWAIT
    if thread.tid == process.pid or thread.from_libc is False:
        return "own"
    if helps:
        return "helper"
    if thread.from_libc:
        return "notification"
    return "own" if thread.blocked else "notification or own"


def row(thread: Thread, process: Process) -> Row:
    who = kind(thread, process)
    if thread.syscall is None:
        return Row(thread.tid, who, f"asleep in {thread.wchan}" if thread.wchan else "hidden")
    if not thread.syscall:
        return Row(thread.tid, who, "running")
    number, *arguments = thread.syscall
    if number == FUTEX and who == "helper":
        idle = arguments[1] & 127 == FUTEX_WAIT_BITSET
        return Row(thread.tid, who, "idle" if idle else "waiting for the AIO mutex")
    if number == FUTEX:
        return Row(thread.tid, who, LOCK)
    call = ON_DESCRIPTOR.get(platform.machine(), {}).get(number)
    if call is None:
        return Row(thread.tid, who, f"system call {number}")
    fd = arguments[0] & 0xFFFFFFFF
    return Row(
        thread.tid, who, call, fd, describe(fd, process), arguments[2] if call in SIZED else None
    )


def describe(fd: int, process: Process) -> str:
    name = process.files.get(fd, "closed since")
    text = _socket(process.sockets[name]) if name in process.sockets else name
    return f"stdin, {text}" if fd == 0 else text


def _socket(found: Socket) -> str:
    if found.listening:
        return f"socket listening on {found.local or 'no name'}"
    if found.family == "unix":
        return f"unix socket {found.local}".rstrip()
    return (
        f"socket to {found.remote}" if found.remote else f"{found.family} socket on {found.local}"
    )


def report(process: Process) -> Report:
    rows = [row(thread, process) for thread in process.threads]
    seen = tuple(row for row in rows if row.kind != "own")
    helpers = [row for row in seen if row.kind == "helper"]
    idle = sum(row.doing == "idle" for row in helpers)
    aio_threads = process.pool.aio_threads if process.pool else None
    full = not idle and len(helpers) == aio_threads
    ready = [queue for queue in process.queues or () if queue.head == "ready"]
    # glibc starts a helper for a new head as long as it may have more, and otherwise it could not
    alone = ready and helpers and not idle and len(helpers) < (aio_threads or 0)
    limit = _limit(process.room) if alone or not helpers else ""
    waits = full or alone
    return Report(
        pid=process.pid,
        name=process.name,
        rows=seen,
        own_threads=len(rows) - len(seen),
        helpers=len(helpers),
        idle=idle,
        aio_threads=aio_threads,
        calls_hidden=any(thread.syscall is None for thread in process.threads),
        unserved=tuple(_unserved(process, {row.fd for row in rows}, ready)) if waits else (),
        queues=process.queues,
        stats=process.stats,
        forbidden=limit or (UNKNOWN if alone else ""),
    )


def _unserved(process: Process, served: set[int | None], ready: list[Queue]) -> list[str]:
    found = []
    queued = {queue.fd: 1 + queue.behind for queue in ready}
    for fd, name in sorted(process.files.items()):
        one = process.sockets.get(name)
        if one and one.unread and one.listening:
            found.append(f"accepts fd {fd} = {_socket(one)}: {one.unread} connected")
        elif one and one.unread and fd not in served:
            found.append(f"reads fd {fd} = {_socket(one)}: {one.unread} bytes have come")
        elif fd in queued:
            many = f"{queued[fd]} request{'s' * (queued[fd] > 1)} in its queue"
            found.append(f"serves fd {fd} = {describe(fd, process)}: {many}")
    return found


def _limit(room: Room) -> str:
    """The limit of threads that is reached, or ""."""
    if room.nproc is not None and room.nproc <= room.user_threads:
        allows = f"{room.nproc:.0f} thread{'s' * (room.nproc != 1)}"
        return f"RLIMIT_NPROC allows {allows}, its user has {room.user_threads}"
    if room.pids_max is not None and room.pids_max <= (room.pids_current or 0):
        return f"pids.max of its cgroup allows {room.pids_max:.0f} threads, and all are there"
    return ""


def has_aio(found: Report) -> bool:
    counted = found.stats is not None and found.stats.submitted > 0
    return counted or any(row.kind in ("helper", "notification") for row in found.rows)
