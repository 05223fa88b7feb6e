"""Descriptors: the right file, and nobody notices that we were there."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import resource
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from adapters import Library, flushed, settled, task

from facts import Wrong, same


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def locked(path: str) -> bool:
    """Whether another process finds the file locked."""
    probe = (
        "import fcntl, os, sys;"
        "fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    command = [sys.executable, "-c", probe, path]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode != 0


def close_in_flight(library: Library) -> None:
    """close() with writes in flight: what they wrote is in the file, and in no other one."""
    size, n = 1 << 16, 100

    async def main() -> int:
        file = await library.open("first", "wb")
        writes = [task(file.write(b"1" * size)) for _ in range(n)]
        await asyncio.sleep(0)
        with contextlib.suppress(OSError, ValueError):
            await file.close()
        others = [os.open("second", os.O_RDWR | os.O_CREAT) for _ in range(8)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        await asyncio.sleep(0.2)
        for other in others:
            os.close(other)
        return sum(not isinstance(result, BaseException) for result in results)

    well = library.run(main())
    if strays := os.path.getsize("second"):
        raise Wrong(f"{strays >> 10} KiB in another file")
    there = os.path.getsize("first")
    if there < well * size:
        raise Wrong(f"{well} writes say ok, {there // size} are there")


def number_reused(library: Library) -> None:
    """Requests on a descriptor never reach a later file with the same number."""
    size, n = 1 << 16, 200

    async def main() -> int:
        first = os.open("first", os.O_RDWR | os.O_CREAT)
        writes = [task(library.pwrite(first, b"1" * size, i * size)) for i in range(n)]
        await asyncio.sleep(0)
        second = os.open("second", os.O_RDWR | os.O_CREAT)
        os.dup2(second, first)
        results = await asyncio.gather(*writes, return_exceptions=True)
        await asyncio.sleep(0.2)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, OSError):
                raise result
        return results.count(size)

    well = library.run(main())
    if strays := os.path.getsize("second"):
        raise Wrong(f"{strays >> 10} of {n * size >> 10} KiB in another file")
    there = Path("first").read_bytes().count(b"1") // size
    if there < well:
        raise Wrong(f"{well} writes say ok, {there} are there")


def record_lock(library: Library) -> None:
    """Reads and writes of an open file leave the program's record lock on it."""
    Path("file").write_bytes(bytes(1 << 20))

    async def main() -> None:
        file = await library.open("file", "r+b")
        fd = await settled(file.fileno())
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        await asyncio.gather(*(task(file.read(65536)) for _ in range(8)))
        await file.write(b"x")
        await flushed(file)
        if not locked("file"):
            raise Wrong("the lock is gone")
        await file.close()

    library.run(main())


def record_lock_of_a_descriptor(library: Library) -> None:
    """Requests on a bare descriptor leave the program's record lock on its file."""
    Path("file").write_bytes(bytes(1 << 20))

    async def main() -> None:
        fd = os.open("file", os.O_RDWR)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        await asyncio.gather(*(task(library.pread(fd, 4096, i << 16)) for i in range(16)))
        if not locked("file"):
            raise Wrong("the lock is gone")

    library.run(main())


def blocking_flag(library: Library) -> None:
    """A read of a pipe leaves O_NONBLOCK alone, which all who share the pipe would notice."""

    async def main() -> None:
        r, w = os.pipe()
        file = await library.open_descriptor(r, "rb")
        reader = task(file.readline())
        await asyncio.sleep(0.1)
        during = os.get_blocking(r)
        os.write(w, b"line\n")
        same(await asyncio.wait_for(reader, 5), b"line\n", "line")
        if not os.get_blocking(r):
            raise Wrong("the pipe is O_NONBLOCK afterwards")
        if not during:
            raise Wrong("the pipe is O_NONBLOCK while a read waits")

    library.run(main())


def end_of_file(library: Library) -> None:
    """The reader of a pipe sees its end once the writer's descriptor is closed with os.close()."""

    async def main() -> None:
        r, w = os.pipe()
        os.set_blocking(r, False)
        file = await library.open_descriptor(w, "wb")
        await file.write(b"all of it")
        await file.flush()
        os.close(w)
        same(os.read(r, 100), b"all of it", "bytes")
        try:
            same(os.read(r, 100), b"", "end of the file")
        except BlockingIOError:
            raise Wrong("somebody holds the pipe open") from None

    library.run(main())


def many_files(library: Library) -> None:
    """With a limit of 256 descriptors, at least 220 files can be open."""
    Path("file").write_bytes(b"x")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    async def main() -> None:
        files: list[Any] = []
        try:
            while len(files) < 220:
                files.append(await library.open("file", "rb"))
        except OSError as error:
            raise Wrong(f"{len(files)} files, then {error.strerror}") from None
        for file in files:
            same(await file.read(), b"x", "content")
        for file in files:
            await file.close()

    library.run(main())


def nothing_left_open(library: Library) -> None:
    """Failed opens, closed files and files that were dropped leave no descriptor open."""
    Path("file").write_bytes(b"x")
    warnings.simplefilter("ignore", ResourceWarning)

    async def once() -> None:
        for path, mode in (("missing", "rb"), (".", "rb"), ("file", "xb"), ("file/x", "wb")):
            try:
                file = await library.open(path, mode)
            except OSError:
                continue
            await file.close()  # a directory, or one that opens later
        file = await library.open("file", "rb")
        await file.read()
        await file.close()
        await library.open("file", "rb")

    async def main() -> int:
        await once()
        await asyncio.sleep(0.1)
        gc.collect()
        before = open_descriptors()
        for _ in range(20):
            await once()
        gc.collect()
        await asyncio.sleep(0.3)
        return open_descriptors() - before

    if (left := library.run(main())) > 3:
        raise Wrong(f"{left} descriptors are left after 20 rounds")


def not_inherited(library: Library) -> None:
    """A program that is started inherits no open file."""
    Path("file").write_bytes(b"x")

    async def main() -> str:
        file = await library.open("file", "rb")
        await file.read(1)
        listing = "import os; print(*(os.readlink(f'/proc/self/fd/{n}') for n in range(3, 99)"
        listing += " if os.path.exists(f'/proc/self/fd/{n}')), sep='\\n')"
        command = [sys.executable, "-c", listing]
        started = subprocess.run(command, capture_output=True, text=True, close_fds=False)
        await file.close()
        return started.stdout

    if os.path.abspath("file") in library.run(main()).split("\n"):
        raise Wrong("the file is open in the program")


FACTS = [
    close_in_flight, number_reused, record_lock, record_lock_of_a_descriptor, blocking_flag,
    end_of_file, many_files, nothing_left_open, not_inherited,
]  # fmt: skip
