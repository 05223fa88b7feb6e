"""Real glibc, driven by scripts. One script comes in on a line, and what was seen goes out on one.

    python -I real_glibc.py AIO_THREADS     a process for each size of the pool: aio_init works once

The lines are JSON. It uses ctypes instead of aio_posix, which repairs what the model retells (the
orphaned queue). Invariants:
- Every completion is announced by one real-time signal. glibc sends it under its mutex, so the
  order in which signals queue is the order of completion, exact across helpers. Nothing else here
  may take that signal.
- Quiet means that nothing can move. Two looks at /proc/self/task found the same threads, all asleep
  in a read or waiting for work (never for the mutex), and none had been switched in between. No
  pause is part of this.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any

READ, FUTEX = {"x86_64": (0, 202), "aarch64": (63, 98)}[platform.machine()]  # <asm/unistd.h>
FUTEX_WAIT_BITSET = (
    9  # <linux/futex.h>: pthread_cond_timedwait; waiting for a mutex is FUTEX_WAIT, 0
)
LIO_READ, LIO_WRITE, LIO_NOWAIT = 0, 1, 1  # <aio.h>
NOBODY = 65534  # the kernel's overflowuid
PR_SET_DUMPABLE = 4  # <linux/prctl.h>
TOLD = signal.SIGRTMIN + 3
NEVER = 1_000_000  # seconds, longer than any run
PATIENCE = 20  # seconds until a script that finds no quiet is given up


class Aiocb(ctypes.Structure):  # struct aiocb of <aio.h>, 64 bit
    _fields_ = [
        ("aio_fildes", ctypes.c_int),
        ("aio_lio_opcode", ctypes.c_int),
        ("aio_reqprio", ctypes.c_int),
        ("aio_buf", ctypes.c_void_p),
        ("aio_nbytes", ctypes.c_size_t),
        ("sigev_value", ctypes.c_void_p),
        ("sigev_signo", ctypes.c_int),
        ("sigev_notify", ctypes.c_int),  # 0 is SIGEV_SIGNAL
        ("sigev_rest", ctypes.c_byte * 48),
        ("private", ctypes.c_byte * 32),
        ("aio_offset", ctypes.c_int64),
        ("reserved", ctypes.c_byte * 32),
    ]


libc = ctypes.CDLL(None, use_errno=True)
if not hasattr(libc, "aio_read"):  # before glibc 2.34
    libc = ctypes.CDLL("librt.so.1", use_errno=True)


def aio_init(aio_threads: int, aio_idle_time: int) -> None:
    libc.aio_init((ctypes.c_int * 8)(aio_threads, 64, 0, 0, 0, 0, aio_idle_time, 0))


def answer(result: int) -> int:
    return -ctypes.get_errno() if result == -1 else result


class Unquiet(Exception):
    pass


def quiet() -> tuple[set[int], int, int]:
    """Wait until nothing moves. Returns addresses of the buffers being read, idle helpers, all
    helpers.
    """
    before: dict[str, tuple[list[int], str]] | None = None
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = look()
        if now is not None and now == before:
            calls = [call for call, _ in now.values()]
            reading = {call[2] for call in calls if call[0] == READ}
            return reading, sum(call[0] == FUTEX for call in calls), len(calls)
        if now is None:
            time.sleep(0)  # the helpers need the processor
        before = now
    raise Unquiet(f"after {PATIENCE} s helpers still move")


def look() -> dict[str, tuple[list[int], str]] | None:
    """The system call and the count of switches of every helper, or None if one is seen moving."""
    found = {}
    for tid in os.listdir("/proc/self/task"):
        if int(tid) == os.getpid():
            continue
        try:
            with open(f"/proc/self/task/{tid}/syscall") as file:
                words = file.read().split()
            with open(f"/proc/self/task/{tid}/status") as file:
                status = file.read()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None  # it is leaving, and from some point on its files belong to root
        if words[:1] in ([], ["running"], ["-1"]) or "\nState:\tS" not in status:
            return None  # a thread on its way to another processor still shows its old call
        call = [int(words[0]), *(int(word, 16) for word in words[1:4])]
        waits = call[0] == FUTEX and call[2] & 127 == FUTEX_WAIT_BITSET
        if not waits and call[0] != READ:
            return None
        found[tid] = (call, status.partition("\nvoluntary_ctxt_switches:")[2])
    return found


class Signals:
    """What the queued signals say, in order."""

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [TOLD])
        mask = ctypes.create_string_buffer((1 << TOLD - 1).to_bytes(8, sys.byteorder), 128)
        self.fd = libc.signalfd(-1, mask, os.O_NONBLOCK)

    def values(self) -> list[int]:
        found: list[int] = []
        while True:
            try:
                info = os.read(self.fd, 128)
            except BlockingIOError:
                return found
            found.append(struct.unpack_from("Q", info, 48)[0])  # ssi_ptr


class Stage:
    """The descriptors and requests of one script."""

    def __init__(self, signals: Signals, files: list[int], fds: int) -> None:
        self.signals, self.files = signals, files
        self.ends = [socket.socketpair() for _ in range(fds)]
        self.memory = {fd: os.memfd_create("file") for fd in files}  # never waits for a disk
        for file in self.memory.values():
            os.write(file, bytes(1))
        self.requests: dict[str, tuple[Aiocb, Any]] = {}
        self.answers: list[int] = []
        self.done: list[tuple[str, int, int]] = []

    def fileno(self, fd: int) -> int:
        return self.memory[fd] if fd in self.files else self.ends[fd][0].fileno()

    def submit(self, batch: list[tuple[str, int, str, int]]) -> None:
        calls = {"read": libc.aio_read, "write": libc.aio_write}
        blocks = []
        for name, fd, op, reqprio in batch:
            number = len(self.requests)
            buffer = ctypes.create_string_buffer(bytes([number if op == "write" else 255]), 1)
            block = Aiocb(self.fileno(fd), LIO_WRITE if op == "write" else LIO_READ, reqprio)
            block.aio_buf, block.aio_nbytes = ctypes.addressof(buffer), 1
            block.sigev_value, block.sigev_signo = number, TOLD
            self.requests[name] = (block, buffer)
            blocks.append(block)
        if len(blocks) > 1:
            pointers = (ctypes.c_void_p * len(blocks))(*map(ctypes.addressof, blocks))
            result = libc.lio_listio(LIO_NOWAIT, pointers, len(blocks), None)
        elif batch[0][2] == "fsync":
            result = libc.aio_fsync(os.O_SYNC, ctypes.byref(blocks[0]))
        else:
            result = calls[batch[0][2]](ctypes.byref(blocks[0]))
        self.answers.append(answer(result))

    def cancel(self, fd: int, name: str | None) -> None:
        block = ctypes.byref(self.requests[name][0]) if name else None
        self.answers.append(answer(libc.aio_cancel(self.fileno(fd), block)))

    def feed(self, fd: int) -> None:
        if fd not in self.files:
            with suppress(BrokenPipeError):  # after shut
                self.ends[fd][1].send(b"f")

    def shut(self, fd: int) -> None:
        if fd not in self.files:
            self.ends[fd][0].shutdown(socket.SHUT_RD)

    def threads(self, allowed: bool) -> None:
        limit = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (limit if allowed else 0, limit))

    def seen(self) -> dict[str, Any]:
        reading, idle, threads = quiet()
        names = list(self.requests)
        for number in self.signals.values():
            block = ctypes.byref(self.requests[names[number]][0])
            self.done.append((names[number], libc.aio_error(block), libc.aio_return(block)))
        unfinished = [n for n, (block, _) in self.requests.items() if in_progress(block)]
        running = [n for n, (block, _) in self.requests.items() if block.aio_buf in reading]
        return {
            "answers": list(self.answers),
            "done": list(self.done),
            "running": running,
            "unfinished": unfinished,
            "idle": idle,
            "threads": threads,
        }

    def strike(self) -> None:
        """Leave nothing behind. The bytes that arrived must be those of the completed writes."""
        self.threads(True)
        for fd in range(len(self.ends)):
            libc.aio_cancel(self.fileno(fd), None)
            self.shut(fd)
        last = self.seen()
        if last["unfinished"]:
            raise Unquiet(f"{last['unfinished']} cannot be ended")
        for own, peer in self.ends:
            blocks = [self.requests[name][0] for name, error, _ in self.done if not error]
            ours = [block for block in blocks if block.aio_fildes == own.fileno()]
            written = bytes(
                block.sigev_value or 0 for block in ours if block.aio_lio_opcode == LIO_WRITE
            )
            own.shutdown(socket.SHUT_WR)
            arrived = b"".join(iter(partial(peer.recv, 4096), b""))
            if arrived != written:
                raise Unquiet(f"completed {written!r}, arrived {arrived!r}")
            own.close()
            peer.close()
        for file in self.memory.values():
            os.close(file)


def in_progress(block: Aiocb) -> bool:
    return bool(libc.aio_error(ctypes.byref(block)) == errno.EINPROGRESS)


def bind_limits() -> None:
    """RLIMIT_NPROC does not bind root, so become nobody, who may still look at /proc/self."""
    if os.geteuid() == 0:
        os.setresuid(NOBODY, NOBODY, NOBODY)
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def prepare(signals: Signals, idle: int, stays_idle: bool, aio_threads: int) -> None:
    """Bring the pool to exactly `idle` helpers, all waiting."""
    now = quiet()[2]
    if now != idle:
        for threads, idle_time in (
            (now, -1),
            (idle, NEVER),
        ):  # all leave, then as many as wanted come
            aio_init(aio_threads, idle_time)
            stage = Stage(signals, [], threads)
            if threads:
                stage.submit([(str(fd), fd, "read", 0) for fd in range(threads)])
            stage.seen()
            stage.strike()
    aio_init(aio_threads, NEVER if stays_idle else -1)


def run(signals: Signals, script: dict[str, Any], aio_threads: int) -> list[dict[str, Any]]:
    prepare(signals, script["idle"], script["stays_idle"], aio_threads)
    stage = Stage(signals, script["files"], script["fds"])
    seen = []
    for burst in script["bursts"]:
        for call, *arguments in burst:
            getattr(stage, call)(*arguments)
        seen.append(stage.seen())
    stage.strike()
    return seen


def main(argv: list[str]) -> int:
    aio_threads = int(argv[0])
    bind_limits()
    aio_init(aio_threads, NEVER)
    signals = Signals()
    for line in sys.stdin:
        print(json.dumps(run(signals, json.loads(line), aio_threads)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
