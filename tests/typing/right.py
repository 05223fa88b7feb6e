"""A program without a mistake: type checkers find none."""

from __future__ import annotations

import array
import asyncio
import ctypes
import mmap
import os
import socket
import tempfile

import aio_posix
import aio_posix.asyncio
from aio_posix import (
    LIO_NOWAIT,
    LIO_READ,
    SIGEV_SIGNAL,
    SIGEV_THREAD,
    CancelResult,
    CompletionQueue,
    aio_cancel,
    aio_error,
    aio_fsync,
    aio_init,
    aio_read,
    aio_return,
    aio_suspend,
    aio_write,
    aiocb,
    lio_listio,
    sigevent,
    sigwaitinfo,
)


def called(cb: aiocb) -> None:
    print(aio_return(cb))


def callbacks(connection: socket.socket) -> None:
    aio_init(aio_threads=30)
    event = sigevent(SIGEV_THREAD, sigev_notify_function=called)
    with tempfile.TemporaryFile() as file:
        for fd in (0, file, connection):
            cb = aiocb(fd, bytearray(10), 4096, aio_sigevent=event)
            cb.aio_nbytes = 5
            cb.aio_nbytes = cb.aio_nbytes + 1
            cb.aio_offset += cb.aio_nbytes
            cb.aio_buf = memoryview(b"read or written")
            aio_read(cb)
        aio_write(aiocb(file, b"bytes are written only"))
        aio_fsync(os.O_DSYNC, aiocb(file))


def lists(fd: int) -> int:
    queue = CompletionQueue()
    cbs = [
        aiocb(fd, bytearray(8), aio_lio_opcode=LIO_READ),
        aiocb(fd, array.array("i", [1]), aio_lio_opcode=LIO_READ),
        aiocb(fd, mmap.mmap(-1, 4096), aio_lio_opcode=LIO_READ),
        aiocb(fd, memoryview(bytearray(1)), aio_lio_opcode=LIO_READ),
        aiocb(fd, (ctypes.c_int * 4)(), aio_lio_opcode=LIO_READ),
    ]
    lio_listio(LIO_NOWAIT, [*cbs, None], queue.sigevent("the list"))
    done: bool = aio_suspend([cbs[0], None], timeout=1.5)
    for value in queue.get(0.5):
        print(value, done)
    found: CancelResult = aio_cancel(fd, cbs[0])
    signalled = sigwaitinfo([10], 1.0)
    if signalled is not None:
        print(signalled.si_value, sigevent(SIGEV_SIGNAL, sigev_signo=10))
    return aio_error(cbs[0]) + found


async def awaited(path: str) -> tuple[bytes, str]:
    async with aio_posix.asyncio.open(path, "rb") as file, aio_posix.asyncio.open(path) as text:
        data: bytes = await file.read(10)
        line: str = await text.readline()
        async for line in text:
            print(line)
    fd = os.open(path, os.O_RDWR)
    buffer = bytearray(10)
    count: int = await aio_posix.asyncio.readinto(fd, buffer, 0)
    count += await aio_posix.asyncio.write(fd, b"bytes", 0)
    data += await aio_posix.asyncio.read(fd, count, 0)
    await aio_posix.asyncio.fsync(fd)
    return data, line


print(lists(0), asyncio.run(awaited(__file__)), aio_posix.__version__)
