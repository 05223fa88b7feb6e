"""refused.py ENOSYS|EPERM COMMAND...: runs a command that may use neither openat2() nor preadv2().

Containers whose seccomp profile is older than these calls behave so. The filter answers with the
given error, and holds for whatever the command starts. Exit status 77: this system has no filters.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

OPENAT2 = 437  # on every machine that came after it
PREADV2 = {"x86_64": 327, "aarch64": 286}
NO_NEW_PRIVS, SET_SECCOMP, MODE_FILTER = 38, 22, 2  # of prctl(2)
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ, BPF_RET
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER = 0  # where struct seccomp_data has the number of the call
UNSUPPORTED = 77


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refuse(numbers: list[int], error: int) -> None:
    """From now on these calls of the process fail with ``error``."""
    steps = [(LOAD, 0, 0, NUMBER)]
    for i, number in enumerate(numbers):
        steps.append((EQUAL, len(numbers) - i, 0, number))
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO | error)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = Program(len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (NO_NEW_PRIVS, 1, 0, 0, 0),
        (SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            print(os.strerror(ctypes.get_errno()), file=sys.stderr)
            sys.exit(UNSUPPORTED)


def main() -> None:
    _, error, *command = sys.argv
    if platform.machine() not in PREADV2:
        sys.exit(UNSUPPORTED)
    refuse([OPENAT2, PREADV2[platform.machine()]], getattr(errno, error))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
