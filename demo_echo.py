"""An echo server on POSIX AIO, after the design of a C program of 2016.

lio_listio starts two reads, of standard input and of the listening socket; the main thread then
sleeps.  Everything else happens in handler(), which glibc calls in a new thread for every
completion:

    stdin     "exit" or end of file ends the server, otherwise the read is started again listener  a
    read of a listening socket fails at once (ENOTCONN), so the handler runs at once: and accept(2)
    blocks
              in it, in the notification thread.  By accident that is a way to be told of clients
    client    nothing read: close.  Otherwise write it back, print it, read again

A blocked read holds a thread of glibc's pool, so the pool is made as large as the descriptor table;
--threads 20 is what the C program had: standard input holds one of them, and the 20th silent client
gets no service.
"""

import argparse
import contextlib
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

BUFSIZ = 8192  # as in <stdio.h>
STDIN_FILENO = 0
MOST_THREADS = (
    30_000  # two mappings each, of the 65,530 that vm.max_map_count allows; below pid_max, 32,768
)

PATIENCE = struct.pack("ll", 10, 0)  # struct timeval: a broadcast waits so long for one client
clients: set[socket.socket] = set()
changed = threading.Condition()  # guards clients
done = threading.Event()
listener: socket.socket
broadcast = False


def say(data: bytes | bytearray) -> None:
    try:  # noqa: SIM105 - suppress() would be a tenth of what a message costs
        os.write(1, data)  # at once, whatever stdout is
    except OSError:
        pass  # nobody reads it any more; the clients are still there


def set_aiocb(fd: int | socket.socket) -> aiocb:
    return aiocb(fd, bytearray(BUFSIZ), aio_sigevent=event, aio_lio_opcode=LIO_READ)


def handler(cb: aiocb) -> None:
    try:
        buflen = aio_return(cb)
    except OSError:
        buflen = -1
    if cb.aio_fildes == STDIN_FILENO:
        # exit
        if buflen == 0 or (buflen > 0 and b"exit" in cb.aio_buf[:buflen].splitlines()):
            done.set()
        elif buflen > 0:  # unreadable (a terminal in the background): serve without it
            cb.aio_offset += buflen  # of a file; elsewhere it means nothing
            aio_read(cb)
    elif cb.aio_fildes is listener:
        # accept
        client = accept()
        if client is not None:
            say(b"\x1b[0;32m[*] accept%b\x1b[0m\n" % (b": new client" if broadcast else b""))
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
        say(b"\x1b[0;31m[*] close%b\x1b[0m\n" % (b": delete client" if broadcast else b""))
    else:
        aio_read(cb)


event = sigevent(SIGEV_THREAD, sigev_notify_function=handler)


def accept() -> socket.socket | None:
    told = False
    while not done.is_set():
        try:
            return listener.accept()[0]
        except ConnectionAbortedError:
            continue
        except OSError as error:
            if done.is_set():
                break
            if not told:
                say(f"[*] accept: {error.strerror}: waiting for a client to leave\n".encode())
                told = True
            with changed:
                changed.wait(1)
    return None


def echo(client: socket.socket, data: bytearray) -> bool:
    try:
        if broadcast:
            tell_everybody(data)
        else:
            client.sendall(data)
    except OSError:  # reset, or gone
        return False
    say(data)
    return True


def tell_everybody(data: bytearray) -> None:
    with changed:
        for client in clients:
            try:
                client.sendall(data)
            except OSError:  # reset, gone, or it does not read: then nobody waits for it again
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)  # its own handler closes it


def main() -> int:
    global listener, broadcast
    parser = argparse.ArgumentParser(
        description="Echo server on POSIX AIO; 'exit' on standard input ends it."
    )
    parser.add_argument("port", type=int, help="TCP port; 0 lets the system choose")
    parser.add_argument("-eb", action="store_true", help="echo broadcast: to all clients")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="glibc's pool; default: the descriptor limit"
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: all)")
    args = parser.parse_args()
    broadcast = args.eb

    for fd in range(3):  # one that is closed would become a client's
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_WRONLY)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    enough = MOST_THREADS if hard == resource.RLIM_INFINITY else min(hard, MOST_THREADS)
    try:
        aio_init(aio_threads=enough if args.threads is None else args.threads)
        family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
        listener = socket.create_server(
            (args.host, args.port), family=family, backlog=socket.SOMAXCONN
        )
    except (OSError, OverflowError, ValueError) as error:
        print(
            f"demo_echo: cannot serve port {args.port} of {args.host or 'all addresses'}: {error}",
            file=sys.stderr,
        )
        return 1
    signal.signal(signal.SIGINT, lambda *_: done.set())
    say("[*] listening on {} port {}\n".format(*listener.getsockname()).encode())

    lio_listio(LIO_NOWAIT, [set_aiocb(STDIN_FILENO), set_aiocb(listener)])
    done.wait()
    listener.shutdown(socket.SHUT_RDWR)  # lets go of the handler that is blocked in accept
    return 0


if __name__ == "__main__":
    sys.exit(main())
