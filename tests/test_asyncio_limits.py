"""aio_posix.asyncio when threads cannot be had, helpers are blocked, notifications are lost,
processes fork and end.
"""

from __future__ import annotations

from pathlib import Path

from fresh import output

NOBODY = 65534  # RLIMIT_NPROC does not bind root

PROGRAM = """
import asyncio, os, resource, sys, threading, time
import aio_posix, aio_posix.asyncio as aio
from aio_posix.asyncio.descriptor import Descriptor
aio.nowait(False)
fd = os.memfd_create("m")
async def mixed(n):
    descriptor = Descriptor(fd)
    await asyncio.gather(*(descriptor.pwrite(b"%08d" % i, i * 8) for i in range(n)))
    await descriptor.fsync()
    data = await asyncio.gather(*(descriptor.pread(8, i * 8) for i in range(n)))
    assert data == [b"%08d" % i for i in range(n)], "bytes"
"""


def as_nobody() -> str:
    return f"""
if os.geteuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
def forbid_threads():
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        return
    raise SystemExit("threads can be made all the same")
"""


def test_everything_completes_where_no_thread_can_be_made() -> None:
    program = (
        PROGRAM
        + as_nobody()
        + "forbid_threads(); asyncio.run(asyncio.wait_for(mixed(500), 40)); print('done')"
    )
    assert output(program) == "done\n"


def test_everything_completes_when_threads_are_forbidden_later_on() -> None:
    program = (
        PROGRAM
        + as_nobody()
        + """
async def main():
    await mixed(100)
    forbid_threads()       # helpers are alive, notifications are lost
    await mixed(500)
    await asyncio.sleep(1.3)   # and now the helpers are gone
    await mixed(500)
asyncio.run(asyncio.wait_for(main(), 40)); print("done")
"""
    )
    assert output(program) == "done\n"


def test_files_go_on_when_every_helper_is_blocked_by_somebody_else() -> None:
    program = (
        PROGRAM
        + """
aio_posix.aio_init(aio_threads=3)
pipes = [os.pipe() for _ in range(3)]
blocked = [aio_posix.aiocb(r, bytearray(1)) for r, _ in pipes]
for cb in blocked: aio_posix.aio_read(cb)
asyncio.run(asyncio.wait_for(mixed(100), 40))
for _, w in pipes: os.write(w, b"x")
aio_posix.aio_suspend([blocked[0]]); aio_posix.aio_suspend([blocked[1]]); aio_posix.aio_suspend([blocked[2]])
print("done")
"""
    )
    assert output(program) == "done\n"


def test_requests_work_in_a_forked_child_of_a_process_that_used_them() -> None:
    program = (
        PROGRAM
        + """
import warnings; warnings.simplefilter("ignore")
asyncio.run(mixed(10))
sys.stdout.flush()
if os.fork() == 0:
    asyncio.run(asyncio.wait_for(mixed(500), 20))
    print("child", flush=True)
    os._exit(0)
os.wait()
asyncio.run(mixed(10)); print("parent")
"""
    )
    assert output(program) == "child\nparent\n"


def test_an_exit_with_writes_in_flight_writes_them(tmp_path: Path) -> None:
    program = (
        PROGRAM
        + f"""
fd = os.open({str(tmp_path / "f")!r}, os.O_WRONLY | os.O_CREAT)
descriptor = Descriptor(fd)
async def main():
    for i in range(40):
        tasks.append(asyncio.ensure_future(descriptor.pwrite(b"x" * 65536, i * 65536)))
    await asyncio.sleep(0); await asyncio.sleep(0)
    sys.exit()   # no cancelling, no closing: what glibc has accepted is to be written
tasks = []
loop = asyncio.new_event_loop()
import logging; logging.disable()
loop.run_until_complete(main())
"""
    )
    output(program)
    assert (tmp_path / "f").read_bytes() == b"x" * 65536 * 40


def test_descriptors_running_out_cost_lanes_and_nothing_else() -> None:
    program = (
        PROGRAM
        + """
async def main():
    await mixed(10)
    direct = os.open(sys.executable, os.O_RDONLY | os.O_DIRECT)
    expected = open(sys.executable, "rb").read(64 * 4096)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1,) * 2)
    data = await asyncio.gather(*(aio.read(direct, 4096, i * 4096) for i in range(64)))
    assert b"".join(data) == expected
asyncio.run(asyncio.wait_for(main(), 40)); print("done")
"""
    )
    assert output(program) == "done\n"
