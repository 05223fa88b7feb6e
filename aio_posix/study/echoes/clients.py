"""The clients. Each sends a message, waits for it to come back, checks every byte, and sends the
next.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

MESSAGE = 64  # bytes
LIMIT = 30  # seconds in which nothing comes back


def talk(name: str, clients: int, rounds: int, under: Sequence[str] = ()) -> float:
    """Messages a second of a fresh server. Raises RuntimeError for a wrong byte or a server that
    ends badly.

    under: a command that runs the server's command.
    """
    command = [*under, sys.executable, "-m", "aio_posix.study.echoes.servers", name, str(clients)]
    with serving(command) as port, contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), LIMIT))
            for _ in range(clients)
        ]
        turn(sockets, 0)  # all are accepted
        began = time.perf_counter()
        for number in range(rounds):
            turn(sockets, number)
        return clients * rounds / (time.perf_counter() - began)


def turn(sockets: list[socket.socket], number: int) -> None:
    """All speak, then all listen. Those are two system calls for a message, fewer than any server
    needs.
    """
    messages = [f"{number}.{who} ".encode().ljust(MESSAGE, b".") for who in range(len(sockets))]
    for client, message in zip(sockets, messages, strict=True):
        client.sendall(message)
    for client, message in zip(sockets, messages, strict=True):
        data = client.recv(MESSAGE)
        while len(data) < MESSAGE:
            more = client.recv(MESSAGE - len(data))
            if not more:
                raise RuntimeError("the server hung up")
            data += more
        if data != message:
            raise RuntimeError(f"sent {message!r}, got {data!r}")


@contextlib.contextmanager
def serving(command: list[str]) -> Iterator[int]:
    """A server that listens at this port, and ends by itself when its clients have gone."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline()
            if not port:
                raise RuntimeError(f"the server ended with status {server.wait(LIMIT)}: {command}")
            yield int(port)
            if server.wait(LIMIT):
                raise RuntimeError(f"the server ended with status {server.returncode}: {command}")
        finally:
            server.kill()
