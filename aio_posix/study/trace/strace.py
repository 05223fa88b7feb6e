"""The system calls of all threads of a program, as strace sees them. Nothing is interpreted here.

strace stops only at the calls that AIO is made of (--seccomp-bpf), so the program loses little.
Buffers are printed as addresses, by which matching.py knows whose read it is.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

CLONES = ("clone", "clone3", "fork", "vfork")
ON_DESCRIPTOR: tuple[str, ...] = ("read", "write", "pread64", "pwrite64", "fsync", "fdatasync")
ON_DESCRIPTOR += (
    "accept",
    "accept4",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
    "shutdown",
    "close",
)
SIGNALS = ("rt_sigqueueinfo", "rt_tgsigqueueinfo")

LINE = re.compile(r"(\d+) +(\d+)\.(\d{6}) (.*)")
CALL = re.compile(r"(\w+)\((.*)\) += (-?\w+|\?)(?: (\w+) \(.*\))?(?: .*)?$")
UNFINISHED = re.compile(r"(\w+)\((.*?) *<unfinished \.\.\.>$")
RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)$")


@dataclass(frozen=True)
class Call:
    name: str
    arguments: tuple[int, ...]
    begin: int  # nanoseconds as time.time_ns()
    end: int | None  # None if it never returned
    result: int
    error: str  # ESPIPE, or ""


@dataclass
class Thread:
    tid: int
    parent: int | None = None
    birth: int | None = None
    death: int | None = None
    calls: list[Call] = field(default_factory=list)


def command(output: Path) -> list[str]:
    """What to put before the command of a program."""
    options = ["-f", "--seccomp-bpf", "-q", "-ttt", "-T", "-e", "signal=none"]
    calls = [
        "-e",
        f"trace={','.join(CLONES + ON_DESCRIPTOR + SIGNALS)}",
        "-e",
        f"raw={','.join(ON_DESCRIPTOR)}",
    ]
    return [shutil.which("strace") or "strace", *options, *calls, "-o", str(output)]


def parse(text: str) -> dict[int, Thread]:
    """The threads of the process that began first. What it forked is left out."""
    threads: dict[int, Thread] = {}
    begun: dict[int, tuple[int, str]] = {}  # by thread: when, and the text so far
    elsewhere: set[int] = set()
    last = 0
    for line in text.splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        tid, at, rest = int(found[1]), int(found[2]) * 10**9 + int(found[3]) * 1000, found[4]
        last = max(last, at)
        if tid in elsewhere:
            continue
        thread = threads.setdefault(tid, Thread(tid))
        if rest.startswith("+++"):
            thread.death = at
        elif unfinished := UNFINISHED.match(rest):
            begun[tid] = (at, f"{unfinished[1]}({unfinished[2]}")
            continue
        elif resumed := RESUMED.match(rest):
            since, head = begun.pop(tid, (at, ""))
            _add(threads, elsewhere, thread, since, at, head + resumed[1])
        else:
            _add(threads, elsewhere, thread, at, _end(at, rest), rest)
    for tid, (since, head) in begun.items():
        if tid in threads and (call := re.match(r"(\w+)\((.*)", head)):
            threads[tid].calls.append(Call(call[1], _numbers(call[2]), since, None, 0, ""))
    main = next(iter(threads), None)
    return {tid: t for tid, t in threads.items() if tid == main or t.parent is not None}


def _end(at: int, rest: str) -> int:
    took = re.search(r"<(\d+)\.(\d{6})>$", rest)
    return at + (int(took[1]) * 10**9 + int(took[2]) * 1000 if took else 0)


def _add(
    threads: dict[int, Thread], elsewhere: set[int], thread: Thread, since: int, at: int, text: str
) -> None:
    found = CALL.match(text)
    if found is None:
        return
    name, arguments, result, error = found.groups()
    number = 0 if result == "?" else int(result, 0)
    end = None if result == "?" else at
    if name in CLONES:
        if number > 0 and "CLONE_THREAD" in arguments:
            child = threads.setdefault(number, Thread(number))
            child.parent, child.birth = thread.tid, since
        elif number > 0:
            elsewhere.add(number)
            threads.pop(number, None)
        return
    thread.calls.append(Call(name, _numbers(arguments), since, end, number, error or ""))


def _numbers(arguments: str) -> tuple[int, ...]:
    return tuple(
        int(one, 0) for one in re.findall(r"(?:^|, )(-?(?:0x[0-9a-f]+|\d+))(?=,|$)", arguments)
    )
