"""python -m aio_posix trace runs and draws scripts of all sorts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from aio_posix.study.echoes.counting import may_trace
from aio_posix.study.trace import Timeline, calls, command, strace
from aio_posix.study.trace.timeline import Group, Kind

DEMO = Path(__file__).parent.parent / "demo_echo.py"
straced = pytest.mark.skipif(not may_trace(), reason="needs strace, and to be allowed to trace")
READ = """
import os, sys
from aio_posix import *
file = os.open(__file__, os.O_RDONLY)
request = aiocb(file, bytearray(5))
aio_read(request)
aio_suspend([request])
print(aio_return(request), __name__, *sys.argv[1:])
"""


def trace(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "aio_posix", "trace", *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(run, input=stdin, capture_output=True, text=True, timeout=120, env=env)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(READ)
    return path


def test_the_script_runs_as_it_does_alone_and_a_table_follows(script: Path) -> None:
    ended = trace("--", str(script), "--one", "two")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == "5 __main__ --one two"
    assert (
        "script.py --one two: 1 request," in lines[-1]
        or "script.py --one two: 1 request," in lines[-2]
    )


@pytest.mark.parametrize(
    ("option", "begin"), [("--svg", "<svg "), ("--html", "<!DOCTYPE html>"), ("--json", "{")]
)
def test_each_format_is_written_and_nothing_else_is_said(
    option: str, begin: str, script: Path, tmp_path: Path
) -> None:
    ended = trace(option, str(tmp_path / "out"), "--", str(script))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "5 __main__\n", "")
    assert (tmp_path / "out").read_text().startswith(begin)


def test_the_status_of_the_script_is_that_of_the_command(script: Path) -> None:
    script.write_text(READ + "sys.exit(7)")
    assert trace("--", str(script)).returncode == 7


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_script_that_ends_without_ceremony_is_drawn_all_the_same(end: str, script: Path) -> None:
    script.write_text(READ + f"sys.stdout.flush(); {end}")
    ended = trace("--", str(script))
    assert ended.returncode == {"os._exit(3)": 3}.get(end, 128 + signal.SIGKILL)
    assert "1 request," in ended.stdout


def test_what_a_fork_does_is_not_taken_for_the_script(script: Path) -> None:
    script.write_text(READ + "pid = os.fork()\nif not pid: os._exit(0)\nos.waitpid(pid, 0)")
    ended = trace("--", str(script))
    assert (ended.returncode, "1 request," in ended.stdout) == (0, True)


def test_ctrl_c_is_for_the_script(script: Path, tmp_path: Path) -> None:
    script.write_text(READ + """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("bye")
""")  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "aio_posix",
        "trace",
        "--svg",
        str(tmp_path / "out.svg"),
        "--",
        str(script),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "5 __main__\n"
        assert running.stdout.readline() == "ready\n"
        os.killpg(running.pid, signal.SIGINT)
        assert running.stdout.read() == "bye\n"
    assert running.returncode == 0
    assert (tmp_path / "out.svg").exists()


def complaint(*arguments: str, status: int) -> str:
    ended = trace(*arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (status, "", 1)
    return ended.stderr


def test_no_such_script_is_one_line_on_stderr(tmp_path: Path) -> None:
    assert "there is no script" in complaint("--", str(tmp_path / "none.py"), status=2)


def test_no_such_module_is_one_line_on_stderr() -> None:
    assert "there is no module" in complaint("-m", "no_such.module", status=2)


def test_what_is_missing_on_the_command_line_is_the_script() -> None:
    ended = trace()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "SCRIPT" in ended.stderr
    assert "ARGS" not in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "ours", "program"),
    [
        (["a.py", "-m", "x"], [], command.Program("a.py", ["-m", "x"])),
        (
            ["--svg", "o.svg", "--", "a.py", "--html"],
            ["--svg", "o.svg"],
            ("a.py", ["--html"], False),
        ),
        (["--svg=o", "-m", "a.b", "--json", "x"], ["--svg=o"], ("a.b", ["--json", "x"], True)),
        (["--html", "o", "--", "-m", "a", "--", "b"], ["--html", "o"], ("a", ["--", "b"], True)),
        (["--svg", "o"], ["--svg", "o"], None),
        (["-m"], ["-m"], None),
        (["--"], [], None),
    ],
)
def test_what_follows_the_name_of_the_program_is_the_programs_own(
    words: list[str], ours: list[str], program: object
) -> None:
    assert command.split(words) == (ours, program)


def test_a_module_runs_as_it_does_alone(script: Path) -> None:
    (script.parent / "package").mkdir()
    (script.parent / "package" / "__main__.py").write_text(READ)
    run = [sys.executable, "-m", "aio_posix", "trace", "-m", "package", "--one"]
    env = {**os.environ, "PYTHONPATH": str(DEMO.parent)}
    ended = subprocess.run(
        run, cwd=script.parent, capture_output=True, text=True, timeout=120, env=env, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == "5 __main__ --one"
    assert any("package --one: 1 request," in line for line in lines[-2:])


def test_nowhere_to_write_is_said_before_the_script_runs(script: Path, tmp_path: Path) -> None:
    assert "there is no directory" in complaint(
        "--svg", str(tmp_path / "no" / "x.svg"), str(script), status=2
    )
    assert "Is a directory" in complaint("--svg", str(tmp_path), str(script), status=2)


def test_a_picture_that_cannot_be_written_is_one_line_that_names_it(script: Path) -> None:
    ended = trace("--svg", "/dev/full", str(script))
    assert (ended.returncode, ended.stderr) == (
        1,
        "trace: --svg /dev/full: No space left on device\n",
    )


def test_m_without_a_module_says_what_is_missing(script: Path) -> None:
    assert "argument -m: MODULE is missing" in trace("-m").stderr


def test_a_script_without_aio_is_one_line_on_stderr(script: Path) -> None:
    script.write_text("")
    assert "no request was made" in complaint("--", str(script), status=1)


def test_two_formats_at_once_are_refused(script: Path) -> None:
    assert trace("--svg", "a", "--json", "b", str(script)).returncode == 2


def test_without_strace_the_picture_has_what_the_recorder_saw(script: Path, tmp_path: Path) -> None:
    ended = trace("--", str(script), PATH=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "strace is missing" in ended.stdout


# What is seen of a script, with strace.


def seen(script: Path, program: str) -> Timeline:
    script.write_text(program)
    status, line = command.run(command.Program(str(script), []), script.parent)
    assert status == 0
    assert isinstance(line, Timeline)
    return line


@straced
def test_more_system_calls_than_there_is_room_for_end_the_recording(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MOST", 4096)
    monkeypatch.setattr(calls, "PIECE", 1024)
    line = seen(script, READ + "for _ in range(3000): os.pread(file, 1, 0)\naio_read(request)\n")
    assert line.full is not None
    assert line.full < line.end


def test_what_is_written_to_the_pipe_is_what_comes_out(tmp_path: Path) -> None:
    taken = calls.Calls(tmp_path / "pipe")
    text = "".join(f"{n} line\n" for n in range(50_000))
    (tmp_path / "pipe").write_text(text)
    assert taken.end() == text
    assert not taken.full


def test_a_pipe_that_nobody_opened_is_empty(tmp_path: Path) -> None:
    assert calls.Calls(tmp_path / "pipe").end() == ""


@straced
def test_a_read_is_queued_then_done_by_a_helper_that_the_main_thread_started(script: Path) -> None:
    line = seen(script, READ)
    names = {lane.tid: lane.name for lane in line.lanes}
    assert [(box.kind, names[box.tid]) for box in line.boxes if box.kind is not Kind.CALL] == [
        (Kind.SUBMIT, "main thread"), (Kind.QUEUE, "queued"), (Kind.IO, "helper 1")
    ]  # fmt: skip
    assert ("starts", "main thread", "helper 1") in [
        (a.what, names[a.source], names[a.target]) for a in line.arrows
    ]


@straced
def test_every_notification_thread_of_a_queue_is_seen(script: Path) -> None:
    line = seen(script, """
import os
from aio_posix import *
file = os.open(__file__, os.O_RDONLY)
with CompletionQueue() as queue:
    told = queue.sigevent()
    about = {"aio_lio_opcode": LIO_READ, "aio_sigevent": told}
    lio_listio(LIO_NOWAIT, [aiocb(file, bytearray(1), **about) for _ in range(10)])
    taken = 0
    while taken < 10:
        taken += len(queue.get())
""")  # fmt: skip
    count = Counter(box.kind for box in line.boxes)
    assert (count[Kind.QUEUE], count[Kind.IO], count[Kind.NOTIFY]) == (10, 10, 10)
    assert sum(lane.group is Group.HELPER for lane in line.lanes) == 1  # one descriptor, one queue


@straced
def test_a_request_that_waits_for_a_full_pool_is_queued_until_a_read_is_over(script: Path) -> None:
    line = seen(script, """
import os, socket, time
from aio_posix import *
aio_init(aio_threads=1)
ours, peer = socket.socketpair()
held, waiting = aiocb(ours, bytearray(1)), aiocb(os.open(__file__, os.O_RDONLY), bytearray(1))
aio_read(held)
aio_read(waiting)
assert not aio_suspend([waiting], timeout=0.2)
peer.send(b"!")
aio_suspend([waiting])
""")  # fmt: skip
    first, second = [box for box in line.boxes if box.kind is Kind.IO]
    queued = [box for box in line.boxes if box.kind is Kind.QUEUE][1]
    assert first.end <= second.begin == queued.end
    assert first.tid == second.tid


@straced
def test_the_demo_with_three_clients_is_seen_whole(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    clients = subprocess.Popen(
        [sys.executable, "-m", "aio_posix.study.trace.visitors", port],
        stdout=subprocess.PIPE,
        text=True,
    )
    drawn = tmp_path / "echo.json"
    run = [sys.executable, "-m", "aio_posix", "trace", "--json", str(drawn), "--", str(DEMO), port]
    with clients:
        ended = subprocess.run(
            run, stdin=clients.stdout, capture_output=True, text=True, timeout=120
        )
    assert (clients.returncode, ended.returncode, ended.stderr) == (0, 0, "")
    assert Counter(ended.stdout.split("\n"))["hello"] == 3
    found = json.loads(drawn.read_text())["traceEvents"]
    kinds = Counter(one["cat"] for one in found if one["ph"] == "X")
    # Of standard input; of the listening socket before each client; of each client's message. What
    # comes after that, when the clients leave, may or may not be done when the program ends.
    expected = 1 + 3 + 3
    assert min(kinds["I/O"], kinds["callback"], kinds["notification"]) >= expected, kinds
    errors = [one["args"].get("error") for one in found if one["ph"] == "X" and one["cat"] == "I/O"]
    assert Counter(errors)["ENOTCONN"] >= 3


@straced
def test_strace_tells_of_buffers_by_their_address(tmp_path: Path) -> None:
    program = "import ctypes, os; b = ctypes.create_string_buffer(7); os.readv(0, [b])"
    program += "; ctypes.CDLL(None).read(0, b, 7); print(ctypes.addressof(b))"
    run = [*strace.command(tmp_path / "calls"), sys.executable, "-c", program]
    address = int(
        subprocess.run(run, input="", capture_output=True, text=True, check=True, timeout=60).stdout
    )
    (thread,) = strace.parse((tmp_path / "calls").read_text()).values()
    assert (0, address, 7) in [call.arguments for call in thread.calls if call.name == "read"]
    assert thread.death is not None


def test_the_picture_in_the_readme_is_there_and_well_formed() -> None:
    readme = (DEMO.parent / "README.md").read_text()
    assert "docs/study/trace-echo.svg" in readme
    root = ElementTree.parse(DEMO.parent / "docs" / "study" / "trace-echo.svg").getroot()
    assert "demo_echo.py" in "".join(root.itertext())
