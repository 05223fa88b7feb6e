"""An echo server on POSIX AIO, after the design of a C program of 2016.

lio_listio starts two reads, of standard input and of the listening socket. The main thread sleeps.
Everything else happens in handler(), which glibc calls in a new thread for every completion:

    stdin      "exit" or end of file ends the server, otherwise the read is started again
    listener   accept a client, start to read from it, and start the listener's read again
    client     nothing was read: close. Otherwise write it back, print it, and read again

The read of a listening socket fails at once (ENOTCONN), so the handler runs at once and blocks in
accept(2). The design works by accident. A blocked read holds a thread of glibc's pool, which is
made as large as the descriptor table. With 20, as in C, the 20th silent client gets no service.
"""

import argparse
import contextlib
import errno
import os
import resource
import signal
import socket
import struct
import sys
import threading

from aio_posix import (
    LIO_NOWAIT,
    LIO_READ,
    SIGEV_THREAD,
    aio_init,
    aio_read,
    aio_return,
    aiocb,
    lio_listio,
    sigevent,
)

BUFSIZ, STDIN_FILENO = 8192, 0  # as in <stdio.h> and <unistd.h>
MOST_THREADS = 30_000  # each has two of vm.max_map_count's 65,530 mappings, and pid_max is 32,768
PATIENCE = struct.pack("ll", 10, 0)  # struct timeval, for which a broadcast waits for one client
RED, GREEN, PLAIN = "\x1b[0;31m", "\x1b[0;32m", "\x1b[0m"
clients: set[socket.socket] = set()
changed = threading.Condition()  # guards clients
done = threading.Event()
listener: socket.socket
broadcast = terminal = colours = False


def put(data: bytes | bytearray) -> None:
    try:  # noqa: SIM105 - suppress() would be a tenth of what a message costs
        os.write(1, data)  # at once, whatever stdout is
    except OSError:
        pass  # nobody reads it any more, but the clients are still there


def say(text: str, colour: str = "") -> None:
    put((f"{colour}[*] {text}{PLAIN}\n" if colour and colours else f"[*] {text}\n").encode())


def visible(data: bytearray) -> bytes:
    """What a client sent, for a terminal, which would obey the control characters in it."""
    text = data.decode(errors="backslashreplace")
    shown = (c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
    return "".join(shown).encode(sys.stdout.encoding, "backslashreplace")


def set_aiocb(fd: int | socket.socket) -> aiocb:
    return aiocb(fd, bytearray(BUFSIZ), aio_sigevent=event, aio_lio_opcode=LIO_READ)


def handler(cb: aiocb) -> None:
    try:
        buflen = aio_return(cb)
    except OSError as error:
        buflen = -(error.errno or errno.EIO)
    if cb.aio_fildes == STDIN_FILENO:
        # exit
        if buflen == 0:
            say("standard input has ended, and so does the server (--no-stdin serves without it)")
            done.set()
        elif buflen > 0 and b"exit" in cb.aio_buf[:buflen].splitlines():
            done.set()
        elif buflen > 0:
            cb.aio_offset += buflen  # of a file, and elsewhere it means nothing
            aio_read(cb)
        elif -buflen not in (errno.EIO, errno.EAGAIN):
            say(f"no standard input ({os.strerror(-buflen)}), so Ctrl-C ends the server")
        elif not done.wait(1):  # a terminal that has us in the background, or O_NONBLOCK
            aio_read(cb)
    elif cb.aio_fildes is listener:
        # accept
        client = accept()
        if client is not None:
            say("accept: new client" if broadcast else "accept", GREEN)
            if broadcast:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, PATIENCE)
            with changed:
                clients.add(client)
            aio_read(cb)
            aio_read(set_aiocb(client))
    elif buflen <= 0 or not echo(cb.aio_fildes, cb.aio_buf[:buflen]):
        # close
        with changed:
            clients.discard(cb.aio_fildes)
            cb.aio_fildes.close()
            changed.notify()
        say("close: delete client" if broadcast else "close", RED)
    else:
        aio_read(cb)


event = sigevent(SIGEV_THREAD, sigev_notify_function=handler)


def accept() -> socket.socket | None:
    said = False
    while not done.is_set():
        try:
            return listener.accept()[0]
        except ConnectionAbortedError:
            continue
        except OSError as error:
            if not (said or done.is_set()):
                say(f"accept: {error.strerror}: waiting for a client to leave")
            said = True
            with changed:
                changed.wait(0 if done.is_set() else 1)
    return None


def echo(client: socket.socket, data: bytearray) -> bool:
    try:
        if broadcast:
            send_to_all(data)
        else:
            client.sendall(data)
    except OSError:  # reset, or gone
        return False
    put(visible(data) if terminal else data)
    return True


def send_to_all(data: bytearray) -> None:
    with changed:
        for client in clients:
            try:
                client.sendall(data)
            except OSError:  # reset, gone, or it does not read: then nobody waits for it again
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)  # its own handler closes it


def main() -> None:
    global listener, broadcast, terminal, colours
    parser = argparse.ArgumentParser(description="Echo server on POSIX AIO.")
    parser.add_argument("port", metavar="PORT", type=int, help="0 lets the system choose")
    parser.add_argument("-eb", action="store_true", help="echo broadcast: to all clients")
    parser.add_argument("--threads", type=int, metavar="N", help="default: the descriptor limit")
    parser.add_argument("--host", default="0.0.0.0", help="default: all of IPv4; :: is IPv6 too")
    parser.add_argument("--no-stdin", action="store_true", help="serve until Ctrl-C or SIGTERM")
    args = parser.parse_args()
    if not 0 <= args.port <= 65535:
        parser.error(f"argument PORT: {args.port} is not in 0..65535")

    while (fd := os.open(os.devnull, os.O_WRONLY)) <= 2:
        pass  # a standard stream was closed, and its number would become a client's
    os.close(fd)
    broadcast, terminal = args.eb, os.isatty(1)
    colours = terminal and not os.environ.get("NO_COLOR")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    enough = MOST_THREADS if hard == resource.RLIM_INFINITY else min(hard, MOST_THREADS)
    try:
        aio_init(aio_threads=enough if args.threads is None else args.threads)
    except (OSError, ValueError) as error:
        parser.error(f"argument --threads: {error}")
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    both = args.host == "::" and socket.has_dualstack_ipv6()
    try:
        at = (args.host, args.port)
        listener = socket.create_server(at, family=family, backlog=4096, dualstack_ipv6=both)
    except OSError as error:
        blamed = error.errno in (errno.EADDRINUSE, errno.EACCES)
        named = f"port {args.port}" if blamed else f"--host {args.host}"
        sys.exit(f"demo_echo: {named}: {str(error.strerror).partition(' (')[0]}")
    for signo in (signal.SIGINT, signal.SIGTERM):  # a thread, because wait() may hold done's lock
        signal.signal(signo, lambda *_: threading.Thread(target=done.set).start())
    host, port = listener.getsockname()[:2]
    say(f"listening on {host}{' (IPv4 too)' if both else ''} port {port}")
    say("to end it: Ctrl-C" if args.no_stdin else 'to end it: "exit" and Enter, or Ctrl-C')

    stdin = None if args.no_stdin else set_aiocb(STDIN_FILENO)  # lio_listio skips None
    lio_listio(LIO_NOWAIT, [stdin, set_aiocb(listener)])
    while not done.wait(0.5):
        pass  # Python notices a signal that came just before a wait when that has ended
    listener.shutdown(socket.SHUT_RDWR)  # lets go of the handler that is blocked in accept


if __name__ == "__main__":
    main()
