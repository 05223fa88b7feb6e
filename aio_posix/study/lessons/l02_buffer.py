"""Lesson 2: whose memory aio_buf is while the request is in flight."""

from __future__ import annotations

import ctypes
import errno
import gc
import shutil
import socket
import subprocess
import warnings
import weakref
from array import array

from aio_posix import aio_read, aio_return, aio_suspend, aiocb
from aio_posix.study import raw
from aio_posix.study.lesson import Show
from aio_posix.study.look import eventually

NUMBER = 2
ASK = "What is the `volatile void *` of aio_buf about, and who owns the buffer?"
GUESS = (
    "volatile makes it thread-safe; the cast silences the compiler; the request owns "
    "its buffer."
)
C = """
#include <aio.h>
char *cast(struct aiocb *cb) { return (char *)cb->aio_buf; }
char *bare(struct aiocb *cb) { return cb->aio_buf; }  /* warning: discards volatile */

/* The other way: never ask aio_buf, keep the buffer beside the request. */
struct client { struct aiocb cb; char buf[BUFSIZ]; };
char *kept(struct client *client) { return client->buf; }
"""
SOURCE = """
<aio.h>, struct aiocb: volatile warns that another thread writes there. It orders
nothing. What makes the bytes visible is the mutex that aio_error takes
(rt/aio_error.c). rt/aio_misc.c: handle_fildes_io passes aio_buf to pread or read as it
found it in the aiocb, however long ago that was. Nothing there owns or checks it.
"""
TRY = """
Let the size be 4 << 20. malloc takes that much straight from the kernel and free gives
it back, so the read fails with EFAULT, 14. That is the lucky case. Had anything else
been mapped there by then, the bytes would be in it.
"""


def warnings_of_c() -> int | None:
    """How many the C beside this has, if there is a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = "#include <stdio.h>\n" + C
    command = [
        compiler,
        "-std=c11",
        "-D_POSIX_C_SOURCE=200809L",
        "-fsyntax-only",
        "-xc",
        "-",
    ]
    return subprocess.run(
        command, input=program, stderr=subprocess.PIPE, text=True
    ).stderr.count("warning:")


def run(show: Show) -> None:
    count = warnings_of_c()
    show(
        "Warnings for the C beside this, one of three without a cast:",
        1 if count is None else count,
    )
    assert count in (None, 1)

    show("A C program frees its buffer too early:")
    ours, peer = socket.socketpair()
    size = 900  # small enough for malloc's cache, which gives out last what it got last
    first = raw.malloc(size)
    cb = raw.aiocb(ours.fileno(), size, address=first)
    raw.aio_read(cb)
    raw.free(first)
    second = raw.malloc(size)
    ctypes.memset(second, ord("-"), size)
    show("  another part of the program gets the same memory:", second == first)
    peer.send(b"for the first")
    eventually(lambda: raw.aio_error(cb) != errno.EINPROGRESS)
    show(
        "  and, aio_error being",
        raw.aio_error(cb),
        "- finds in it:",
        ctypes.string_at(second, 16),
    )
    assert ctypes.string_at(second, 16) == b"for the first---"

    show(
        "The binding exports the buffer, as memoryview does, for as long as glibc may"
        " write:"
    )
    buffer = bytearray(5)
    mine = aiocb(ours, buffer)
    aio_read(mine)
    try:
        buffer.extend(b"more")
    except BufferError as error:
        show("  in flight: BufferError:", error)
    assert len(buffer) == 5
    peer.send(b"hello")
    aio_suspend([mine])
    show("  aio_return:", aio_return(mine))
    buffer.extend(b" more")
    show("  afterwards:", buffer)

    show("And if the program drops request and buffer in flight:")
    forgotten = array("B", bytes(5))
    alive = weakref.ref(forgotten)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        aio_read(aiocb(ours, forgotten))
        del forgotten
        gc.collect()
    told = [one.category for one in caught]
    caught.clear()  # a warning keeps its source alive
    show(
        " ",
        *(category.__name__ for category in told),
        "- and the buffer is",
        "alive" if alive() else "gone",
    )
    assert (told, alive() is not None) == ([ResourceWarning], True)
    peer.send(b"hello")
    eventually(lambda: alive() is None)
    show("  once glibc is done with it:", "alive" if alive() else "gone")
    assert alive() is None
