"""The same echo on select, poll, epoll, asyncio, libaio, and on POSIX AIO in three ways.

Each takes a listening socket and serves until so many clients have come and gone. A server gives
back what it has read before it reads that client again. `python -m aio_posix.study.echoes.servers
NAME CLIENTS` prints its port.
"""

from __future__ import annotations

import asyncio
import errno
import queue
import select
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from aio_posix import (
    SIGEV_THREAD,
    CompletionQueue,
    aio_error,
    aio_init,
    aio_read,
    aio_return,
    aio_suspend,
    aiocb,
    sigevent,
)
from aio_posix.study import syscalls

SIZE = 4096  # bytes read at once


def by_select(listener: socket.socket, clients: int) -> None:
    files = [listener]
    while clients:
        for ready in select.select(files, [], [])[0]:
            if ready is listener:
                files.append(listener.accept()[0])
            elif not echo(ready):
                files.remove(ready)
                clients -= 1


def by_poll(listener: socket.socket, clients: int) -> None:
    by_readiness(select.poll(), listener, clients)


def by_epoll(listener: socket.socket, clients: int) -> None:
    with select.epoll() as epoll:
        by_readiness(epoll, listener, clients)


def by_readiness(poll: Any, listener: socket.socket, clients: int) -> None:
    files = {listener.fileno(): listener}
    poll.register(listener, select.POLLIN)
    while clients:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                client = listener.accept()[0]
                files[client.fileno()] = client
                poll.register(client, select.POLLIN)
            elif not echo(files[fd], poll.unregister):
                del files[fd]
                clients -= 1


def echo(client: socket.socket, before_close: Callable[[int], object] = id) -> bool:
    """Gives back what a client has sent. Whether it had sent anything and is still there."""
    data = client.recv(SIZE)
    if data:
        client.sendall(data)
    else:
        before_close(client.fileno())
        client.close()
    return bool(data)


def by_asyncio(listener: socket.socket, clients: int) -> None:
    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

        def connection_lost(self, error: Exception | None) -> None:
            gone.release()

    async def serve() -> None:
        async with await asyncio.get_running_loop().create_server(Echo, sock=listener):
            for _ in range(clients):
                await gone.acquire()

    gone = asyncio.Semaphore(0)
    asyncio.run(serve())


def by_libaio(listener: socket.socket, clients: int) -> None:
    libaio = syscalls.library()

    def wait_for(file: socket.socket) -> None:  # once, so it has to be asked for again
        block = libaio.AIOBlock(
            libaio.AIOBLOCK_MODE_POLL, target_file=file, event_mask=select.POLLIN
        )
        context.submit([block])

    with libaio.AIOContext(clients + 1) as context:
        wait_for(listener)
        while clients:
            for block, _, _ in context.getEvents():
                file = block.target_file
                if file is listener:
                    wait_for(listener.accept()[0])
                elif not echo(file):
                    clients -= 1
                    continue
                wait_for(file)


def by_callback(listener: socket.socket, clients: int) -> None:
    gone = threading.Semaphore(0)

    def handler(cb: aiocb) -> None:  # in a thread of its own for every message
        if not echo_read(cb):
            gone.release()

    told = sigevent(SIGEV_THREAD, sigev_notify_function=handler)
    for_each_client(
        listener,
        clients,
        lambda client: aio_read(aiocb(client, bytearray(SIZE), aio_sigevent=told)),
    )
    for _ in range(clients):
        gone.acquire()


def by_queue(listener: socket.socket, clients: int) -> None:
    with CompletionQueue() as completed:
        told = completed.sigevent()
        for_each_client(
            listener,
            clients,
            lambda client: aio_read(aiocb(client, bytearray(SIZE), aio_sigevent=told)),
        )
        while clients:
            for cb in completed.get():
                clients -= not echo_read(cb)


def by_suspend(listener: socket.socket, clients: int) -> None:
    fresh: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
    # a wait that is on cannot take in another request, so one byte ends it
    here, there = socket.socketpair()
    bell = aiocb(here, bytearray(1))

    def start(client: socket.socket) -> None:
        fresh.put(client)
        there.send(b"!")

    for_each_client(listener, clients, start)
    aio_read(bell)
    reads: list[aiocb] = []
    while clients:
        aio_suspend([bell, *reads])
        if aio_error(bell) == 0:
            reads.append(aiocb(fresh.get(), bytearray(SIZE)))
            aio_return(bell)
            aio_read(bell)
            aio_read(reads[-1])
        for cb in [cb for cb in reads if aio_error(cb) != errno.EINPROGRESS]:
            if not echo_read(cb):
                reads.remove(cb)
                clients -= 1
    there.close()
    aio_suspend([bell])


def echo_read(cb: aiocb) -> bool:
    """Gives back what a client has sent and asks for more. Whether it had sent anything and is
    still there.
    """
    n = aio_return(cb)
    if n:
        cb.aio_fildes.sendall(cb.aio_buf[:n])
        aio_read(cb)
    else:
        cb.aio_fildes.close()
    return n > 0


def for_each_client(
    listener: socket.socket, clients: int, start: Callable[[socket.socket], object]
) -> None:
    """The read of a listening socket fails at once, and its notification thread may block in accept
    (lesson 9).
    """
    aio_init(aio_threads=clients + 2)  # a silent client holds one

    def accept(cb: aiocb) -> None:
        for _ in range(clients):
            start(listener.accept()[0])

    aio_read(
        aiocb(
            listener,
            bytearray(1),
            aio_sigevent=sigevent(SIGEV_THREAD, sigev_notify_function=accept),
        )
    )


SERVERS: dict[str, Callable[[socket.socket, int], None]] = {
    "select": by_select,
    "poll": by_poll,
    "epoll": by_epoll,
    "asyncio": by_asyncio,
    "libaio": by_libaio,
    "aio callback": by_callback,
    "aio queue": by_queue,
    "aio_suspend": by_suspend,
}


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0), backlog=socket.SOMAXCONN) as listening:
        print(listening.getsockname()[1], flush=True)
        SERVERS[sys.argv[1]](listening, int(sys.argv[2]))
