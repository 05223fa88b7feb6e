"""The eight echo servers of lesson 10, their clients, and how their system calls are counted."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections import Counter

import pytest

from aio_posix.study import syscalls
from aio_posix.study.echoes import clients, counting
from aio_posix.study.echoes.__main__ import Row, markdown, text
from aio_posix.study.echoes.servers import SERVERS, by_libaio
from aio_posix.study.machine import machine

SUMMARY = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           6       100        20 futex
 40.00    0.000400           4        40           read
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           7       140        20 total
"""


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_gives_back_every_byte_to_each_of_several_clients(name: str) -> None:
    assert clients.talk(name, clients=5, rounds=20) > 0


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_goes_on_when_a_client_leaves_and_ends_with_the_last(name: str) -> None:
    command = [sys.executable, "-m", "aio_posix.study.echoes.servers", name, "3"]
    with clients.serving(command) as port:
        one, two, three = (socket.create_connection(("127.0.0.1", port), 20) for _ in range(3))
        clients.turn([one, two, three], 1)
        one.close()
        clients.turn([two, three], 2)
        three.close()
        clients.turn([two], 3)
        two.close()


def test_libaio_works_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libaio", None)
    assert syscalls.library() is syscalls
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=by_libaio, args=(listener, 1))
        server.start()
        with socket.create_connection(listener.getsockname(), 20) as client:
            clients.turn([client], 1)
        server.join(20)
    assert not server.is_alive()


def test_a_wrong_byte_fails_the_run() -> None:
    ours, server = socket.socketpair()
    with ours, server:
        threading.Thread(target=lambda: server.send(server.recv(100).replace(b"7", b"8"))).start()
        with pytest.raises(RuntimeError, match="sent b'7"):
            clients.turn([ours], 7)


def test_a_server_that_does_not_start_is_told_with_its_status() -> None:
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(RuntimeError, match="status 3"), clients.serving(command):
        pass


def test_the_summary_of_strace_is_read_with_and_without_errors_and_total() -> None:
    assert counting.parse(SUMMARY) == {"futex": 100, "read": 40}


def test_rare_calls_are_left_out_of_what_is_said_of_a_message() -> None:
    assert counting.per_message(Counter(read=100, futex=130, brk=4), 100) == "futex 1.3, read 1.0"


@pytest.mark.skipif(not counting.may_trace(), reason="needs strace, and to be allowed to trace")
def test_a_message_costs_epoll_three_system_calls() -> None:
    count = counting.calls("epoll", 1, 50)
    assert count is not None
    assert {name: number for name, number in count.items() if number >= 50} == dict.fromkeys(
        ("epoll_wait" if "epoll_wait" in count else "epoll_pwait", "recvfrom", "sendto"), 50
    )


def test_without_strace_the_table_has_no_columns_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert counting.calls("epoll", 1, 1) is None
    rows = [Row("epoll", 2000.0, 30000.4, "", "", "")]
    assert "| epoll | 2,000 | 30,000 |\n" in markdown(rows, repeat=1)
    assert text(rows).splitlines()[-1].split() == ["epoll", "2,000", "30,000"]


def test_the_machine_is_described_without_its_name() -> None:
    assert f"Python {sys.version.split()[0]}" in machine()
    assert socket.gethostname() not in machine().split()


def test_the_command_needs_no_file_to_write() -> None:
    command = [sys.executable, "-m", "aio_posix.study.echoes", "--help"]
    assert (
        "--markdown"
        in subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    )
