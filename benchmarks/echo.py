"""Rows for the echo server, demo_echo.py beside c/echo.c, with c/load.c as the client of both.

Beside them, without a goal, stands the same echo over select, poll and epoll.

- Both servers get the same pool, on 127.0.0.1, standard output to /dev/null, and a fresh process
  for each measurement. Each is ended by "exit" on its standard input, as a person would, and must
  then end with status 0. One that does not is killed, and that is an error.
- The load client checks every byte. Any error of it fails the row.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Literal, TextIO

from comparison import Row
from programs import THIS, Checkout, ProgramError, c_number, compiled, ending

Side = Literal["ours", "aio", "select", "poll", "epoll"]

# threads beside one for each client: standard input, the listener, the probe, one to spare
SPARE = 4
START = 20.0  # seconds for a server to listen
ACCEPT = 90.0  # seconds for a server to accept every silent client
END = 30.0  # seconds for a server to end after "exit": 10,000 connections have just been closed


def rows(seconds: float) -> Iterator[Row]:
    for clients in (1, 10, 100):
        yield pingpong(f"echo-{clients}", "aio", clients, 0.85, seconds)
    for clients in (1, 10, 100):
        yield pingpong(f"echo-{clients}-epoll", "epoll", clients, None, seconds)
    yield pingpong("echo-100-poll", "poll", 100, None, seconds)
    yield pingpong("echo-100-select", "select", 100, None, seconds)
    for clients, most_pairs in ((1_000, 3), (10_000, 2)):
        yield silent(clients, most_pairs)


def pingpong(name: str, other: Side, clients: int, goal: float | None, seconds: float) -> Row:
    def rate(side: Side, of: Checkout = THIS) -> float:
        with server(side, of, clients + SPARE) as (port, _):
            return c_number("load", port, "pingpong", clients, seconds, seconds=seconds)

    return Row(
        name, "messages/s", "rate", goal,
        ours=lambda of: rate("ours", of),
        c=lambda: rate(other),
    )  # fmt: skip


def silent(clients: int, most_pairs: int) -> Row:
    def until_all_have_their_echo(side: Side, of: Checkout = THIS) -> float:
        with server(side, of, clients + SPARE) as (port, pid):
            return talk_at_once(port, pid, clients)

    return Row(
        f"silent-{clients}", "s", "time", None,
        ours=lambda of: until_all_have_their_echo("ours", of),
        c=lambda: until_all_have_their_echo("aio"),
        most_pairs=most_pairs,
    )  # fmt: skip


@contextlib.contextmanager
def server(side: Side, of: Checkout, threads: int) -> Iterator[tuple[int, int]]:
    """The port and the pid of a server that listens."""
    port = free_port()
    if side == "ours":
        command = [of.python, "-X", "faulthandler", str(of.root / "demo_echo.py"), str(port)]
        command += ["--threads", str(threads), "--host", "127.0.0.1"]
    elif side == "aio":
        command = [str(compiled("echo")), str(port), str(threads)]
    else:
        command = [str(compiled("readiness")), str(port), side]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, cwd=of.root
        )
        assert process.stdin is not None
        try:
            wait_until_it_listens(process, port)
            yield port, process.pid
            process.stdin.write(b"exit\n")
            process.stdin.flush()
            if process.wait(END) != 0:
                raise ProgramError("'exit' should end it with status 0")
        except subprocess.TimeoutExpired:
            raise ProgramError(
                f"{side}: the server did not end within {END:.0f} s of 'exit'"
            ) from None
        except (ProgramError, BrokenPipeError) as error:
            raise ProgramError(
                f"{side}: {error}; the server: {last_words(process, errors)}"
            ) from None
        finally:
            process.kill()
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def last_words(process: subprocess.Popen[bytes], errors: TextIO) -> str:
    try:
        status = ending(process.wait(1.0))  # one that crashes may still be writing why
    except subprocess.TimeoutExpired:
        status = "still running"
    errors.seek(0)
    return f"{status}\n{errors.read()[-2000:]}".strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise ProgramError(f"no one listens on port {port}")


def talk_at_once(port: int, server_pid: int, clients: int) -> float:
    """Seconds from the first word until every one of the silent clients has its echo."""
    load = subprocess.Popen(
        [str(compiled("load")), str(port), "silent", str(clients)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert load.stdout is not None
    try:
        if load.stdout.readline() != "connected\n":
            raise ProgramError(f"load: {load.communicate()[1].strip()}")
        wait_until_held(server_pid, clients)
        out, err = load.communicate("go\n", timeout=ACCEPT)
        if load.returncode != 0:
            raise ProgramError(f"{err.strip()} ({ending(load.returncode)})")
        return float(out)
    except subprocess.TimeoutExpired:
        raise ProgramError(f"load: not every client had its echo after {ACCEPT:.0f} s") from None
    finally:
        load.kill()
        load.communicate()


def wait_until_held(pid: int, clients: int) -> None:
    """A connection is held when a helper thread of the server is blocked in its read."""
    deadline = time.monotonic() + ACCEPT
    while (threads := thread_count(pid)) < clients + 2:  # and one reads standard input, one is main
        if time.monotonic() > deadline:
            raise ProgramError(f"the server has {threads} threads for {clients} silent clients")
        time.sleep(0.1)
    time.sleep(1.0)  # the last accept is through, threads that only linger have gone


def thread_count(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
    except (FileNotFoundError, StopIteration):
        raise ProgramError("the server has ended") from None
