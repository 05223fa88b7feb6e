"""Errors, and files that are not what they seem."""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
from pathlib import Path
from typing import Any

from adapters import Absent, Library, flushed, settled

from facts import Wrong, same

GIB = 1 << 30


def full_disk(library: Library) -> None:
    """A full disk is reported by write(), flush() or close(), for small and large writes."""

    async def main(size: int) -> None:
        try:
            file = await library.open("/dev/full", "wb")
            try:
                await file.write(b"x" * size)
                await flushed(file)
            finally:
                await file.close()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return
        raise Wrong(f"{size} bytes were lost in silence")

    for size in (10, 100_000, 1 << 20):
        library.run(main(size))


def failed_flush(library: Library) -> None:
    """The next flush writes once what a failed flush could not write."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def main() -> int:
        failures = 0
        file = await library.open("log", "ab")
        limit(600)
        for piece in (b"A" * 1000, b""):
            try:
                if piece:
                    await file.write(piece)
                await flushed(file)
            except OSError:
                failures += 1
        limit(resource.RLIM_INFINITY)
        await flushed(file)
        await file.write(b"B" * 10)
        await file.close()
        return failures

    failures = library.run(main())
    data = Path("log").read_bytes()
    if not failures:
        raise Wrong("the failure was not reported")
    if data != b"A" * 1000 + b"B" * 10:
        raise Wrong(f"{data.count(b'A')} of 1,000 bytes, {data.count(b'B')} of 10")


def proc_file(library: Library) -> None:
    """read() returns all of a file in /proc, whose size is given as 0."""

    async def main() -> list[bytes]:
        found = []
        for path in ("/proc/self/status", "/proc/kallsyms", "/proc/cpuinfo"):
            file = await library.open(path, "rb")
            found.append(await file.read())
            await file.close()
        return found

    status, symbols, processors = library.run(main())
    if not (status.startswith(b"Name:") and b"\nThreads:" in status):
        raise Wrong(f"{len(status)} bytes of /proc/self/status")
    same(len(symbols), len(Path("/proc/kallsyms").read_bytes()), "bytes of /proc/kallsyms")
    same(
        processors.count(b"\nmodel name"),
        Path("/proc/cpuinfo").read_bytes().count(b"\nmodel name"),
        "processors of /proc/cpuinfo",
    )


def three_gib_read(library: Library) -> None:
    """read() returns all of a file of 3 GiB (one call of Linux moves at most 2 GiB)."""
    with open("file", "wb") as sparse:
        sparse.write(b"first")
        sparse.seek(3 * GIB - 4)
        sparse.write(b"last")

    async def main() -> Any:
        file = await library.open("file", "rb")
        data = await file.read()
        await file.close()
        return data

    data = library.run(main())
    same(len(data), 3 * GIB, "bytes")
    same((data[:5], data[-4:]), (b"first", b"last"), "ends")


def three_gib_write(library: Library) -> None:
    """write() writes all of 3 GiB."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "."
    name = f"{where}/three-gib-{os.getpid()}"

    async def main() -> None:
        file = await library.open(name, "wb")
        await file.write(bytes(3 * GIB))
        await file.close()

    try:
        library.run(main())
        same(os.path.getsize(name), 3 * GIB, "bytes in the file")
    finally:
        Path(name).unlink(missing_ok=True)


def errors_of_the_built_in(library: Library) -> None:
    """A wrong mode, a missing file and a closed file raise what the built-in raises."""
    Path("file").write_bytes(b"x")

    async def attempt(path: str, mode: str, *calls: tuple[Any, ...]) -> type[BaseException] | None:
        file = None
        try:
            file = await library.open(path, mode)
            for method, *args in calls:
                await settled(getattr(file, method)(*args))
        except (Absent, AttributeError):
            raise
        except Exception as error:
            return type(error)
        finally:
            if file is not None:
                await file.close()
        return None

    for expected, *how in (
        (FileNotFoundError, "missing", "rb"),
        (IsADirectoryError, ".", "rb"),
        (FileExistsError, "file", "xb"),
        (ValueError, "file", "rw"),
        (io.UnsupportedOperation, "file", "rb", ("write", b"x")),
        (io.UnsupportedOperation, "new", "wb", ("read",)),
        (ValueError, "file", "rb", ("close",), ("read",)),
        (TypeError, "new", "w", ("write", b"bytes")),
    ):
        got = library.run(attempt(*how))
        if got is None or not issubclass(got, expected):
            its = "nothing" if got is None else got.__name__
            raise Wrong(f"{how[0]} {how[1]} {how[2:]}: {its}, not {expected.__name__}")


FACTS = [
    full_disk, failed_flush, proc_file, three_gib_read, three_gib_write, errors_of_the_built_in,
]  # fmt: skip
