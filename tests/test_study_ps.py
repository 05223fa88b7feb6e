"""ps: the facts of live processes, and what is made of facts.

Not tested on a live process: a kernel that hides system calls (yama); its facts are made up here.
"""

from __future__ import annotations

import io
import json
import math
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from aio_posix.study import described, ps, reports
from aio_posix.study.history import History
from aio_posix.study.inside import DEFAULTS, Inside, Pool
from aio_posix.study.memory import parsed
from aio_posix.study.proc import Process, Room, Socket, Thread, named, read
from aio_posix.study.queues import Queue
from aio_posix.study.watch import Watched, table

DEMO = Path(__file__).parent.parent / "demo_echo.py"

# Three blocked reads, a thread of its own, an idle helper, and a notification thread that blocks in
# accept.
TARGET = """
import os, socket, sys, threading, time
import aio_posix as aio
aio.aio_init(aio_threads=int(sys.argv[1]), aio_idle_time=60)
tcp = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
local, _peer = socket.socketpair()
pipe = os.pipe()[0]
blocks = [aio.aiocb(fd, bytearray(64)) for fd in (tcp, local, pipe)]
for block in blocks:
    aio.aio_read(block)
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
if "accept" in sys.argv:
    listener = socket.create_server(("127.0.0.1", 0))
    event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=lambda cb: listener.accept())
    aio.aio_write(aio.aiocb(os.open("/dev/null", os.O_WRONLY), b"x", aio_sigevent=event))
if "unread" in sys.argv:
    late = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    waiting = aio.aiocb(late, bytearray(64))
    aio.aio_read(waiting)
print(tcp.fileno(), local.fileno(), pipe, flush=True)
time.sleep(60)
"""


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class Target:
    """A process that runs TARGET, and the socket it is connected to."""

    def __init__(self, cleanup: ExitStack, *arguments: str) -> None:
        self.server = cleanup.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self.server.getsockname()[1]
        command = [sys.executable, "-c", TARGET, arguments[0], str(self.port), *arguments[1:]]
        self.process = cleanup.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        )
        cleanup.callback(self.process.kill)
        assert self.process.stdout is not None
        self.tcp, self.local, self.pipe = map(int, self.process.stdout.readline().split())
        self.pid = self.process.pid

    def report(self) -> reports.Report:
        return reports.report(read(self.pid))


Python = Callable[[str], tuple["subprocess.Popen[str]", list[int]]]


@pytest.fixture
def python() -> Iterator[Python]:
    """Runs programs that print numbers, and then go on."""
    with ExitStack() as cleanup:

        def run(program: str) -> tuple[subprocess.Popen[str], list[int]]:
            command = [sys.executable, "-c", program]
            running = cleanup.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            )
            cleanup.callback(running.kill)
            assert running.stdout is not None
            return running, [int(word) for word in running.stdout.readline().split()]

        yield run


@pytest.fixture
def start() -> Iterator[Callable[..., Target]]:
    with ExitStack() as cleanup:
        yield lambda *arguments: Target(cleanup, *arguments)


def test_each_helper_is_shown_with_the_descriptor_it_is_blocked_in(
    start: Callable[..., Target],
) -> None:
    target = start("8")
    assert eventually(lambda: {row.doing for row in target.report().rows} == {"read"})
    found = {row.fd: str(row) for row in target.report().rows}
    assert found.keys() == {target.tcp, target.local, target.pipe}
    assert (
        found[target.tcp]
        == f"read of fd {target.tcp} = socket to 127.0.0.1:{target.port}, 64 bytes"
    )
    assert found[target.local] == f"read of fd {target.local} = unix socket, 64 bytes"
    assert found[target.pipe].startswith(f"read of fd {target.pipe} = pipe:[")


def test_the_maximum_of_the_pool_is_read_from_the_process(start: Callable[..., Target]) -> None:
    assert start("8").report().aio_threads == 8


def test_idle_helpers_notifications_and_own_threads_are_told_apart(
    start: Callable[..., Target],
) -> None:
    target = start("8", "accept")

    def settled() -> bool:
        return sorted((row.kind, row.doing) for row in target.report().rows) == [
            ("helper", "idle"),
            *[("helper", "read")] * 3,
            ("notification", "accept"),
        ]

    assert eventually(settled), target.report()
    # the program's own: the main thread, the one that sleeps, the sweeper of aio_posix
    assert target.report().own_threads == len(os.listdir(f"/proc/{target.pid}/task")) - 5
    accepting = next(row for row in target.report().rows if row.kind == "notification")
    assert accepting.what.startswith("socket listening on 127.0.0.1:")


def test_a_full_pool_shows_the_bytes_that_wait_for_a_helper(start: Callable[..., Target]) -> None:
    target = start("3", "unread")
    silent, _ = target.server.accept()
    late, _ = target.server.accept()
    with silent, late:
        late.send(b"hello")
        assert eventually(lambda: len(target.report().unserved) == 1), target.report()
        assert target.report().unserved[0].endswith(": 5 bytes have come")
        assert "[###] 3 of 3 helpers, 3 busy, 0 idle" in described.text(target.report())
        assert "the pool is full" in described.text(target.report())


def test_a_starved_demo_shows_at_a_glance_why_the_fourth_client_gets_no_answer() -> None:
    command = [sys.executable, str(DEMO), "0", "--host", "127.0.0.1", "--threads", "4"]
    pipe = subprocess.PIPE
    with ExitStack() as cleanup:
        demo = cleanup.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe))
        cleanup.callback(demo.kill)
        assert demo.stdout is not None
        port = int(demo.stdout.readline().split()[-1])

        def connected() -> socket.socket:
            client = cleanup.enter_context(
                socket.create_connection(("127.0.0.1", port), timeout=20)
            )
            client.sendall(b"hello")
            return client

        for _ in range(3):
            assert connected().recv(64) == b"hello"
        # their next reads hold three helpers and standard input one, or the fourth could be served
        # before the third's
        assert eventually(
            lambda: [row.doing for row in reports.report(read(demo.pid)).rows].count("read") == 4
        )
        fourth = connected().getsockname()[1]
        # the listener's next read, and the fourth client's
        assert eventually(lambda: len(reports.report(read(demo.pid)).unserved) == 2), (
            described.text(reports.report(read(demo.pid)))
        )
        lines = described.text(reports.report(read(demo.pid))).splitlines()
    words = [line.split() for line in lines]
    title = f"{Path(sys.executable).name} {DEMO} 0 --host 127.0.0.1 --threads 4"
    assert lines[0] == (title if len(title) <= 60 else title[:56] + " ...") + f" ({demo.pid})"
    assert words[1] == ["[####]", "4", "of", "4", "helpers,", "4", "busy,", "0", "idle"]
    assert [row[1:3] for row in words[2:6]] == [["helper", "read"]] * 4
    assert " ".join(words[6]).startswith("- nobody serves fd ")
    assert lines[6].endswith(f" = socket listening on 127.0.0.1:{port}: 1 request in its queue")
    assert " ".join(words[7]).startswith("- nobody reads fd ")
    assert lines[7].endswith(f" = socket to 127.0.0.1:{fourth}: 5 bytes have come")
    assert any("aio_init(aio_threads=...)" in line for line in lines)


QUEUE = """
import os, socket, sys, time
import aio_posix as aio
ours, peer = socket.socketpair()
blocks = [aio.aiocb(ours, bytearray(8)) for _ in range(6)]
for block in blocks:
    aio.aio_read(block)
print(ours.fileno(), flush=True)
time.sleep(60)
"""


def test_many_requests_behind_a_blocked_head_are_counted_and_explained(python: Python) -> None:
    running, (fd,) = python(QUEUE)

    def found() -> reports.Report:
        return reports.report(read(running.pid))

    assert eventually(lambda: found().queues == (Queue(fd, "taken", 5),)), found()
    assert (
        f"fd {fd}: 5 requests wait behind its first: glibc does one request of a descriptor at a "
        "time; a dup() has a queue of its own" in described.text(found())
    )


FORBIDDEN = """
import os, resource, socket, sys, time
import aio_posix as aio
first, peer = socket.socketpair()
second = os.open("/dev/zero", os.O_RDONLY)
aio.aio_read(before := aio.aiocb(first, bytearray(8)))
while len(os.listdir("/proc/self/task")) < 2:
    time.sleep(0.001)
if os.geteuid() == 0:
    os.setuid(54321)  # RLIMIT_NPROC does not bind root
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
aio.aio_read(after := aio.aiocb(second, bytearray(8)))
print(second, flush=True)
time.sleep(60)
"""


def test_a_helper_that_could_not_be_started_is_explained_by_the_limit(
    python: Python, capsys: pytest.CaptureFixture[str]
) -> None:
    running, (fd,) = python(FORBIDDEN)
    assert ps.main([str(running.pid)]) == 0
    shown = capsys.readouterr().out
    assert f"nobody  serves fd {fd} = /dev/zero: 1 request in its queue" in shown
    assert "1 of 20 helpers, 1 busy, 0 idle" in shown
    assert (
        "glibc could not start another helper: RLIMIT_NPROC allows 1 thread, its user has" in shown
    )


def test_a_process_that_cannot_have_a_helper_at_all_is_told_the_limit(
    python: Python, capsys: pytest.CaptureFixture[str]
) -> None:
    running, _ = python(ALONE)
    assert ps.main([str(running.pid)]) == 1
    assert "or it cannot: RLIMIT_NPROC allows 1 thread, its user has " in capsys.readouterr().err


ALONE = """
import os, resource, time
if os.geteuid() == 0:
    os.setuid(54322)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
print(flush=True)
time.sleep(60)
"""


BLOCKS = """
import os, socket, sys, threading, time
import aio_posix as aio
listener = socket.create_server(("127.0.0.1", 0))
lock = threading.Lock()
def locked(cb):
    with lock:
        listener.accept()
def bare(cb):
    listener.accept()
event = aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=CALLBACK)
null = os.open("/dev/null", os.O_WRONLY)
blocks = [aio.aiocb(null, b"x", aio_sigevent=event) for _ in range(3)]
for block in blocks:
    aio.aio_write(block)
print(listener.fileno(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        ("locked", "a callback is blocked in accept of fd {fd}; 2 more wait for a lock, perhaps"),
        ("bare", "3 callbacks are blocked in accept of fd {fd}: a callback that blocks keeps its"),
    ],
)
def test_callbacks_that_block_and_those_behind_them_are_explained(
    python: Python, callback: str, words: str
) -> None:
    running, (fd,) = python(BLOCKS.replace("CALLBACK", callback))
    said = words.format(fd=fd)
    assert eventually(lambda: said in described.text(reports.report(read(running.pid))))


def test_the_queues_of_a_program_that_never_rests_are_read_or_not_but_never_wrong(
    python: Python,
) -> None:
    """It submits 40 requests at a time for 8 descriptors, and one read of another that blocks."""
    running, (blocked, low, high) = python(RESTLESS)
    sizes: set[int] = set()
    looks = 0
    while looks < 100 or (len(sizes) < 2 and looks < 1000):
        looks += 1
        queues = read(running.pid).queues
        if queues is None:
            continue
        assert queues[0] == Queue(blocked, "taken", 0)
        assert all(low <= queue.fd < high and queue.behind < 5 for queue in queues[1:])
        sizes.add(len(queues))
    assert running.poll() is None
    assert len(sizes) > 1, sizes


RESTLESS = """
import os, socket, sys
import aio_posix as aio
pairs = [socket.socketpair() for _ in range(8)]
fds = [os.dup2(ours.fileno(), 500 + n) for n, (ours, _) in enumerate(pairs)]
silent, other = socket.socketpair()
os.dup2(silent.fileno(), 400)
aio.aio_read(blocked := aio.aiocb(400, bytearray(8)))
print(400, 500, 508, flush=True)
with aio.CompletionQueue() as queue:
    while True:
        blocks = [aio.aiocb(fd, bytearray(8), aio_sigevent=queue.sigevent()) for fd in fds * 5]
        for block in blocks:
            aio.aio_read(block)
        for _, peer in pairs:
            for _ in range(5):
                peer.send(b"x" * 8)
        left = len(blocks)
        while left:
            left -= len(queue.get())
"""


def test_the_bar_has_a_mark_for_each_helper_there_could_be() -> None:
    found = replace(reports.report(FACTS), helpers=3, idle=1, aio_threads=5)
    assert described.bar(found) == "[##-..] "
    assert (
        described.bar(replace(found, aio_threads=30_000))
        == described.bar(replace(found, aio_threads=None))
        == ""
    )


def test_a_process_is_named_by_its_command_line() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            assert eventually(lambda: read(sleeper.pid).name == "sleep 60")
        finally:
            sleeper.kill()


def test_the_number_of_a_thread_leads_to_its_process(start: Callable[..., Target]) -> None:
    target = start("8")
    helper = target.report().rows[0].tid
    assert helper != target.pid
    assert read(helper).pid == target.pid


def test_json_has_one_line_with_the_whole_report(
    start: Callable[..., Target], capsys: pytest.CaptureFixture[str]
) -> None:
    target = start("8")
    assert eventually(lambda: target.report().helpers == 3)
    assert ps.main([str(target.pid), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pid"], found["helpers"]) == (target.pid, 3)


def test_watch_ends_with_the_process_and_status_0(
    start: Callable[..., Target],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = start("8")

    def end(seconds: float) -> None:
        target.process.kill()
        target.process.wait()

    monkeypatch.setattr(time, "sleep", end)
    assert ps.main([str(target.pid), "--watch"]) == 0
    shown = capsys.readouterr()
    assert "helper" in shown.out
    assert shown.err == ""


# By name, and several.


def test_a_process_is_found_by_its_program_its_script_and_its_module(tmp_path: Path) -> None:
    script = tmp_path / "my_program.py"
    script.write_text("import time; time.sleep(60)")
    sleeper = tmp_path / "my_sleeper"
    sleeper.symlink_to("/bin/sleep")
    commands = [
        [sys.executable, "-X", "dev", str(script)],
        [sys.executable, "-m", "my_program"],
        [str(sleeper), "60"],
    ]
    with ExitStack() as cleanup:
        pids = []
        for command in commands:
            process = cleanup.enter_context(subprocess.Popen(command, cwd=tmp_path))
            cleanup.callback(process.kill)
            pids.append(process.pid)
        assert eventually(lambda: named("my_program") == sorted(pids[:2]))
        assert named("my_program.py") == pids[:1]
        assert eventually(lambda: named("my_sleeper") == pids[2:])
    assert named("my_program") == []


def test_all_of_a_name_are_shown_and_those_without_aio_are_passed_over(
    start: Callable[..., Target], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = start("3"), start("3")
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            assert ps.main([str(pid) for pid in (first.pid, sleeper.pid, second.pid)]) == 0
            found = capsys.readouterr()
            assert found.out.count(" of 3 helpers, ") == 2
            assert found.err.count("\n") == 1
            assert ps.main([str(first.pid), str(second.pid), "--json"]) == 0
            lines = capsys.readouterr().out.splitlines()
        finally:
            sleeper.kill()
    assert [json.loads(line)["pid"] for line in lines] == [first.pid, second.pid]


@pytest.mark.parametrize("name", ["no_such_program", "", "9" * 5000])
def test_no_process_of_that_name_is_one_line_on_stderr(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert ps.main([name]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"ps: there is no process named {name}\n")


def test_watching_remembers_how_busy_and_how_often_full_the_pool_was() -> None:
    history = History()
    for busy in (0, 1, 2, 2, 0):
        history.add(busy, 2)
    assert str(history) == "busy in the last 5 looks, 2 at most: [ =## ]  the pool was full in 2"


def test_the_live_table_has_a_row_for_each_process_and_its_history_of_a_full_pool(
    start: Callable[..., Target],
) -> None:
    console = pytest.importorskip("rich.console")
    watched = []
    for target in (start("3"), start("8")):
        assert eventually(lambda target=target: target.report().helpers == 3)  # type: ignore[misc]
        history = History()
        for busy in (0, 2, 3, 3):
            history.add(busy, 3)
        watched.append(Watched(target.report(), history))
    for width in (40, 60, 100):
        printed = console.Console(width=width, file=io.StringIO())
        printed.print(table(watched))
        shown = printed.file.getvalue()
        assert max(map(len, shown.splitlines())) <= width
    one, other = [line for line in shown.splitlines() if " idle " in line]
    assert "[###] 3, 0 idle" in one
    assert "[###.....] 3, 0 idle" in other
    assert f"{watched[0].report.pid}: the pool was full in 2 of 4 looks" in shown
    assert f"{watched[0].report.pid}: the pool is full" in shown
    assert f"{watched[1].report.pid}: the pool is full" not in shown


def test_watching_a_name_finds_those_that_start_later(tmp_path: Path) -> None:
    script = tmp_path / "comes_late.py"
    script.write_text(QUEUE)
    command = [sys.executable, "-m", "aio_posix", "ps", "--watch", "--json", "comes_late"]
    with ExitStack() as cleanup:

        def begin(*words: str) -> subprocess.Popen[str]:
            running = cleanup.enter_context(
                subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
            )
            cleanup.callback(running.kill)
            assert running.stdout is not None
            return running

        first = begin(str(script))
        first.stdout.readline()  # type: ignore[union-attr]
        watching = begin(*command[1:])
        line = watching.stdout.readline()  # type: ignore[union-attr]
        assert json.loads(line)["pid"] == first.pid
        second = begin(str(script))
        lines = (json.loads(line) for line in watching.stdout or ())
        assert next(one for one in lines if one["pid"] == second.pid)
        first.kill()
        second.kill()
        assert watching.wait(20) == 0


def test_the_counters_of_the_package_are_those_of_the_process(python: Python) -> None:
    running, (_fd,) = python(QUEUE)
    found = reports.report(read(running.pid))
    assert found.stats == (6, 6, 0, 0, 0)
    assert "aio_posix.stats(): 6 in flight, 6 submitted, 0 completed" in described.text(found)
    assert json.loads(ps.as_json(found))["stats"]["in_flight"] == 6


def test_a_process_that_used_the_package_is_shown_when_its_helpers_have_ended() -> None:
    program = QUIET
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            running.stdout.readline()
            assert eventually(lambda: reports.report(read(running.pid)).helpers == 0)
            assert ps.look([running.pid], False, False)
        finally:
            running.kill()


QUIET = """
import os, time
import aio_posix as aio
aio.aio_init(aio_idle_time=-1)
aio.aio_read(block := aio.aiocb(os.open("/dev/zero", os.O_RDONLY), bytearray(8)))
aio.aio_suspend([block])
print(flush=True)
time.sleep(60)
"""


def test_a_callback_that_blocks_while_others_wait_is_explained() -> None:
    accepts = {"x86_64": 288, "aarch64": 202}.get(platform.machine(), -1)
    blocks = Thread(12, "x", 0, (accepts, 3, 0, 0), "", True)
    waits = Thread(13, "x", 0, (reports.FUTEX, 0, 0, 0), "", True)
    found = described.text(reports.report(replace(FACTS, threads=(HELPER, blocks, waits, waits))))
    assert "a callback is blocked in accept of fd 3; 2 more wait for a lock" in found
    assert "is blocked in" not in described.text(
        reports.report(replace(FACTS, threads=(HELPER, blocks)))
    )


# Names are bytes.

WEIRD = """
import ctypes, mmap, os, socket, sys, time
directory = os.fsencode(sys.argv[1])
listener = socket.socket(socket.AF_UNIX)
listener.bind(directory + b"/\\xffsocket\\n1 2 3\\x85")
file = os.open(directory + b"/\\xfefile\\nlibc.so.6", os.O_RDWR | os.O_CREAT)
os.write(file, bytes(4096))
mapped = mmap.mmap(file, 4096)
ctypes.CDLL(None).prctl(15, b"\\xffname\\n(x) S", 0, 0, 0)  # PR_SET_NAME
import aio_posix as aio
ours, peer = socket.socketpair()
aio.aio_read(blocks := aio.aiocb(ours, bytearray(1)))
aio.aio_read(others := aio.aiocb(file, bytearray(1)))
print(file, flush=True)
time.sleep(60)
"""


def test_names_that_are_no_text_are_shown_escaped_and_break_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WEIRD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            file = int(running.stdout.readline())
            process = read(running.pid)
            mine = [one for one in process.sockets.values() if "socket" in one.local]
        finally:
            running.kill()
    assert process.files[file] == f"{tmp_path}/\\xfefile\\nlibc.so.6"
    assert process.threads[0].name == "\\xffname\\n(x) S"
    assert process.pool == Pool(20, 64, 1)
    assert all("\n" not in one.local and "\x85" not in one.local for one in mine)
    assert reports.report(process).helpers >= 1
    described.text(reports.report(process)).encode("ascii")


def test_ps_of_every_process_there_is_ends_without_a_traceback() -> None:
    for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        with suppress(ProcessLookupError, PermissionError):
            described.text(reports.report(read(pid)))


def test_lines_of_maps_end_at_newlines_alone_and_what_does_not_parse_is_passed_over() -> None:
    maps = b"1000-2000 r-xp 0 fe:00 7    /lib/\x85\xff \x0b\nnonsense\n\n3000-4000 rw-p 0 0:0 0\n"
    assert [(one.start, one.path) for one in parsed(maps)] == [
        (0x1000, b"/lib/\x85\xff \x0b"),
        (0x3000, b""),
    ]


SHARED = """
import ctypes, mmap, sys, time
libc = ctypes.CDLL(None)
libc.pthread_attr_setstack.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
memory = mmap.mmap(-1, 4 << 20)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
own = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: time.sleep(60))
for number, routine in enumerate([libc.pause, own, libc.pause]):
    attr, thread = ctypes.create_string_buffer(64), ctypes.c_void_p()
    libc.pthread_attr_init(attr)
    libc.pthread_attr_setstack(attr, start + (number << 20), 1 << 20)
    libc.pthread_create(ctypes.byref(thread), attr, routine, None)
print(flush=True)
time.sleep(60)
"""


def test_threads_whose_stacks_share_one_mapping_are_told_apart_by_where_they_began() -> None:
    with subprocess.Popen([sys.executable, "-c", SHARED], stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            running.stdout.readline()
            threads = read(running.pid).threads
        finally:
            running.kill()
    assert [thread.from_libc for thread in threads] == [None, True, False, True]


def test_a_library_whose_file_was_replaced_is_not_read_in_its_place(tmp_path: Path) -> None:
    inside = Inside(os.getpid())
    assert inside.pool() is not None
    other = tmp_path / "libc.so.6"
    other.write_bytes(bytes(4096) + DEFAULTS)
    inside._files = lambda first: [other]  # type: ignore[method-assign]
    assert inside.pool() is None


# One line on stderr, status 1.


def complaint(capsys: pytest.CaptureFixture[str], pid: int) -> str:
    assert ps.main([str(pid)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


def test_no_such_process(capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert complaint(capsys, ended.pid) == f"ps: there is no process {ended.pid}\n"


def test_a_process_without_aio(capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            assert "has no AIO thread" in complaint(capsys, sleeper.pid)
        finally:
            sleeper.kill()


def test_a_process_that_has_ended_and_was_not_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as zombie:
        status = Path(f"/proc/{zombie.pid}/status")
        assert eventually(lambda: "Z (zombie)" in status.read_text())
        assert complaint(capsys, zombie.pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a process of another user")
def test_a_process_of_another_user() -> None:
    # argparse imports modules late, when nobody may not be able to read this interpreter's library
    program = (
        "import argparse, os, sys; from aio_posix.study import ps; "
        "argparse.ArgumentParser().parse_args([]); argparse.ArgumentParser().format_help(); "
        "os.setuid(65534); sys.exit(ps.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, str(os.getpid())]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert (
        ran.stderr
        == f"ps: process {os.getpid()} belongs to uid 0 or is protected: /proc hides it\n"
    )


# What is made of facts.

READ = {"x86_64": 0, "aarch64": 63}.get(platform.machine(), -1)
HELPER = Thread(11, "x", reports.HELPER_MASK, (READ, 7, 0x1000, 16), "wait_woken", None)
FACTS = Process(10, "x", (HELPER,), {7: "socket:[1]", 3: "socket:[2]"}, {}, Pool(1, 64, 1))


def shown(thread: Thread, facts: Process = FACTS) -> str:
    return str(reports.row(thread, facts))


def test_the_mask_of_a_helper_is_the_one_a_live_helper_has() -> None:
    assert f"{reports.HELPER_MASK:016x}" == "fffffffe7ffbfeff"


def test_where_system_calls_are_hidden_the_kernel_function_is_shown_and_the_reason() -> None:
    hidden = replace(HELPER, syscall=None)
    found = reports.report(replace(FACTS, threads=(hidden,), pool=None))
    assert str(found.rows[0]) == "asleep in wait_woken"
    assert "1 of an unknown number of helpers" in described.text(found)
    assert "kernel.yama.ptrace_scope" in described.text(found)


def test_an_empty_mask_alone_does_not_make_a_notification_thread() -> None:
    unknown = replace(HELPER, blocked=0)
    assert reports.kind(unknown, FACTS) == "notification or own"
    assert reports.kind(replace(unknown, from_libc=True), FACTS) == "notification"
    assert reports.kind(replace(unknown, from_libc=False), FACTS) == "own"


def test_a_thread_of_the_program_with_the_mask_of_a_helper_is_not_taken_for_one() -> None:
    assert reports.kind(replace(HELPER, from_libc=False), FACTS) == "own"


def test_a_descriptor_closed_under_a_running_read_is_said_to_be_closed() -> None:
    assert (
        shown(replace(HELPER, syscall=(READ, 9, 0, 16))) == "read of fd 9 = closed since, 16 bytes"
    )


def test_an_unknown_system_call_is_shown_by_its_number() -> None:
    assert shown(replace(HELPER, syscall=(999, 0, 0, 0))) == "system call 999"


def test_clients_nobody_accepts_are_shown_when_the_pool_is_full() -> None:
    listening = Socket("tcp", "0.0.0.0:5000", "", True, 2)
    facts = replace(FACTS, sockets={"socket:[2]": listening})
    assert reports.report(facts).unserved == (
        "accepts fd 3 = socket listening on 0.0.0.0:5000: 2 connected",
    )
    assert reports.report(replace(facts, pool=Pool(20, 64, 1))).unserved == ()


@pytest.mark.parametrize(
    ("room", "why"),
    [
        (Room(nproc=40, user_threads=41), "RLIMIT_NPROC allows 40 threads, its user has 41"),
        (Room(math.inf, 9, pids_max=50, pids_current=50), "pids.max of its cgroup allows 50"),
        (Room(math.inf, 9, pids_max=50, pids_current=20), "so it may be that of memory"),
        (Room(), "so it may be that of memory"),
    ],
)
def test_a_head_that_waits_while_the_pool_has_room_could_not_get_a_helper(
    room: Room, why: str
) -> None:
    facts = replace(FACTS, pool=Pool(20, 64, 1), queues=(Queue(3, "ready", 0),), room=room)
    assert why in described.text(reports.report(facts))
    idle = replace(HELPER, tid=12, syscall=(reports.FUTEX, 0, reports.FUTEX_WAIT_BITSET))
    for other in (replace(facts, threads=(HELPER, idle)), replace(facts, pool=Pool(1, 64, 1))):
        assert reports.report(other).forbidden == ""


def test_a_queue_that_glibc_forgot_is_said_to_be_forgotten() -> None:
    facts = replace(FACTS, queues=(Queue(3, "orphaned", 1), Queue(7, "taken", 1)))
    said = described.text(reports.report(facts))
    assert "fd 3: no helper will take its 2 queued requests: the one before was cancelled" in said
    assert "fd 7: " not in said


def test_ipv6_addresses_are_read_from_the_table_of_the_kernel() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        inode = os.readlink(f"/proc/self/fd/{server.fileno()}")
        assert read(os.getpid()).sockets[inode].local == f"[::1]:{server.getsockname()[1]}"


def test_threads_that_come_and_go_while_they_are_read_do_no_harm() -> None:
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            threading.Thread(target=time.sleep, args=(0,)).start()

    worker = threading.Thread(target=churn)
    worker.start()
    try:
        for _ in range(50):
            assert reports.report(read(os.getpid())).pid == os.getpid()
    finally:
        stop.set()
        worker.join()


def test_a_thread_of_the_program_that_has_every_signal_blocked_is_not_taken_for_a_helper() -> None:
    program = """
import signal, threading
signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 65)) - {32, 33})
def run():
    while True: pass
thread = threading.Thread(target=run, daemon=True)
thread.start()
print(thread.native_id, flush=True)
while True: pass
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            tid = int(running.stdout.readline())
            for _ in range(20):  # it takes turns with the main thread: some looks find it running
                process = read(running.pid)
                (thread,) = [thread for thread in process.threads if thread.tid == tid]
                assert thread.blocked == reports.HELPER_MASK
                assert reports.kind(thread, process) == "own"
        finally:
            running.kill()
