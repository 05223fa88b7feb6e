"""aio_posix.asyncio when threads cannot be had, helpers are blocked, notifications are lost,
processes fork and end.
"""

from __future__ import annotations

from pathlib import Path

from fresh import output, run

NOBODY = 65534  # RLIMIT_NPROC does not bind root

PROGRAM = """
import asyncio, os, resource, sys, threading, time, traceback
import aio_posix, aio_posix.asyncio as aio
from aio_posix.asyncio.descriptors.descriptor import Descriptor
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
for cb in blocked: aio_posix.aio_suspend([cb])
print("done")
"""
    )
    assert output(program) == "done\n"


CHILD = """
import warnings; warnings.simplefilter("ignore")
def in_child(program):
    sys.stdout.flush()
    if os.fork() == 0:
        try:
            asyncio.run(asyncio.wait_for(program(), 20))
            print("child", flush=True)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.wait()
"""


def test_requests_work_in_a_forked_child_of_a_process_that_used_them() -> None:
    program = (
        PROGRAM
        + CHILD
        + """
asyncio.run(mixed(10))
in_child(lambda: mixed(500))
asyncio.run(mixed(10)); print("parent")
"""
    )
    assert output(program) == "child\nparent\n"


def test_requests_work_in_a_forked_child_of_a_process_that_used_only_the_calls_of_c() -> None:
    program = (
        PROGRAM
        + CHILD
        + """
request = aio_posix.aiocb(fd, bytearray(1))
aio_posix.aio_read(request); aio_posix.aio_suspend([request])
in_child(lambda: mixed(500))
asyncio.run(mixed(10)); print("parent")
"""
    )
    assert output(program) == "child\nparent\n"


def test_requests_work_in_a_forked_child_that_can_start_no_thread() -> None:
    program = (
        PROGRAM
        + CHILD
        + as_nobody()
        + """
async def main():
    forbid_threads()
    await mixed(500)
asyncio.run(mixed(10))
in_child(main)
"""
    )
    assert output(program) == "child\n"


def test_a_forked_child_uses_the_open_files_of_a_parent_with_requests_in_flight(
    tmp_path: Path,
) -> None:
    program = (
        PROGRAM
        + CHILD
        + f"""
path = {str(tmp_path / "f")!r}
number = os.open(path, os.O_RDWR | os.O_CREAT)
files = [Descriptor(number), Descriptor.borrowing(number),
         Descriptor.owning(os.open(path, os.O_RDWR), None)]
last = files[2].fileno()
r, w = os.pipe()
stream = Descriptor.owning(r, None)
async def child():
    for i, file in enumerate(files):
        assert await file.pwrite(b"child", i * 10) == 5
        await file.fsync()
        assert await file.pread(5, i * 10) == b"child"
        await file.idle()
    os.write(w, b"bytes")
    assert await stream.receive(10) == b"bytes"
    files[2].close(lambda: os.close(last))
    for _ in range(5000):  # a thread that has served it may still be on its way out
        try:
            os.fstat(last)
        except OSError:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("still open")
async def main():
    waits = asyncio.ensure_future(stream.receive(10))
    writes = [asyncio.ensure_future(file.pwrite(b"x" * 65536, 1000 + i * 65536))
              for file in files for i in range(100)]
    await asyncio.sleep(0); await asyncio.sleep(0)
    pid = os.fork()
    if pid == 0:
        asyncio._set_running_loop(None)
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(asyncio.wait_for(child(), 20))
            print("child", flush=True)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert await asyncio.gather(*writes) == [65536] * 300
    os.write(w, b"parent's")
    assert await waits == b"parent's"
asyncio.run(asyncio.wait_for(main(), 30)); print("parent")
"""
    )
    assert output(program) == "child\nparent\n"


def test_a_forked_child_of_multiprocessing_writes_everything(tmp_path: Path) -> None:
    program = (
        PROGRAM
        + f"""
import multiprocessing, warnings; warnings.simplefilter("ignore")
def work(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    loop = asyncio.new_event_loop()
    writes = [loop.create_task(aio.write(fd, b"x" * 65536, i * 65536)) for i in range(40)]
    async def turns():
        await asyncio.sleep(0); await asyncio.sleep(0)
    loop.run_until_complete(turns())
    import logging; logging.disable()
asyncio.run(mixed(10))
process = multiprocessing.get_context("fork").Process(target=work, args=[{str(tmp_path / "f")!r}])
process.start(); process.join(); print(process.exitcode)
"""
    )
    assert output(program) == "0\n"
    assert (tmp_path / "f").read_bytes() == b"x" * 65536 * 40


def test_what_a_stuck_pool_does_not_begin_is_done_in_threads_and_not_by_the_loop() -> None:
    program = (
        PROGRAM
        + """
from aio_posix.asyncio.descriptors.batch import Entry
aio_posix.aio_init(aio_threads=1)
r, w = os.pipe()
blocked = aio_posix.aiocb(r, bytearray(1))
aio_posix.aio_read(blocked)
perform, threads = Entry.perform, set()
def watched(entry):
    threads.add(threading.get_ident())
    return perform(entry)
Entry.perform = watched
asyncio.run(asyncio.wait_for(mixed(500), 40))
assert threads and threading.get_ident() not in threads
os.write(w, b"x"); aio_posix.aio_suspend([blocked])
print("done")
"""
    )
    assert output(program) == "done\n"


def test_an_exit_names_the_writes_that_were_lost() -> None:
    program = (
        PROGRAM
        + """
from aio_posix import flight
flight.DRAIN = 0.5
import logging; logging.disable()
aio_posix.aio_init(aio_threads=1)
r, w = os.pipe()
blocked = aio_posix.aiocb(r, bytearray(1))
aio_posix.aio_read(blocked)
loop = asyncio.new_event_loop()
tasks = [loop.create_task(aio.write(fd, b"data", 7)), loop.create_task(aio.fsync(fd))]
loop.run_until_complete(asyncio.sleep(0.1))
"""
    )
    ended = run(program)
    assert ended.returncode == 0, ended.stderr
    assert "RuntimeWarning: 2 requests lost at exit" in ended.stderr
    assert "write of 4 bytes at 7 to" in ended.stderr
    assert "Error" not in ended.stderr


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
    most = max(map(int, os.listdir("/proc/self/fd"))) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    data = await asyncio.gather(*(aio.read(direct, 4096, i * 4096) for i in range(64)))
    assert b"".join(data) == expected
asyncio.run(asyncio.wait_for(main(), 40)); print("done")
"""
    )
    assert output(program) == "done\n"


def test_a_loop_without_a_descriptor_for_its_bell_raises_and_has_one_later() -> None:
    program = """
async def main():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1, before[1]))
    try:
        await aio.write(fd, b"data", 0)
    except OSError as error:
        print(error.strerror)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    print(await aio.write(fd, b"data", 0))
asyncio.run(main())
"""
    assert output(PROGRAM + program) == "Too many open files\n4\n"


def test_an_exit_writes_what_its_loop_had_not_submitted_yet(tmp_path: Path) -> None:
    """At most 64 requests of a file are in glibc at one time."""
    program = (
        PROGRAM
        + f"""
fd = os.open({str(tmp_path / "f")!r}, os.O_WRONLY | os.O_CREAT)
import logging; logging.disable()
loop = asyncio.new_event_loop()
tasks = [loop.create_task(aio.write(fd, b"%05d" % i * 20, i % 500 * 100)) for i in range(1000)]
loop.run_until_complete(asyncio.sleep(0))
"""
    )
    output(program)
    data = b"".join(b"%05d" % i * 20 for i in range(500, 1000))
    assert (tmp_path / "f").read_bytes() == data
