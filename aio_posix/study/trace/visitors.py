"""python -m aio_posix.study.trace.visitors PORT | python -m aio_posix trace -- demo_echo.py PORT

Three clients of an echo server on 127.0.0.1. They connect, each sends a line and waits for the
echo, and they leave. Then "exit" on standard output, which the server reads. RuntimeError for a
wrong echo, TimeoutError if nobody listens.
"""

from __future__ import annotations

import socket
import sys
import time

CLIENTS, MESSAGE = 3, b"hello\n"
PATIENCE = 20  # seconds until somebody listens, or answers
AGAIN = 0.02  # seconds between two attempts


def talk(port: int) -> None:
    clients = [connected(port) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(MESSAGE)
        echo = b""
        while len(echo) < len(MESSAGE):
            data = client.recv(64)
            if not data:
                break
            echo += data
        if echo != MESSAGE:
            raise RuntimeError(f"sent {MESSAGE!r}, the echo was {echo!r}")
    for client in clients:
        client.shutdown(socket.SHUT_WR)
        # The server has closed it, too. It is to be done with them before it reads "exit"
        client.recv(1)
        client.close()


def connected(port: int) -> socket.socket:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        except ConnectionRefusedError:
            time.sleep(AGAIN)
    raise TimeoutError(f"nobody listens on port {port}")


if __name__ == "__main__":
    try:
        talk(int(sys.argv[1]))
    finally:
        print("exit", flush=True)
