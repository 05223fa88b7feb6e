"""Facts about a live process, read from /proc and nothing else.

They are its threads, descriptors and sockets. Threads come and go while they are read, and one that
has gone is left out. What the kernel hides is None and never a guess. System calls and memory need
the permission to trace (kernel.yama.ptrace_scope). The rest does not. /proc is bytes. A name may
have any byte but NUL, a line ends at a newline alone, and a line that does not parse is passed
over.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aio_posix.flight import Stats
from aio_posix.study.allowed import INFINITE, cgroup_pids
from aio_posix.study.inside import Inside, Pool
from aio_posix.study.queues import Call, Queue

LISTEN = 0x0A  # TCP_LISTEN of <net/tcp_states.h>
SO_ACCEPTCON = 0x10000  # __SO_ACCEPTCON of <linux/net.h>
LONGEST = 60  # characters of a command line


@dataclass(frozen=True)
class Thread:
    tid: int
    name: str
    blocked: int  # SigBlk, the signal mask, bit n - 1 for signal n
    syscall: tuple[int, ...] | None  # number and arguments, () while it runs, None when hidden
    wchan: str  # the kernel function it sleeps in, "" if none or hidden
    from_libc: bool | None  # began in a function of glibc itself, or None when nobody knows


@dataclass(frozen=True)
class Socket:
    family: str  # tcp, udp, unix
    local: str
    remote: str  # "" when there is none
    listening: bool
    unread: int  # bytes, and for a listening socket connections nobody has accepted


@dataclass(frozen=True)
class Room:
    """How many threads the process may have, if a request waits for one. None: hidden."""

    nproc: float | None = None  # RLIMIT_NPROC, of all threads of its user, INFINITE for root
    user_threads: int = 0  # as many as can be seen
    pids_max: float | None = None  # of its cgroup
    pids_current: float | None = None


@dataclass(frozen=True)
class Process:
    pid: int
    name: str  # its command line, if not too long, or what the kernel calls it
    threads: tuple[Thread, ...]
    files: dict[int, str]  # descriptor -> what /proc/PID/fd says
    sockets: dict[str, Socket]  # "socket:[inode]" -> socket
    pool: Pool | None  # the settings of glibc's AIO, or None when they cannot be read
    queues: tuple[Queue, ...] | None = None  # of glibc's AIO, or None when they cannot be read
    room: Room = Room()
    stats: Stats | None = None  # of aio_posix, or None if it is not loaded there, or hidden


def read(pid: int) -> Process:
    """All facts about a process. Raises ProcessLookupError (no such process), PermissionError (not
    ours).
    """
    directory = Path("/proc", str(pid))
    try:
        # a thread's number also has a directory, which shows that thread alone
        pid = int(_field((directory / "status").read_bytes(), b"Tgid"))
        directory = Path("/proc", str(pid))
        files = _files(directory / "fd")
        inside = Inside(pid)
        tids = sorted(int(name) for name in os.listdir(directory / "task"))
        threads = [
            thread for tid in tids if (thread := _thread(directory / "task" / str(tid), inside))
        ]
        calls = {_call(thread.syscall) for thread in threads if len(thread.syscall or ()) > 3}
        queues = inside.queues(calls)
        # only a head that waits for a helper makes glibc start another thread
        waits = queues is None or any(queue.head == "ready" for queue in queues)
        return Process(
            pid,
            _name(directory),
            tuple(threads),
            files,
            _sockets(directory / "net"),
            inside.pool(),
            queues,
            _room(directory) if waits else Room(),
            inside.stats(),
        )
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"there is no process {pid}") from None
    except PermissionError:
        owner = directory.stat().st_uid
        raise PermissionError(
            f"process {pid} belongs to uid {owner} or is protected: /proc hides it"
        ) from None


def named(name: str) -> list[int]:
    """The processes whose program, or the script that their Python runs, has this name."""
    wanted = os.fsencode(name)
    found = []
    for number in (one for one in os.listdir("/proc") if one.isdecimal()):
        directory = Path("/proc", number)
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
            comm = (directory / "comm").read_bytes().removesuffix(b"\n")
        except OSError:
            continue
        names = {comm, *map(os.path.basename, words[:1])} - {b""}  # a kernel thread has no words
        if os.path.basename(words[0]).startswith(b"python"):
            names |= _program(words[1:])
        if int(number) != os.getpid() and not names.isdisjoint({wanted, wanted + b".py"}):
            found.append(int(number))
    return sorted(found)


def _program(words: list[bytes]) -> set[bytes]:
    """The script or module behind Python's own options."""
    for at, word in enumerate(words):
        if word == b"-m":
            return set(words[at + 1 : at + 2])
        if word in (b"-X", b"-W"):
            continue
        if not word.startswith(b"-") and not (at and words[at - 1] in (b"-X", b"-W")):
            return {os.path.basename(word)}
    return set()


def shown(name: bytes) -> str:
    """A name as text. What is not UTF-8 or cannot be printed is escaped."""
    text = name.decode(errors="backslashreplace")
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _name(directory: Path) -> str:
    program, *arguments = (directory / "cmdline").read_bytes().split(b"\0")
    words = b" ".join(b" ".join([os.path.basename(program), *arguments]).split())
    name = shown(words or (directory / "comm").read_bytes().removesuffix(b"\n"))
    return name if len(name) <= LONGEST else name[: LONGEST - 4] + " ..."


def _field(status: bytes, name: bytes) -> bytes:
    found = re.search(rb"^" + name + rb":[ \t]*(\S+)", status, re.MULTILINE)
    return found[1] if found else b"0"


def _files(directory: Path) -> dict[int, str]:
    found = {}
    for name in os.listdir(directory):
        with suppress(FileNotFoundError):
            found[int(name)] = shown(os.readlink(os.fsencode(directory / name)))
    return found


def _thread(directory: Path, inside: Inside) -> Thread | None:
    tid = int(directory.name)
    try:
        status = (directory / "status").read_bytes()
        name = shown((directory / "comm").read_bytes().removesuffix(b"\n"))
        wchan = (directory / "wchan").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    from_libc, call = None, None
    with suppress(OSError):
        words = (directory / "syscall").read_text().split()
        call = (
            ()
            if words[0] in ("running", "-1")
            else (int(words[0]), *(int(word, 16) for word in words[1:-2]))
        )
        from_libc = inside.from_libc(tid)
    blocked = int(_field(status, b"SigBlk"), 16)
    return Thread(tid, name, blocked, call, "" if wchan == "0" else wchan, from_libc)


def _call(syscall: tuple[int, ...] | None) -> Call:
    _, fd, address, nbytes = (syscall or ())[:4]
    return Call(fd & 0xFFFFFFFF, address, nbytes)


def _room(directory: Path) -> Room:
    nproc, user_threads = None, 0
    with suppress(OSError):
        status = (directory / "status").read_bytes()
        user = _field(status, b"Uid")
        found = re.search(rb"^Max processes +(\w+)", (directory / "limits").read_bytes(), re.M)
        if found:
            bound = user != b"0" and found[1] != b"unlimited"
            nproc = int(found[1]) if bound else INFINITE
        for other in (one for one in os.listdir("/proc") if one.isdecimal()):
            with suppress(OSError):
                status = Path("/proc", other, "status").read_bytes()
                user_threads += int(_field(status, b"Threads")) * (_field(status, b"Uid") == user)
    return Room(nproc, user_threads, *cgroup_pids(directory.name))


def _sockets(directory: Path) -> dict[str, Socket]:
    """The tables of the process's own network namespace."""
    found = {}
    for family in ("tcp", "tcp6", "udp", "udp6", "unix"):
        with suppress(OSError):
            for line in (directory / family).read_bytes().split(b"\n")[1:]:
                with suppress(ValueError, IndexError, struct.error):
                    inode, one = _unix(line) if family == "unix" else _internet(line, family[:3])
                    found[f"socket:[{inode}]"] = one
    return found


def _internet(line: bytes, family: str) -> tuple[int, Socket]:
    words = line.decode("ascii").split()
    state, unread = int(words[3], 16), int(words[4].partition(":")[2], 16)
    remote = "" if words[2].endswith(":0000") else _address(words[2])
    listening = family == "tcp" and state == LISTEN
    return int(words[9]), Socket(family, _address(words[1]), remote, listening, unread)


def _unix(line: bytes) -> tuple[int, Socket]:
    words = line.split(None, 7)
    listening = int(words[3], 16) & SO_ACCEPTCON != 0
    return int(words[6]), Socket("unix", shown(b"".join(words[7:])), "", listening, 0)


def _address(text: str) -> str:
    """An address of /proc/net/tcp or tcp6: 32-bit words in the byte order of the machine, and the
    port.
    """
    digits, _, port = text.partition(":")
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    host = socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
    host = host.removeprefix("::ffff:") if "." in host else host
    return f"[{host}]:{int(port, 16)}" if ":" in host else f"{host}:{int(port, 16)}"
