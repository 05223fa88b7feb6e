"""python -m aio_posix limits [--json]: what this system allows, and what follows for who uses AIO
here.

Facts (read) -> rows, each with one sentence (pure) -> text. A limit that cannot be read is None and
shown as unknown; a limit that is none is INFINITE.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import math
import mmap
import os
import re
import resource
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from aio_posix.study.console import columns, hanging, say

INFINITE = math.inf
IO_URING_SETUP = 425  # <asm-generic/unistd.h>, the same on every machine
MADV_GUARD_INSTALL = 102  # <asm-generic/mman-common.h>, Linux 6.13
# /proc/self/mountinfo: root, mount point; behind the dash the kind, a source and its options
MOUNT = re.compile(r"\S+ \S+ \S+ (\S+) (\S+) .*? ?- (\S+) \S+ (\S+)")


@dataclass(frozen=True)
class Facts:
    libc: str  # "glibc 2.36"; "" when it is not glibc
    root: bool
    aio_max: float | None
    aio_listio_max: float | None
    aio_prio_delta_max: float | None
    nproc: float
    nofile: float
    sigpending: float
    stack: float
    pids_max: float | None  # the smallest of the process's cgroup and those above it
    pids_current: float | None  # there
    threads_max: float | None
    pid_max: float | None
    max_map_count: float | None
    helper_mappings: int  # how many a helper's stack takes: its guard may be one of its own
    io_uring_disabled: float | None  # None: the kernel (before 6.6) has no such switch
    io_uring_errno: int  # of io_uring_setup with an impossible argument; EFAULT: it would work


@dataclass(frozen=True)
class Row:
    name: str
    value: str
    meaning: str


def read() -> Facts:
    pids_max, pids_current = _cgroup_pids()
    return Facts(
        libc=_libc(),
        root=os.geteuid() == 0,
        aio_max=_sysconf("SC_AIO_MAX"),
        aio_listio_max=_sysconf("SC_AIO_LISTIO_MAX"),
        aio_prio_delta_max=_sysconf("SC_AIO_PRIO_DELTA_MAX"),
        nproc=_rlimit(resource.RLIMIT_NPROC),
        nofile=_rlimit(resource.RLIMIT_NOFILE),
        sigpending=_rlimit(resource.RLIMIT_SIGPENDING),
        stack=_rlimit(resource.RLIMIT_STACK),
        pids_max=pids_max,
        pids_current=pids_current,
        threads_max=_number("/proc/sys/kernel/threads-max"),
        pid_max=_number("/proc/sys/kernel/pid_max"),
        max_map_count=_number("/proc/sys/vm/max_map_count"),
        helper_mappings=1 if _guards_inside(_libc()) else 2,
        io_uring_disabled=_number("/proc/sys/kernel/io_uring_disabled"),
        io_uring_errno=_io_uring_errno(),
    )


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):  # not glibc
        return ""


def _guards_inside(libc: str) -> bool:
    """Whether the guard of a stack is part of its mapping: glibc 2.42, where the kernel knows how.

    Stacks side by side may even share a mapping then.
    """
    found = re.fullmatch(r"glibc (\d+)\.(\d+)", libc)
    if not found or (int(found[1]), int(found[2])) < (2, 42):
        return False
    with mmap.mmap(-1, mmap.PAGESIZE) as page:
        try:
            page.madvise(MADV_GUARD_INSTALL)
        except OSError:  # EINVAL
            return False
    return True


def _sysconf(name: str) -> float | None:
    try:
        value = os.sysconf(name)
    except (OSError, ValueError):
        return None
    return INFINITE if value == -1 else value


def _rlimit(which: int) -> float:
    soft = resource.getrlimit(which)[0]
    return INFINITE if soft == resource.RLIM_INFINITY else soft


def _number(path: str | Path) -> float | None:
    try:
        text = Path(path).read_bytes().strip()
        return INFINITE if text == b"max" else int(text)
    except (OSError, ValueError):
        return None


def _cgroup_pids() -> tuple[float | None, float | None]:
    """The tightest pids.max from the process's own cgroup up to the top that is visible here, and
    the count there.
    """
    found: list[tuple[float, float | None]] = []
    for directory, top in _cgroups():
        for above in (directory, *directory.parents):
            most = _number(above / "pids.max")
            if most is not None:
                found.append((most, _number(above / "pids.current")))
            if above == top:
                break
    return min(found, key=lambda pair: pair[0], default=(None, None))


def _cgroups() -> list[tuple[Path, Path]]:
    """The cgroups of this process that can have a pids controller (v1 or v2), each with its mount
    point.
    """
    found = []
    lines = _table("/proc/self/cgroup")
    paths = [line.split(":", 2)[1:] for line in lines if line.count(":") > 1]
    for line in _table("/proc/self/mountinfo"):
        mount = MOUNT.fullmatch(line)
        if mount is None:
            continue
        root, point, kind, options = map(_plain, mount.groups())
        for controllers, path in paths:
            v1 = (
                kind == "cgroup"
                and "pids" in controllers.split(",")
                and "pids" in options.split(",")
            )
            if (v1 or (kind == "cgroup2" and not controllers)) and PurePosixPath(
                path
            ).is_relative_to(root):
                found.append((Path(point) / PurePosixPath(path).relative_to(root), Path(point)))
    return found


def _table(path: str) -> list[str]:
    """Lines end at newlines alone, and names may be no text."""
    try:
        return os.fsdecode(Path(path).read_bytes()).split("\n")
    except OSError:
        return []


def _plain(name: str) -> str:
    r"""Of a name in mountinfo, where \040 is a space."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), name)


def _io_uring_errno() -> int:
    """io_uring_setup(1, NULL) makes nothing: EFAULT where it is allowed, EPERM or ENOSYS where it
    is not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(IO_URING_SETUP), ctypes.c_long(1), None)
    return ctypes.get_errno()


def at_once(facts: Facts) -> tuple[float, str]:
    """About how many reads can be blocked at once, each in a thread and on a descriptor of its own;
    and why.
    """
    bounds: dict[str, float | None] = {
        "RLIMIT_NPROC": None if facts.root else facts.nproc,  # does not bind root
        "cgroup pids.max": facts.pids_max,
        "kernel.threads-max": facts.threads_max,
        "kernel.pid_max": facts.pid_max,
        "RLIMIT_NOFILE": facts.nofile,
        "vm.max_map_count": facts.max_map_count and facts.max_map_count // facts.helper_mappings,
    }
    if facts.pids_max is not None and facts.pids_current is not None:
        bounds["cgroup pids.max"] = max(0, facts.pids_max - facts.pids_current)
    return min(
        ((most, name) for name, most in bounds.items() if most is not None),
        default=(INFINITE, "nothing"),
    )


def rows(facts: Facts) -> list[Row]:
    most, by = at_once(facts)
    listio = (
        "any number of entries" if facts.aio_listio_max == INFINITE else "so many entries at most"
    )
    return [
        Row("C library", facts.libc or "not glibc", _on_libc(facts.libc)),
        Row(
            "blocked reads",
            f"< {_show(most)}",
            f"So many at once if aio_init asks for the threads: {by} ends it.",
        ),
        Row(
            "pool",
            "20",
            "glibc's default: the 21st blocked read waits, and every file behind it; see aio_init.",
        ),
        Row("RLIMIT_NPROC", _show(facts.nproc), _on_nproc(facts)),
        Row(
            "RLIMIT_NOFILE",
            _show(facts.nofile),
            "A descriptor for each file or client, and for each duplicate.",
        ),
        Row("RLIMIT_SIGPENDING", _show(facts.sigpending), _on_sigpending(facts)),
        Row("RLIMIT_STACK", _stack(facts.stack), _on_stack(facts)),
        Row("cgroup pids.max", _show(facts.pids_max), _on_pids(facts)),
        Row(
            "kernel.threads-max", _show(facts.threads_max), "Threads of the whole system together."
        ),
        Row(
            "kernel.pid_max",
            _show(facts.pid_max),
            "Every thread of the whole system has a number below it.",
        ),
        Row(
            "vm.max_map_count",
            _show(facts.max_map_count),
            _on_mappings(facts),
        ),
        Row(
            "AIO_MAX",
            _show(facts.aio_max),
            "glibc refuses no request for their number: memory is the limit.",
        ),
        Row(
            "AIO_LISTIO_MAX",
            _show(facts.aio_listio_max),
            f"A list may have {listio}; aio_posix cuts long ones.",
        ),
        Row(
            "AIO_PRIO_DELTA_MAX",
            _show(facts.aio_prio_delta_max),
            "aio_reqprio: 0 is most urgent, this is least.",
        ),
        Row("io_uring_disabled", _show(facts.io_uring_disabled), _on_io_uring(facts)),
    ]


def _show(value: float | None) -> str:
    if value is None:
        return "unknown"
    return "no limit" if value == INFINITE else f"{value:.0f}"


def _stack(size: float) -> str:
    return "no limit" if size == INFINITE else f"{size / (1 << 20):g} MiB"


def _on_libc(libc: str) -> str:
    if libc:
        return "AIO is glibc's: a pool of helper threads, one queue for each descriptor."
    return "aio_posix and what it says here are about glibc; other C libraries do AIO differently."


def _on_nproc(facts: Facts) -> str:
    if facts.root:
        return "Does not bind root; for others it counts all threads of the user."
    return "Counts all threads of the user; at the limit requests wait, notifications are lost."


def _on_sigpending(facts: Facts) -> str:
    return "With SIGEV_SIGNAL, more signals not yet taken turn good results into EAGAIN."


def _on_stack(facts: Facts) -> str:
    if facts.stack == INFINITE:
        return "A SIGEV_THREAD notification reserves the default of pthread_create."
    return "Address space that each SIGEV_THREAD notification without attributes reserves."


def _on_pids(facts: Facts) -> str:
    if facts.pids_max in (None, INFINITE):
        return "No cgroup that can be seen here limits the number of threads."
    return (
        f"{_show(facts.pids_current)} in use; at the limit requests wait, notifications are lost."
    )


def _on_mappings(facts: Facts) -> str:
    if facts.helper_mappings == 1:
        return "A helper takes one mapping at most: its guard is part of its stack's."
    return "A helper takes two mappings: its stack and a guard."


def _on_io_uring(facts: Facts) -> str:
    if facts.io_uring_errno == errno.EFAULT:
        return "io_uring may be used by this process too."
    reason = errno.errorcode.get(facts.io_uring_errno, str(facts.io_uring_errno))
    return (
        f"io_uring is refused to this process ({reason}); POSIX AIO needs nothing from the kernel."
    )


def text(table: list[Row], width: int) -> str:
    name, value = max(len(row.name) for row in table), max(len(row.value) for row in table)
    return "\n".join(
        hanging(f"{row.name:<{name}}  {row.value:>{value}}  ", row.meaning, width) for row in table
    )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("aio-posix limits", description="what this system allows AIO")
    parser.add_argument(
        "--json", action="store_true", help="the facts: -1 is no limit, null unknown"
    )
    options = parser.parse_args(argv)
    facts = read()
    if options.json:
        print(
            json.dumps(
                {name: -1 if value == INFINITE else value for name, value in asdict(facts).items()}
            )
        )
    else:
        say(text(rows(facts), columns()))
    return 0
