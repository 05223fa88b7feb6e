"""python -m aio_posix ps PID | NAME ... [--watch] [--json]: who does AIO, and what blocks it.

Facts (proc.read) -> report (pure) -> text or JSON (pure). How threads are told apart:
- A helper began in a function of glibc, and has every signal blocked but KILL, STOP and glibc's own
  32 and 33.
- A notification thread (SIGEV_THREAD) began in a function of glibc too, with no signal blocked.
  timer_create(SIGEV_THREAD) starts threads like these.
- A thread that began elsewhere is the program's own.
- Where the beginning cannot be seen the mask decides. An empty one decides nothing, so such a
  thread is shown as "notification or own".
"""

from __future__ import annotations

import json
import platform
import sys
import time
from dataclasses import asdict, dataclass

from aio_posix.study.console import Parser, is_terminal, say
from aio_posix.study.history import History
from aio_posix.study.proc import Process, Socket, Thread, named, read

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
SIZED = {"read", "write", "pread", "pwrite"}  # third argument: bytes
LOCK = "waiting for a lock"
NOBODY = "nobody"  # who serves what the pool has no helper for
WIDEST = 64  # a larger pool is not drawn
PERIOD = 1  # seconds between two looks of --watch: an idle helper lives as long


@dataclass(frozen=True)
class Row:
    tid: int
    kind: str  # helper, notification, notification or own
    doing: str  # the blocking call; idle; running
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
    unserved: tuple[str, ...]  # what waits because the pool is full


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
    return Report(
        pid=process.pid,
        name=process.name,
        rows=seen,
        own_threads=len(rows) - len(seen),
        helpers=len(helpers),
        idle=idle,
        aio_threads=aio_threads,
        calls_hidden=any(thread.syscall is None for thread in process.threads),
        unserved=tuple(_unserved(process, {row.fd for row in rows})) if full else (),
    )


def _unserved(process: Process, served: set[int | None]) -> list[str]:
    found = []
    for fd, name in sorted(process.files.items()):
        one = process.sockets.get(name)
        if one and one.unread and one.listening:
            found.append(f"accepts fd {fd} = {_socket(one)}: {one.unread} connected")
        elif one and one.unread and fd not in served:
            found.append(f"reads fd {fd} = {_socket(one)}: {one.unread} bytes have come")
    return found


def has_aio(found: Report) -> bool:
    return any(row.kind in ("helper", "notification") for row in found.rows)


def text(found: Report) -> str:
    most = found.aio_threads if found.aio_threads is not None else "an unknown number of"
    busy = found.helpers - found.idle
    lines = [
        f"{found.name} ({found.pid})",
        f"{bar(found)}{found.helpers} of {most} helpers, {busy} busy, {found.idle} idle",
    ]
    width = max(
        [len(row.kind) for row in found.rows] + [len(NOBODY)] * bool(found.unserved), default=0
    )
    lines += [f"{row.tid:>8}  {row.kind:<{width}}  {row}" for row in found.rows]
    lines += [f"{'-':>8}  {NOBODY:<{width}}  {one}" for one in found.unserved]
    if found.own_threads:
        lines.append(f"          and {found.own_threads} of the program's own")
    if found.calls_hidden:
        lines.append(
            "system calls are hidden: kernel.yama.ptrace_scope, or a process that may not be traced"
        )
    behind = sum(row.kind == "notification" and row.doing == LOCK for row in found.rows)
    blocks = [row for row in found.rows if row.kind == "notification" and row.fd is not None]
    if behind and blocks:
        lines.append(
            f"a callback is blocked in {blocks[0].doing}; {behind} more wait for a lock, "
            "perhaps for their turn: with aio_posix one callback runs at a time"
        )
    if not found.idle and found.helpers == found.aio_threads:
        lines.append(
            "the pool is full: what is submitted now waits until one of these calls returns"
        )
    if count := len(found.unserved):
        waiting = f"{count} wait{'s' * (count == 1)} for that"
        lines.append(
            f"{waiting}: a blocked call holds its helper until its own peer speaks or goes;"
        )
        lines.append(
            f"aio_init(aio_threads=...) before the first request makes more than {found.helpers}"
        )
    return "\n".join(lines)


def bar(found: Report) -> str:
    """# for a busy helper, - for an idle one, . for one that has not been started."""
    if found.aio_threads is None or not found.helpers <= found.aio_threads <= WIDEST:
        return ""
    busy, absent = found.helpers - found.idle, found.aio_threads - found.helpers
    return f"[{'#' * busy}{'-' * found.idle}{'.' * absent}] "


def main(argv: list[str]) -> int:
    parser = Parser("aio-posix ps", description="glibc's AIO threads in live processes")
    parser.add_argument(
        "which",
        nargs="+",
        metavar="PID | NAME",
        help="a process, or all of this name",
    )
    parser.add_argument(
        "--watch", action="store_true", help="look again every second until they have ended"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON for each look")
    options = parser.parse_args(argv)
    pids = list(dict.fromkeys(pid for which in options.which for pid in _found(which)))
    if not pids:
        print(f"ps: there is no process named {' '.join(options.which)}", file=sys.stderr)
        return 1
    if options.watch:
        return watch(pids, options.json)
    named = not all(which.isdecimal() for which in options.which)
    return 0 if look(pids, options.json, named) else 1


def _found(which: str) -> list[int]:
    return [int(which)] if which.isdecimal() else named(which)


def look(pids: list[int], as_json: bool, by_name: bool) -> bool:
    """Whether one has AIO threads; what cannot be shown is said, if it was asked for by number."""
    shown = False
    complaints = []
    for pid in pids:
        try:
            found = report(read(pid))
        except (ProcessLookupError, PermissionError) as error:
            complaints.append(str(error))
            continue
        if as_json:
            say(json.dumps(asdict(found)))
        elif has_aio(found):
            say("\n" * shown + text(found))
        else:
            complaints.append(nothing(found))
            continue
        shown |= has_aio(found)
    if not (by_name and shown):
        for words in complaints:
            print(f"ps: {words}", file=sys.stderr)
    return shown


def watch(pids: list[int], as_json: bool) -> int:
    """Until the last has ended, or Ctrl-C."""
    histories: dict[int, History] = {}
    looked = False
    try:
        while True:
            shown, complaint = [], ""
            for pid in pids:
                try:
                    found = report(read(pid))
                except (ProcessLookupError, PermissionError) as error:
                    complaint = str(error)
                    continue
                if as_json:
                    say(json.dumps(asdict(found)))
                history = histories.setdefault(pid, History())
                if history.busy or has_aio(found):
                    history.add(found.helpers - found.idle, found.aio_threads)
                words = text(found) if has_aio(found) else nothing(found)
                shown.append(f"{words}\n{history}" if history.busy else words)
            if complaint and not shown:
                if looked:
                    return 0  # watched until their end
                print(f"ps: {complaint}", file=sys.stderr)
                return 1
            looked = True
            if not as_json:
                say(("\x1b[H\x1b[2J" if is_terminal() else "") + "\n\n".join(shown))
            time.sleep(PERIOD)
    except KeyboardInterrupt:
        return 0


def nothing(found: Report) -> str:
    return (
        f"{found.name} ({found.pid}) has no AIO thread: "
        "it does not use AIO, or not in its last idle second"
    )
