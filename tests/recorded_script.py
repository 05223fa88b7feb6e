"""Plays a script of study/script.py with aio_posix, for tests that record it.

    python recorded_script.py SCRIPT QUIET

SCRIPT is a file of player.as_json. The file QUIET gets a line for each burst: the time in
nanoseconds at which nothing moved any more. At the end all reads are let go.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import aio_posix as aio

script = json.loads(Path(sys.argv[1]).read_text())
aio.aio_init(aio_threads=int(sys.argv[3]), aio_idle_time=60)
pairs = [socket.socketpair() for _ in range(script["fds"])]
files = {fd: os.memfd_create("file") for fd in script["files"]}
for file in files.values():
    os.write(file, b"x" * 100)
blocks: dict[str, aio.aiocb] = {}


def block(name: str, fd: int, op: str, reqprio: int) -> aio.aiocb:
    where: Any = files.get(fd, pairs[fd][0])
    opcode = {"read": aio.LIO_READ, "write": aio.LIO_WRITE, "fsync": aio.LIO_NOP}[op]
    made = aio.aiocb(where, bytearray(1), aio_reqprio=reqprio, aio_lio_opcode=opcode)
    blocks[name] = made
    return made


def submit(batch: list[list[Any]]) -> None:
    made = [block(*one) for one in batch]
    if len(made) > 1:
        aio.lio_listio(aio.LIO_NOWAIT, made)
    elif batch[0][2] == "fsync":
        aio.aio_fsync(os.O_SYNC, made[0])
    else:
        {"read": aio.aio_read, "write": aio.aio_write}[batch[0][2]](made[0])


def look() -> list[str]:
    """What each thread but this one is blocked in."""
    own = str(threading.get_native_id())
    tids = [tid for tid in os.listdir("/proc/self/task") if tid != own]
    try:
        return [Path(f"/proc/self/task/{tid}/syscall").read_text() for tid in tids]
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return ["running"]


def settle() -> None:
    """Until two looks in a row find all helpers asleep in the same, and the same requests done."""
    before = None
    while True:
        now = look(), [aio.aio_error(one) for one in blocks.values()]
        if now == before and not any(call.startswith("running") for call in now[0]):
            return
        before = now
        time.sleep(0.01)


quiet = []
for burst in script["bursts"]:
    for verb, *what in burst:
        if verb == "submit":
            submit(what[0])
        elif what[0] not in files:
            ours, peer = pairs[what[0]]
            if verb == "feed":
                with contextlib.suppress(BrokenPipeError):
                    peer.send(b"x")
            else:
                ours.shutdown(socket.SHUT_RD)
    settle()
    quiet.append(time.time_ns())
Path(sys.argv[2]).write_text("\n".join(map(str, quiet)))
for ours, _ in pairs:
    ours.shutdown(socket.SHUT_RDWR)
while any(aio.aio_error(one) == errno.EINPROGRESS for one in blocks.values()):
    time.sleep(0.001)
