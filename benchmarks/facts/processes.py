"""Forks, exits, and a kernel that forbids io_uring."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path

from adapters import Library

from facts import same
from facts.programs import ended

IO_URING_SETUP = 425  # the same on every architecture


def forked_child(library: Library) -> None:
    """Files work in a forked child of a process that used some before."""
    program = """
        async def work(name):
            file = await library.open(name, "wb")
            await file.write(b"x" * 100_000)
            await file.close()
            file = await library.open(name, "rb")
            data = await file.read()
            await file.close()
            return len(data)
        run(work("parent"))
        child = os.fork()
        if not child:
            print(run(work("child")), flush=True)
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    same(ended(library, program, limit=8).stdout, "100000\n", "what the child read")


def unclosed_at_exit(library: Library) -> None:
    """What was written to a file that nobody closed is in it after a normal exit."""
    program = """
        async def main():
            global file
            file = await library.open("file", "wb")
            await file.write(b"x" * 1000)
        run(main())
    """
    ended(library, program, limit=8)
    same(len(Path("file").read_bytes()), 1000, "bytes")


def exit_in_flight(library: Library) -> None:
    """Ten programs that exit with reads and writes under way exit cleanly."""
    program = """
        open("data", "wb").write(bytes(1 << 20))
        async def main():
            files = [await library.open(f"file{i}", "wb") for i in range(10)]
            reader = await library.open("data", "rb")
            global tasks
            tasks = [task(file.write(b"x" * 100_000)) for file in files]
            tasks += [task(reader.read(10_000)) for _ in range(20)]
            await asyncio.sleep(0)
        loop = library.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        loop.run_until_complete(main())
    """
    for _ in range(10):
        ended(library, program, limit=8)


def io_uring_forbidden(library: Library) -> None:
    """The library works where io_uring is forbidden (by seccomp, as in containers)."""
    # The library was imported before: the filter must stand before its first request, not before
    # its import, and a program that is started inherits it.
    program = """
        async def main():
            file = await library.open("file", "wb")
            await file.write(b"x" * 100_000)
            await file.close()
            file = await library.open("file", "rb")
            print(len(await file.read()))
            await file.close()
        run(main())
    """
    forbid(IO_URING_SETUP, errno.EPERM)
    same(ended(library, program, limit=8).stdout, "100000\n", "bytes")


def forbid(syscall: int, error: int) -> None:
    """From now on, and in whatever is started, the system call fails."""
    filters = [
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 1, syscall),  # is it this one?
        (0x06, 0, 0, 0x00050000 | error),  # return the error
        (0x06, 0, 0, 0x7FFF0000),  # allow
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in filters))
    program = struct.pack("HxxxxxxP", len(filters), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(
        set_seccomp, filter_mode, program, 0, 0
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


FACTS = [forked_child, unclosed_at_exit, exit_in_flight, io_uring_forbidden]
