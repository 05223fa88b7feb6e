"""Lesson 18: seven ways in which the echo server of 2016 fails, each provoked."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aio_posix.study import lessons
from aio_posix.study.lesson import Show, demo_line
from aio_posix.study.look import blocked, eventually

NUMBER = 18
ASK = (
    "An echo server on aio_read and SIGEV_THREAD works at once. In which ways does "
    "it fail?"
)
GUESS = "If it echoes what a few clients send, then it is right; the rest is speed."
SOURCE = """
rt/aio_misc.c: handle_fildes_io reads a listening socket: ENOTCONN, at once, and
rt/aio_notify.c: __aio_notify_only announces that as any completion. rt/aio_error.c:
aio_error returns the errno itself. rt/aio_misc.c: __aio_enqueue_request refuses an
aio_reqprio outside 0..20, and starts no 21st helper. demo_echo.py has the same design
and mends all of them.
"""
TRY = """
Copy c/echo_2016.c of aio_posix/study, let SOURCE_FILE name the copy, and let prepared()
begin with memset(cb, 0, sizeof *cb). Part 3 then waits in vain for the server to end.
"""
NEEDS = ("cc",)
CURES = (  # words of the line of demo_echo.py that mends each
    "listener.shutdown(",
    "buflen = -(error.errno",
    "return aiocb(",
    "cb.aio_buf[:buflen].splitlines()",
    "if buflen == 0:",
    "except OSError:  # reset, or gone",
    "aio_init(aio_threads=enough",
)
SOURCE_FILE = Path(lessons.__path__[0]).parent / "c" / "echo_2016.c"


class Server:
    """The program, running; what it has told on stderr."""

    def __init__(self, command: list[str], errors: Path, **more: object) -> None:
        self.errors = errors
        with errors.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=file,
                **more,  # type: ignore[call-overload]
            )
        self.port = int(self.process.stdout.readline().split()[-1])

    def told(self) -> str:
        return self.errors.read_text(errors="replace")

    def client(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


def echoed(client: socket.socket, data: bytes, patience: float = 20) -> bool:
    client.settimeout(patience)
    with suppress(TimeoutError, ConnectionError):
        client.sendall(data)
        return client.recv(len(data)) == data
    return False


@contextmanager
def serving(
    directory: Path, *options: str, malloc: int = 0, **more: object
) -> Iterator[Server]:
    """A build of it with these options of the compiler, run until the part is over."""
    # malloc's memory is full of one byte: otherwise each part could have fault 3
    perturb = f"glibc.malloc.tcache_count=0:glibc.malloc.perturb={malloc ^ 255}"
    env = {**os.environ, "GLIBC_TUNABLES": perturb}
    program, errors = directory / "server", directory / "errors"
    build = ["cc", "-std=c11", "-w", *options, "-o", str(program), str(SOURCE_FILE)]
    subprocess.run(build, check=True, capture_output=True)
    more = {"stdin": subprocess.PIPE, "env": env, **more}
    server = Server([str(program)], errors, **more)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def run(show: Show) -> None:
    with tempfile.TemporaryDirectory() as name:
        faults(show, Path(name))
    show("demo_echo.py has the same design. The line that mends each of the seven:")
    for number, words in enumerate(CURES, 1):
        show(f"   {number}. {demo_line(words)}", measured=True)


def faults(show: Show, directory: Path) -> None:
    with serving(directory) as server:
        eventually(lambda: "listener 107 -1" in server.told())  # ENOTCONN
        show("1. No client has come, and the read of the listener is over: it failed.")
        assert echoed(server.client(), b"hello")
        show("2. aio_error is compared with -1: it saw nothing. Clients are served")

    with serving(directory, malloc=0x5A) as server:
        server.client()
        status, last = server.process.wait(20), server.told().splitlines()[-1]
        show("3. malloc gives memory that was used. A client ends the server:", last)
        assert (status, last) == (1, "aio_read: Invalid argument")

    show("4. A message as long as the buffer:", overflow(directory), measured=True)

    with serving(directory, stdin=subprocess.DEVNULL) as server:
        eventually(lambda: server.told().count("stdin 0 0") > 500)
        show("5. Standard input is at its end: its handler has run more than 500 times")

    with serving(directory) as server, server.client() as client:
        client.settimeout(1)
        with suppress(TimeoutError):
            while True:  # it does not read the echo, until the server's write waits
                client.sendall(bytes(65536))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # a reset
        status = server.process.wait(20)
        show("6. A client is reset while the server writes to it: the server has ended")
        assert status in (1, -signal.SIGPIPE)

    with serving(directory) as server:
        silent = []  # each comes when the one before has its echo: see listen()
        for _ in range(19):
            silent.append(server.client())
            assert echoed(silent[-1], b"hello"), server.told()
        eventually(lambda: len(blocked(pid=server.process.pid)) == 20)
        show("7. 19 clients have their echo and are silent. The 20th has one, too:",
             echoed(server.client(), b"hello", patience=1))  # fmt: skip


def overflow(directory: Path) -> str:
    """What AddressSanitizer says, where the compiler has it."""
    plain = {**os.environ, "ASAN_OPTIONS": "max_malloc_fill_size=0:detect_leaks=0"}
    try:
        with serving(directory, "-fsanitize=address", env=plain) as server:
            echoed(server.client(), b"x" * 8192, patience=3)
            server.process.terminate()
            server.process.wait(20)
            found = re.search("heap-buffer-overflow", server.told())
            return found[0] if found else "it came in two pieces this time"
    except subprocess.CalledProcessError:
        return "no AddressSanitizer here"
