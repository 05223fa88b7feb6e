"""What this system allows AIO. These are facts, read from the system and from nothing else.

A limit that cannot be read is None. Where there is no limit it is INFINITE.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import re
import resource
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

INFINITE = math.inf
IO_URING_SETUP = 425  # <asm-generic/unistd.h>, the same on every machine
MADV_GUARD_INSTALL = 102  # <asm-generic/mman-common.h>, Linux 6.13
# /proc/self/mountinfo: root, mount point; behind the dash the kind, a source and its options
MOUNT = re.compile(r"\S+ \S+ \S+ (\S+) (\S+) .*? ?- (\S+) \S+ (\S+)")


@dataclass(frozen=True)
class Facts:
    libc: str  # "glibc 2.36", or "" when it is not glibc
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
    helper_mappings: int  # how many a helper's stack takes, as its guard may be one of its own
    io_uring_disabled: float | None  # None if the kernel (before 6.6) has no such switch
    io_uring_errno: int  # of io_uring_setup with an impossible argument; EFAULT if it would work


def read() -> Facts:
    pids_max, pids_current = cgroup_pids()
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
    """Whether the guard of a stack is part of its mapping. It is from glibc 2.42 on, where the
    kernel knows how.

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


def cgroup_pids(process: str = "self") -> tuple[float | None, float | None]:
    """The tightest pids.max from the cgroup of a process up to the top that is visible here, and
    the count there.
    """
    found: list[tuple[float, float | None]] = []
    for directory, top in _cgroups(process):
        for above in (directory, *directory.parents):
            most = _number(above / "pids.max")
            if most is not None:
                found.append((most, _number(above / "pids.current")))
            if above == top:
                break
    return min(found, key=lambda pair: pair[0], default=(None, None))


def _cgroups(process: str) -> list[tuple[Path, Path]]:
    """The cgroups of a process that can have a pids controller (v1 or v2), each with its mount
    point.
    """
    found = []
    lines = _table(f"/proc/{process}/cgroup")
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
    """The lines of a table of /proc. Only a newline ends one, because a name may have any other
    byte.
    """
    try:
        return os.fsdecode(Path(path).read_bytes()).split("\n")
    except OSError:
        return []


def _plain(name: str) -> str:
    r"""The name itself, of one that mountinfo writes with \040 for a space."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), name)


def _io_uring_errno() -> int:
    """io_uring_setup(1, NULL) makes nothing. It gives EFAULT where it is allowed, and EPERM or
    ENOSYS where it is not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(IO_URING_SETUP), ctypes.c_long(1), None)
    return ctypes.get_errno()
