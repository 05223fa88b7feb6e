"""At the end of the interpreter accepted writes are drained, nothing else holds it up, and nothing
late can crash it.

A program that *lingers* stays in the C library's exit, after Python's own end, until a line comes
on its stdin.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import exits
import fresh
import pytest

PRELUDE = """\
import atexit, ctypes, os, signal, socket, sys, threading, time
atexit.register(lambda: after_our_part())
after_our_part = lambda: None
import aio_posix as aio
from aio_posix import flight
def linger():
    ctypes.pythonapi.Py_AtExit(ctypes.CDLL(None).getchar)
def told(function, value=None):
    return aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=function, sigev_value=value)
"""
# where what is freed goes at once; a free-threaded interpreter has no plain malloc
PLAIN_MALLOC = "debug" if sysconfig.get_config_var("Py_GIL_DISABLED") else "malloc"
NEVER = "flight.DRAIN = 3600\n"  # an exit that waits for the drain's end does not end


def program(text: str) -> str:
    lines = text.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    return PRELUDE + "\n".join(line[indent:] for line in lines)


def lingering(process: subprocess.Popen[str]) -> bool:
    """Python has ended, and the process reads its stdin."""
    call = Path(f"/proc/{process.pid}/syscall").read_text().split()
    return call[0] in ("0", "63") and call[1] == "0x0"  # read, on x86-64 and elsewhere


def started(text: str, *flags: str, **options: object) -> subprocess.Popen[str]:
    process = fresh.start(program(text), *flags, **options)
    deadline = time.monotonic() + fresh.LIMIT
    while not lingering(process):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"did not linger: {fresh.end(process)}")
        time.sleep(0.01)
    return process


def test_a_hundred_exits_with_completions_arriving_crash_never() -> None:
    assert exits.crashes(100) == []


WRITES = """
    fd = os.open({path!r}, os.O_RDWR | os.O_CREAT)
    cbs = [aio.aiocb(fd, bytes([i % 251 + 1]) * 65536, i * 65536, aio_lio_opcode=aio.LIO_WRITE)
           for i in range(400)]
    """


def whole(path: Path) -> bool:
    data = path.read_bytes()
    return len(data) == 400 * 65536 and all(
        data[i * 65536 :: 65536][0] == i % 251 + 1 for i in range(400)
    )


@pytest.mark.parametrize(
    ("end", "status"),
    [("", 0), ("sys.exit(3)", 3), ("raise RuntimeError", 1), ("cbs = None; sys.exit()", 0)],
)
def test_400_writes_of_64_kib_are_whole_after_any_orderly_end(
    tmp_path: Path, end: str, status: int
) -> None:
    path = tmp_path / "whole"
    text = (
        program(WRITES.format(path=str(path)))
        + "\nfor cb in cbs: aio.aio_write(cb)\ncb = None\n"
        + end
    )
    assert fresh.run(text, "-W", "ignore").returncode == status
    assert whole(path)


def test_a_list_of_400_writes_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "whole"
    fresh.output(program(WRITES.format(path=str(path))) + "\naio.lio_listio(aio.LIO_NOWAIT, cbs)\n")
    assert whole(path)


def test_a_chain_of_writes_each_submitted_by_the_callback_of_the_one_before_is_drained(
    tmp_path: Path,
) -> None:
    fresh.output(
        program(f"""
        fd = os.open({str(tmp_path / "chain")!r}, os.O_RDWR | os.O_CREAT)
        def again(cb):
            aio.aio_return(cb)
            if cb.aio_offset < 99:
                cb.aio_offset += 1
                aio.aio_write(cb)
        aio.aio_write(aio.aiocb(fd, b"x", aio_sigevent=told(again)))
        """),
        "-W",
        "ignore",
    )
    assert (tmp_path / "chain").read_bytes() == b"x" * 100


def test_what_a_callback_that_runs_at_exit_still_writes_is_drained_too(tmp_path: Path) -> None:
    fresh.output(
        program(f"""
        fd = os.open({str(tmp_path / "second")!r}, os.O_RDWR | os.O_CREAT)
        begun = threading.Event()
        def again(cb):
            begun.set()
            time.sleep(0.3)
            aio.aio_write(second)
        second = aio.aiocb(fd, bytes(1 << 20), 1 << 20)
        aio.aio_write(aio.aiocb(fd, b"x", aio_sigevent=told(again)))
        begun.wait()
        """),
        "-W",
        "ignore",
    )
    assert (tmp_path / "second").stat().st_size == 2 << 20


def test_a_sync_is_done_before_the_exit_goes_on(tmp_path: Path) -> None:
    text = program(f"""
        fd = os.open({str(tmp_path / "synced")!r}, os.O_RDWR | os.O_CREAT)
        cbs = [aio.aiocb(fd, bytes(1 << 20), i << 20) for i in range(16)]
        sync = aio.aiocb(fd)
        for cb in cbs:
            aio.aio_write(cb)
        aio.aio_fsync(os.O_SYNC, sync)
        print(sync.in_progress)
        after_our_part = lambda: print(aio.aio_error(sync), aio.aio_return(sync))
        """)
    assert fresh.output(text) == "True\n0 0\n"


def test_blocked_reads_hold_up_no_exit() -> None:
    fresh.output(
        program(f"""
        {NEVER}
        ends = [os.pipe() for _ in range(30)]
        cbs = [aio.aiocb(read, bytearray(8), aio_sigevent=told(print)) for read, write in ends]
        for cb in cbs:
            aio.aio_read(cb)
        """)
    )


@pytest.mark.parametrize(
    "wait",
    [
        "queue.get()",
        "aio.aio_suspend([cb])",
        "aio.lio_listio(aio.LIO_WAIT, [cb2])",
        "aio.sigwaitinfo([signal.SIGRTMIN])",
    ],
)
def test_a_daemon_thread_that_waits_for_a_completion_holds_up_no_exit(wait: str) -> None:
    fresh.output(
        program(f"""
        {NEVER}
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
        queue = aio.CompletionQueue()
        cb = aio.aiocb(os.pipe()[0], bytearray(8), aio_sigevent=queue.sigevent())
        cb2 = aio.aiocb(os.pipe()[0], bytearray(8), aio_lio_opcode=aio.LIO_READ)
        aio.aio_read(cb)
        threading.Thread(target=lambda: {wait}, daemon=True).start()
        time.sleep(0.05)
        """)
    )


def test_a_thread_that_is_no_daemon_goes_on_after_main_has_returned() -> None:
    text = program("""
        read, write = os.pipe()
        cb = aio.aiocb(read, bytearray(8))
        def later():
            threading.main_thread().join()
            aio.aio_read(cb)
            os.write(write, b"12345")
            aio.aio_suspend([cb])
            print(aio.aio_return(cb))
        threading.Thread(target=later).start()
        """)
    assert fresh.output(text) == "5\n"


FULL_PIPE = """
    flight.DRAIN = 0.3
    read, write = os.pipe()
    cb = aio.aiocb(write, bytes(1 << 20), 4096)
    aio.aio_write(cb)
    """


def test_a_write_that_cannot_finish_is_named_by_a_warning_after_the_time_limit() -> None:
    ended = fresh.run(program(FULL_PIPE))
    assert ended.returncode == 0
    assert "RuntimeWarning: 1 requests lost at exit, not done after 0.3 s" in ended.stderr
    assert "write of 1048576 bytes at 4096 to " in ended.stderr


def test_that_warning_made_an_error_leaves_an_orderly_exit() -> None:
    ended = fresh.run(program(FULL_PIPE), "-W", "error")
    assert "write of 1048576 bytes at 4096 to " in ended.stderr


def test_ctrl_c_during_the_drain_ends_it() -> None:
    process = fresh.start(
        program(FULL_PIPE)
        + "\nflight.DRAIN = 3600\natexit.register(lambda: print('end', flush=True))"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "end\n"
    time.sleep(0.2)  # into the drain
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in fresh.end(process).stderr


def test_a_callback_that_runs_at_exit_is_waited_for() -> None:
    text = program("""
        begun = threading.Event()
        def slow(cb):
            begun.set()
            time.sleep(0.3)
            os.write(1, b"finished")
        aio.aio_write(aio.aiocb(os.memfd_create("m"), b"x", aio_sigevent=told(slow)))
        begun.wait()
        """)
    assert fresh.output(text, "-W", "ignore") == "finished"


BLOCKED = """
    flight.GRACE = 0.05
    begun = threading.Event()
    here, there = socket.socketpair()
    def blocked(cb):
        begun.set()
        {how}
    cb = aio.aiocb(os.memfd_create("m"), b"x", aio_sigevent=told(blocked))
    aio.aio_write(cb)
    begun.wait()
    """


@pytest.mark.parametrize(
    "how",
    ["here.recv(1)", "threading.Lock().acquire(); threading.Event().wait()", "time.sleep(3600)"],
)
def test_a_callback_that_blocks_for_ever_holds_up_no_exit(how: str) -> None:
    fresh.output(program(BLOCKED.format(how=how)))


def test_a_callback_that_is_released_after_the_interpreter_ended_crashes_nothing() -> None:
    here, there = os.pipe()
    text = BLOCKED.format(how=f"os.read({here}, 1)") + "linger()\n"
    process = started(text, pass_fds=[here])
    os.write(there, b"x")
    time.sleep(0.1)
    assert fresh.end(process, "\n").returncode == 0
    os.close(here)
    os.close(there)


def test_no_callback_begins_after_the_last_ones_were_waited_for() -> None:
    """Its thread would enter an interpreter that is being taken down (G16)."""
    text = program("""
        def late(cb):
            os.write(1, b"late")
        pairs = [socket.socketpair() for _ in range(20)]
        cbs = [aio.aiocb(here, bytearray(1), aio_sigevent=told(late)) for here, _ in pairs]
        for cb in cbs:
            aio.aio_read(cb)
        threads = len(os.listdir("/proc/self/task"))
        def after_our_part():
            for _, there in pairs:
                there.send(b"x")
            end = time.monotonic() + 20
            while time.monotonic() < end and (
                any(aio.aio_error(cb) for cb in cbs)
                or len(os.listdir("/proc/self/task")) > threads
            ):
                time.sleep(0.01)
        """)
    assert fresh.output(text) == ""


@pytest.mark.parametrize("error", ["raise KeyboardInterrupt", "1 / 0"])
def test_an_exception_in_a_callback_goes_to_unraisablehook_and_ends_nothing(error: str) -> None:
    text = program(f"""
        queue = aio.CompletionQueue()
        names = []
        sys.unraisablehook = lambda what: names.append(what.exc_type.__name__)
        def bad(cb):
            {error}
        fd = os.memfd_create("m")
        for function in (bad, bad, queue):
            cb = aio.aiocb(fd, b"x", aio_sigevent=told(function))
            aio.aio_write(cb)
            while cb.in_progress:
                time.sleep(0.001)
        end = time.monotonic() + 20
        while len(names) < 2 and time.monotonic() < end:
            time.sleep(0.001)
        print(len(queue.get()), len(names))
        """)
    assert fresh.output(text) == "1 2\n"


@pytest.mark.parametrize(
    "call", ["aio.aio_read(cb)", "aio.aio_write(cb)", "aio.lio_listio(aio.LIO_WAIT, [cb])"]
)
def test_what_is_submitted_after_the_drain_is_refused(call: str) -> None:
    text = program(f"""
        cb = aio.aiocb(os.memfd_create("m"), bytearray(8), aio_lio_opcode=aio.LIO_WRITE)
        aio.aio_write(cb)
        def after_our_part():
            try:
                {call}
            except OSError as error:
                print(error)
        """)
    assert "the interpreter is exiting" in fresh.output(text)


@pytest.mark.parametrize("notify", ["told(print)", "aio.CompletionQueue().sigevent()", "None"])
@pytest.mark.parametrize(
    "call", ["aio.aio_read(cb)", "aio.lio_listio(aio.LIO_NOWAIT, [cb], event)"]
)
def test_what_completes_after_the_interpreter_ended_finds_its_memory(
    call: str, notify: str
) -> None:
    here, there = os.pipe()
    process = started(
        f"""
        event = {notify}
        cb = aio.aiocb({here}, bytearray(100), aio_sigevent=event, aio_lio_opcode=aio.LIO_READ)
        {call}
        del cb, event
        linger()
        """,
        "-W",
        "ignore",
        pass_fds=[here],
        env=os.environ
        | {"PYTHONMALLOC": PLAIN_MALLOC, "MALLOC_PERTURB_": "165"},  # what is freed becomes rubbish
    )
    os.write(there, b"x" * 100)
    time.sleep(0.1)
    assert fresh.end(process, "\n").returncode == 0
    os.close(here)
    os.close(there)


@pytest.mark.parametrize("listed", [False, True])
def test_a_signal_that_comes_after_the_interpreter_ended_kills_nothing(listed: bool) -> None:
    here, there = os.pipe()
    process = started(
        f"""
        signal.signal(signal.SIGRTMIN, lambda *_: None)
        event = aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN)
        cb = aio.aiocb({here}, bytearray(100), aio_lio_opcode=aio.LIO_READ)
        if {listed}:
            aio.lio_listio(aio.LIO_NOWAIT, [cb], event)
        else:
            cb.aio_sigevent = event
            aio.aio_read(cb)
        linger()
        """,
        pass_fds=[here],
    )
    os.write(there, b"x")
    time.sleep(0.1)
    assert fresh.end(process, "\n").returncode == 0
    os.close(here)
    os.close(there)


def test_exec_with_requests_in_flight_leaves_the_new_program_alone() -> None:
    text = program("""
        cb = aio.aiocb(os.pipe()[0], bytearray(8), aio_sigevent=told(print))
        aio.aio_read(cb)
        count = "import os; print(len(os.listdir('/proc/self/task')))"
        os.execv(sys.executable, [sys.executable, "-c", count])
        """)
    assert fresh.output(text) == "1\n"


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize(
    "imported", [False, True], ids=["imported in the child", "imported before"]
)
def test_a_child_of_multiprocessing_writes_what_it_accepted(
    method: str, imported: bool, tmp_path: Path
) -> None:
    """Such a child leaves by os._exit, so atexit is not enough (G16)."""
    script = tmp_path / "script.py"
    script.write_text(f"""
import multiprocessing, os
if {imported}:
    import aio_posix
def child(path):
    global cbs
    import aio_posix as aio
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    cbs = [aio.aiocb(fd, bytes([i % 256]) * 65536, i * 65536) for i in range(400)]
    for cb in cbs: aio.aio_write(cb)
if __name__ == "__main__":
    out = {str(tmp_path / "out")!r}
    process = multiprocessing.get_context("{method}").Process(target=child, args=(out,))
    process.start(); process.join(); print(process.exitcode)
""")
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=fresh.LIMIT
    )
    assert (ended.stdout, ended.stderr) == ("0\n", "")
    assert (tmp_path / "out").read_bytes() == b"".join(bytes([i % 256]) * 65536 for i in range(400))


def test_a_sigevent_of_a_signal_that_cannot_be_ignored_does_not_disturb_an_exit() -> None:
    fresh.output("""
        import os, signal, aio_posix as aio
        aio.sigevent(aio.SIGEV_SIGNAL, sigev_signo=signal.SIGKILL)
        cb = aio.aiocb(os.pipe()[0], bytearray(1))
        aio.aio_read(cb)
        """)


def test_every_file_of_a_lost_write_is_named(tmp_path: Path) -> None:
    """By its object or its number; those of one file together."""
    ended = fresh.run(
        """
        import os
        from aio_posix import *
        from aio_posix import flight
        flight.DRAIN = 0.2
        held, numbers = [], []
        for i in range(12):
            r, w = os.pipe()
            file = w if i % 2 else os.fdopen(w, "wb", buffering=0)
            numbers.append(w)
            held.append(file)
            for _ in range(1 + i % 3):
                aio_write(aiocb(file, bytes(1 << 20)))
        print(*numbers)
        """,
        "-W",
        "ignore::ResourceWarning",
    )
    assert ended.returncode == 0, ended
    assert "24 requests lost at exit" in ended.stderr, ended
    for i, number in enumerate(ended.stdout.split()):
        n = 1 + i % 3
        what = f"{n} writes of {n << 20} bytes" if n > 1 else f"write of {1 << 20} bytes at 0"
        to = number if i % 2 else f"<_io.FileIO name={number} mode='wb' closefd=True>"
        assert f"{what} to {to}" in ended.stderr, ended
