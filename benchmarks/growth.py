"""How the cost of a submission grows with what is outstanding.

    python benchmarks/growth.py

Reads of an empty pipe are submitted first, and wait. Then the time of one more aio_read is taken,
when all are on one descriptor and when each has a descriptor of its own. The last line says what a
silent client of demo_echo.py costs.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from aio_posix import aio_init, aio_read, aiocb

DEMO = Path(__file__).parent.parent / "demo_echo.py"
OUTSTANDING = (100, 1_000, 10_000)
PROBES = 50  # submissions whose median is a figure
CLIENTS = 1_000


def submission(outstanding: int, descriptors: int) -> float:
    """Microseconds of one aio_read."""
    aio_init(aio_threads=20)
    empty, _ = os.pipe()
    numbers = [os.dup(empty) for _ in range(descriptors)]
    probe = os.dup(empty) if descriptors > 1 else numbers[0]
    buffer = bytearray(1)
    waiting = [aiocb(numbers[i % descriptors], buffer) for i in range(outstanding)]
    for cb in waiting:
        aio_read(cb)
    times = []
    probes = [aiocb(probe, buffer) for _ in range(PROBES)]
    for cb in probes:
        begin = time.perf_counter()
        aio_read(cb)
        times.append(time.perf_counter() - begin)
    return 1e6 * median(times)


def silent_client() -> tuple[float, float]:
    """KiB of resident memory, and of address space, for each client that says nothing."""
    command = [sys.executable, str(DEMO), "0", "--host", "127.0.0.1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as demo:
        assert demo.stdout is not None
        port = int(demo.stdout.readline().split()[-1])
        before = memory(demo.pid)
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS)]
        accepted = 0
        while accepted < CLIENTS:
            accepted += demo.stdout.readline().startswith(b"[*] accept")
        time.sleep(1)  # the last of them are being read from
        after = memory(demo.pid)
        for client in clients:
            client.close()
        demo.terminate()
    resident, virtual = ((b - a) / CLIENTS for a, b in zip(before, after, strict=True))
    return resident, virtual


def memory(pid: int) -> tuple[int, int]:
    status = Path(f"/proc/{pid}/status").read_text()
    kib = dict(re.findall(r"^(VmRSS|VmSize):\s+(\d+)", status, re.MULTILINE))
    return int(kib["VmRSS"]), int(kib["VmSize"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--child", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.child:
        print(submission(*options.child), flush=True)
        os._exit(0)  # nobody will ever write into the pipes
    print("| outstanding | one descriptor, µs | a descriptor each, µs |")
    print("|---|---|---|")
    for n in OUTSTANDING:
        figures = []
        for descriptors in (1, n):
            command = [sys.executable, __file__, "--child", str(n), str(descriptors)]
            runs = [subprocess.check_output(command, text=True) for _ in range(3)]
            figures.append(median(map(float, runs)))
        print(f"| {n:,} | {figures[0]:.1f} | {figures[1]:.1f} |", flush=True)
    resident, virtual = silent_client()
    print(f"\nA silent client: {resident:.0f} KiB resident, {virtual:.0f} KiB of address space")


if __name__ == "__main__":
    main()
