"""demo_echo.py against real sockets, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadline import TAKEN, eventually

DEMO = Path(__file__).parent.parent / "demo_echo.py"
LIMIT = 30  # seconds for anything the server should do at once


class Server:
    """The demo with its standard input and what it has printed."""

    def __init__(self, *options: str) -> None:
        pipe = subprocess.PIPE
        command = [
            sys.executable,
            "-X",
            "faulthandler",
            str(DEMO),
            "0",
            "--host",
            "127.0.0.1",
            *options,
        ]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        self.printed = b""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        assert eventually(lambda: b"\n" in self.printed)
        self.port = int(self.printed.splitlines()[0].split()[-1])

    def read(self) -> None:
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 65536):
            self.printed += data

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT)

    def end(self, text: bytes = b"exit\n") -> tuple[int, bytes]:
        """Status and standard error."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text)
            self.process.stdin.close()
        status = self.process.wait(LIMIT)
        self.reader.join(LIMIT)
        return status, self.process.stderr.read()


@contextlib.contextmanager
def without_input(
    *options: str, host: str = "127.0.0.1"
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The demo as a container starts it, and its port."""
    command = [sys.executable, "-X", "faulthandler", str(DEMO), "0", "--host", host, *options]
    none, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(command, stdin=none, stdout=pipe, stderr=pipe) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline().split()[-1])
            process.wait(LIMIT)
        finally:
            process.kill()


class Terminal:
    """The demo on a terminal of its own, and what it has printed there."""

    def __init__(self, shell: list[str], environment: dict[str, str]) -> None:
        self.terminal, inside = pty.openpty()
        command = [*shell, sys.executable, str(DEMO), "0", "--host", "127.0.0.1"]
        self.process = subprocess.Popen(
            command,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=environment,
            start_new_session=True,
        )
        os.close(inside)
        self.printed = b""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
            while data := os.read(self.terminal, 65536):
                self.printed += data

    def connect(self) -> socket.socket:
        assert eventually(lambda: b"to end it" in self.printed), self.printed
        port = int(self.printed.split(b" port ")[1].split()[0])
        return socket.create_connection(("127.0.0.1", port), timeout=LIMIT)


@contextlib.contextmanager
def on_a_terminal(*, shell: list[str] | None = None, **variables: str | None) -> Iterator[Terminal]:
    changed = {"PYTHONIOENCODING": "utf-8", "NO_COLOR": None, **variables}
    environment = {**os.environ, **changed}
    demo = Terminal(
        shell or [], {name: text for name, text in environment.items() if text is not None}
    )
    try:
        yield demo
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.process.pid, signal.SIGTERM)
        demo.process.wait(LIMIT)
        demo.reader.join(LIMIT)
        os.close(demo.terminal)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(*getattr(request, "param", ()))
    yield server
    if server.process.poll() is None:
        assert server.end() == (0, b"")
    for stream in (server.process.stdin, server.process.stdout, server.process.stderr):
        assert stream is not None
        with contextlib.suppress(BrokenPipeError):
            stream.close()


def receive(client: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n and (more := client.recv(n - len(data))):
        data += more
    return data


def test_what_a_client_sends_comes_back_and_is_printed_at_once(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"hello\n")
        assert receive(client, 6) == b"hello\n"
        assert eventually(lambda: b"[*] accept" in server.printed and b"hello\n" in server.printed)
    assert eventually(lambda: b"[*] close" in server.printed)


def test_a_mebibyte_in_random_pieces_comes_back_identical(server: Server) -> None:
    data = random.Random(5).randbytes(1 << 20)
    with server.connect() as client:
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(receive(client, len(data))))
        reader.start()
        sent = 0
        while sent < len(data):
            piece = random.Random(sent).randrange(1, 30_000)
            client.sendall(data[sent : sent + piece])
            sent += piece
        reader.join(LIMIT)
        assert got == [data]


def test_a_client_that_half_closes_gets_what_it_sent_and_then_the_end(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        assert receive(client, 100) == b"last words"


def test_a_client_that_resets_ends_itself_only(server: Server) -> None:
    with server.connect() as other:
        client = server.connect()
        client.sendall(b"x")
        receive(client, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # RST
        assert eventually(lambda: b"[*] close" in server.printed)
        other.sendall(b"still here")
        assert receive(other, 10) == b"still here"


@pytest.mark.parametrize(
    "text", [b"exit\n", b"hello\nexit\n", b""], ids=["exit", "exit on a second line", "end of file"]
)
def test_standard_input_ends_the_server_with_status_0(server: Server, text: bytes) -> None:
    with server.connect() as client:
        client.sendall(b"x")
        receive(client, 1)
        assert server.end(text) == (0, b"")


def test_ctrl_c_ends_the_server_with_status_0(server: Server) -> None:
    with server.connect():
        server.process.send_signal(signal.SIGINT)
        assert server.end(b"") == (0, b"")


def test_sigterm_ends_a_server_that_does_not_read_standard_input() -> None:
    with without_input("--no-stdin") as (process, port):
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
            client.sendall(b"hello")
            assert receive(client, 5) == b"hello"
        process.terminate()
        assert (process.wait(LIMIT), process.communicate()[1]) == (0, b"")


def test_an_end_of_standard_input_is_given_as_the_reason_and_the_remedy_with_it() -> None:
    with without_input() as (process, _):
        assert process.stdout is not None
        said = process.stdout.read()  # communicate() passes over what readline() has buffered
        complaint = process.communicate(timeout=LIMIT)[1]
    assert (process.returncode, complaint) == (0, b"")
    assert b"standard input has ended" in said
    assert b"--no-stdin" in said


@pytest.mark.parametrize(
    ("server", "ways"),
    [((), b'"exit" and Enter, or Ctrl-C'), (("--no-stdin",), b": Ctrl-C")],
    indirect=["server"],
)
def test_the_start_says_how_to_end(server: Server, ways: bytes) -> None:
    assert eventually(lambda: server.printed.count(b"\n") == 2)
    assert ways in server.printed
    server.process.send_signal(signal.SIGINT)
    server.process.wait(LIMIT)


def test_standard_input_that_cannot_be_read_is_said_and_ends_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO), "0", "--host", "127.0.0.1"]
    with (
        (tmp_path / "written").open("w") as file,
        subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        port = int(process.stdout.readline().split()[-1])
        assert process.stdout.readline().startswith(b"[*] to end it")
        said = process.stdout.readline()
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
            client.sendall(b"x")
            echoed = receive(client, 1)
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT)
    # Nothing is asserted while the process runs, because leaving the block waits for its end.
    assert b"no standard input (Bad file descriptor)" in said
    assert (echoed, process.returncode) == (b"x", 0)


@pytest.mark.parametrize(
    ("options", "blamed"),
    [
        (("0", "--threads", "0"), "--threads: aio_threads must be in 1"),
        (("65536",), "PORT: 65536"),
        (("-1",), "-1"),
        (("0", "--host", "203.0.113.1"), "--host 203.0.113.1: Cannot assign requested address"),
        (("0", "--host", "no.such.host.invalid"), "--host no.such.host.invalid: "),
    ],
    ids=["threads", "a large port", "a negative port", "somebody else's address", "no host"],
)
def test_a_message_names_the_argument_that_is_wrong(options: tuple[str, ...], blamed: str) -> None:
    ended = subprocess.run(
        [sys.executable, str(DEMO), *options],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode in (1, 2)
    assert blamed in ended.stderr.splitlines()[-1]
    assert ended.stdout == ""


def test_all_of_ipv6_is_all_of_ipv4_too() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with without_input("--no-stdin", host="::") as (process, port):
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), timeout=LIMIT) as client:
                client.sendall(host.encode())
                assert receive(client, len(host)) == host.encode()
        process.send_signal(signal.SIGINT)


def test_a_terminal_is_shown_what_clients_send_and_does_not_obey_it() -> None:
    sent = "\x1b[2Jä\x07\u009b31m\u202e\ttab\r\n".encode() + b"\x9b\xff\n"
    with on_a_terminal() as demo, demo.connect() as client:
        client.sendall(sent)
        assert receive(client, len(sent)) == sent
        shown = rb"\x1b[2J" + "ä".encode() + rb"\x07\x9b31m\u202e" + b"\ttab" + rb"\r"
        assert eventually(lambda: rb"\xff" in demo.printed)
        assert b"\r\n" + shown + b"\r\n" + rb"\x9b\xff" + b"\r\n" in demo.printed


def test_elsewhere_than_on_a_terminal_what_clients_send_is_printed_byte_for_byte(
    server: Server,
) -> None:
    with server.connect() as client:
        client.sendall(b"\x1b[2J\x00\xff")
        assert eventually(lambda: b"\x1b[2J\x00\xff" in server.printed)


@pytest.mark.parametrize(
    ("no_color", "coloured"), [(None, True), ("", True), ("1", False)], ids=["unset", "empty", "1"]
)
def test_a_terminal_has_colours_unless_no_color_says_otherwise(
    no_color: str | None, coloured: bool
) -> None:
    with on_a_terminal(NO_COLOR=no_color) as demo, demo.connect():
        assert eventually(lambda: b"[*] accept" in demo.printed)
        assert (b"\x1b[0;32m[*] accept\x1b[0m" in demo.printed) is coloured


def test_elsewhere_than_on_a_terminal_there_are_no_colours(server: Server) -> None:
    with server.connect():
        assert eventually(lambda: b"[*] accept\n" in server.printed)
    assert b"\x1b" not in server.printed


def test_back_from_the_background_exit_ends_the_server() -> None:
    """A terminal answers a read of a process in its background with EIO."""
    with on_a_terminal(
        shell=[sys.executable, str(DEMO.parent / "tests" / "background.py")]
    ) as demo:
        eventually(lambda: False, 0.3)  # until the read of standard input has failed
        with demo.connect() as client:
            client.sendall(b"x")
            assert receive(client, 1) == b"x"
        demo.process.send_signal(signal.SIGUSR1)
        eventually(lambda: False, TAKEN)
        os.write(demo.terminal, b"exit\n")
        assert demo.process.wait(LIMIT) == 0


def test_a_port_in_use_is_said_in_one_line(server: Server) -> None:
    command = [sys.executable, str(DEMO), str(server.port), "--host", "127.0.0.1"]
    second = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL
    )
    assert second.returncode == 1
    assert re.fullmatch(r"demo_echo: .*Address already in use.*\n", second.stderr)


@pytest.mark.parametrize("server", [("-eb",)], indirect=True)
def test_eb_sends_what_one_client_says_to_all(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(4)]
        assert eventually(lambda: server.printed.count(b"new client") == 4)
        clients[2].sendall(b"to all")
        assert [receive(client, 6) for client in clients] == [b"to all"] * 4
    assert eventually(lambda: server.printed.count(b"delete client") == 4)


@pytest.mark.parametrize("server", [("--threads", "20")], indirect=True)
def test_of_20_silent_clients_20_threads_serve_19(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(20)]
        assert eventually(
            lambda: server.printed.count(b"accept") >= 19
        )  # the 20th, if at all, without a read
        clients[19].sendall(b"x")
        assert select.select([clients[19]], [], [], 0.5)[0] == []
        clients[0].sendall(b"y")  # its thread is free for a moment: the listener's read gets it
        assert receive(clients[19], 1) == b"x"


def test_a_thousand_silent_clients_starve_nobody(server: Server) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    n = 1000 if limits[1] == resource.RLIM_INFINITY or limits[1] > 1200 else 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], n + 200), limits[1]))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(n)]
        assert eventually(lambda: server.printed.count(b"accept") == n, LIMIT)
        talker = stack.enter_context(server.connect())
        talker.sendall(b"anybody?")
        assert receive(talker, 8) == b"anybody?"
        for i, client in enumerate(
            clients
        ):  # and all at once, the burst that once got no answer for seconds
            client.sendall(b"%04d" % i)
        assert [receive(client, 4) for client in clients] == [b"%04d" % i for i in range(n)]
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_full_descriptor_table_is_said_and_ends_nothing() -> None:
    limit = 40
    code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))"
    code += "; import runpy, sys"
    code += "; sys.argv = ['demo_echo', '0', '--host', '127.0.0.1', '--threads', '100']"
    code += f"; runpy.run_path({str(DEMO)!r}, run_name='__main__')"
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    port = int(process.stdout.readline().split()[-1])
    clients = [socket.create_connection(("127.0.0.1", port), timeout=LIMIT) for _ in range(limit)]
    said = b""
    while b"Too many open files" not in said:
        said += os.read(process.stdout.fileno(), 65536)
    clients[0].sendall(b"x")
    assert receive(clients[0], 1) == b"x"
    for client in clients[:10]:
        client.close()
    clients[-1].sendall(b"late")
    assert receive(clients[-1], 4) == b"late"
    for client in clients:
        client.close()
    assert process.communicate(b"exit\n", timeout=LIMIT)[1] == b""
    assert process.returncode == 0


@pytest.mark.parametrize("end", [b"exit\n", b""], ids=["exit", "end of file"])
def test_a_file_as_standard_input_is_read_to_its_end(end: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"no command\n" * 2000 + end)
    with (tmp_path / "in").open("rb") as file:
        ended = subprocess.run(
            [sys.executable, str(DEMO), "0"], stdin=file, capture_output=True, timeout=LIMIT
        )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_closed_standard_streams_do_not_become_a_client() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    closed = lambda: [os.close(0), os.close(1)]  # noqa: E731
    with subprocess.Popen([sys.executable, str(DEMO), str(port)], preexec_fn=closed) as process:
        clients: list[socket.socket] = []
        try:

            def connected() -> bool:
                with contextlib.suppress(ConnectionRefusedError):
                    clients.append(socket.create_connection(("127.0.0.1", port), timeout=LIMIT))
                return bool(clients)

            assert eventually(connected)
            clients[0].sendall(b"ping")
            clients[0].shutdown(socket.SHUT_WR)
            assert receive(clients[0], 100) == b"ping"
        finally:
            process.terminate()
            for client in clients:
                client.close()
