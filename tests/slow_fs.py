"""slow_fs.py MOUNTPOINT SECONDS OPERATION...: a file system that holds operations.

- It prints "mounted", and "held OPERATION" whenever one waits. A line on standard input releases
  what waits, and all that comes later. After SECONDS it prints "gave up OPERATION" and releases
  this one, so that nobody is stuck in it for ever. The end of standard input ends the file system.
- Files live in memory. "file" is there from the beginning, 64 KiB of "x"; others can be made.
- It speaks the kernel's FUSE protocol (linux/fuse.h) on /dev/fuse by itself. mount(2) needs root,
  or a user namespace: `unshare -rm`. Exit status 77: this system does not allow it.
- Names are kept in the kernel's cache of directory entries, so an open finds its file without a
  lookup, and blocks in "open" all the same. That is the case a fast path must not fall into.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
import sys
import threading
from dataclasses import dataclass, field

LOOKUP, FORGET, GETATTR, SETATTR, UNLINK, OPEN, READ, WRITE = 1, 2, 3, 4, 10, 14, 15, 16
STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR = 17, 18, 20, 25, 26, 27, 28, 29
CREATE, INTERRUPT, BATCH_FORGET = 35, 36, 42
HELD = {
    "lookup": LOOKUP, "getattr": GETATTR, "setattr": SETATTR, "open": OPEN, "read": READ,
    "write": WRITE, "fsync": FSYNC, "flush": FLUSH, "create": CREATE, "unlink": UNLINK,
}  # fmt: skip
UNANSWERED = (FORGET, BATCH_FORGET, INTERRUPT)
ROOT = 1
SET_SIZE = 1 << 3  # FATTR_SIZE
MAX_WRITE = 128 << 10  # bytes of one request
HOUR = 3600  # seconds for which the kernel may trust names and attributes
MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
UNSUPPORTED = 77

libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Files:
    names: dict[bytes, int] = field(default_factory=lambda: {b"file": 2})
    contents: dict[int, bytearray] = field(default_factory=lambda: {2: bytearray(b"x" * 65536)})

    def make(self, name: bytes) -> int:
        node = self.names.setdefault(name, max(self.contents, default=ROOT) + 1)
        self.contents.setdefault(node, bytearray())
        return node


class Refused(Exception):
    """args[0] is the errno of the answer."""


class SlowFs:
    def __init__(self, device: int, seconds: float, operations: list[str]) -> None:
        self.device = device
        self.seconds = seconds
        self.held = {HELD[name]: name for name in operations}
        self.released = threading.Event()
        self.files = Files()
        # attributes are asked for each time only if that is to be held
        self.trusted = 0 if GETATTR in self.held else HOUR

    def serve(self) -> None:
        """Each request has a thread, so what is held holds up nothing else."""
        while True:
            try:
                request = os.read(self.device, MAX_WRITE + 4096)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                return  # unmounted
            threading.Thread(target=self.answer, args=[request], daemon=True).start()

    def answer(self, request: bytes) -> None:
        _, opcode, unique, node = struct.unpack_from("IIQQ", request)
        if opcode in UNANSWERED:
            return
        if opcode in self.held and not self.released.is_set():
            print("held", self.held[opcode], flush=True)
            if not self.released.wait(self.seconds):
                print("gave up", self.held[opcode], flush=True)
        code, body = 0, b""
        try:
            body = self.done(opcode, node, request[40:])
        except Refused as refused:
            code = refused.args[0]
        with contextlib.suppress(OSError):  # nobody waits for it any longer
            os.write(self.device, struct.pack("IiQ", 16 + len(body), -code, unique) + body)

    def done(self, opcode: int, node: int, body: bytes) -> bytes:
        files = self.files
        match opcode:
            case 26:  # INIT
                _, _, readahead, _ = struct.unpack_from("IIII", body)
                reply = struct.pack("IIIIHHI", 7, 31, readahead, 0, 256, 256, MAX_WRITE)
                return reply.ljust(64, b"\0")
            case 1:  # LOOKUP
                if (name := body.rstrip(b"\0")) not in files.names:
                    raise Refused(errno.ENOENT)
                return self.entry(files.names[name])
            case 3:  # GETATTR
                return struct.pack("QII", self.trusted, 0, 0) + self.attributes(node)
            case 4:  # SETATTR
                valid, _, _, size = struct.unpack_from("IIQQ", body)
                if valid & SET_SIZE:
                    content = files.contents[node]
                    content[size:] = bytes(max(0, size - len(content)))
                return struct.pack("QII", self.trusted, 0, 0) + self.attributes(node)
            case 10:  # UNLINK
                if files.names.pop(body.rstrip(b"\0"), None) is None:
                    raise Refused(errno.ENOENT)
                return b""
            case 14 | 27:  # OPEN, OPENDIR
                return struct.pack("QII", 0, 0, 0)
            case 15:  # READ
                _, offset, size = struct.unpack_from("QQI", body)
                return bytes(files.contents[node][offset : offset + size])
            case 16:  # WRITE
                _, offset, size = struct.unpack_from("QQI", body)
                content = files.contents[node]
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + size] = body[40 : 40 + size]
                return struct.pack("II", size, 0)
            case 17:  # STATFS
                return struct.pack("QQQQQIII", 1 << 20, 1 << 20, 1 << 20, 99, 99, 4096, 255, 0
                                   ).ljust(80, b"\0")  # fmt: skip
            case 35:  # CREATE
                made = files.make(body[16:].rstrip(b"\0"))
                return self.entry(made) + struct.pack("QII", 0, 0, 0)
            case 18 | 20 | 25 | 28 | 29:  # RELEASE, FSYNC, FLUSH, READDIR, RELEASEDIR
                return b""
        raise Refused(errno.ENOSYS)

    def entry(self, node: int) -> bytes:
        return struct.pack("QQQQII", node, 0, HOUR, self.trusted, 0, 0) + self.attributes(node)

    def attributes(self, node: int) -> bytes:
        size = len(self.files.contents.get(node, b""))
        mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o644
        times = (0, 0, 0, 0, 0, 0)
        owner = (os.getuid(), os.getgid())
        return struct.pack("6Q10I", node, size, (size + 511) // 512, *times, mode, 1, *owner,
                           0, 4096, 0)  # fmt: skip


def main() -> int:
    mountpoint, seconds, *operations = sys.argv[1:]
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        print(error, file=sys.stderr)
        return UNSUPPORTED
    options = f"fd={device},rootmode=40755,user_id={os.getuid()},group_id={os.getgid()}"
    path = os.fsencode(os.path.abspath(mountpoint))
    if libc.mount(b"slow", path, b"fuse", MS_NOSUID | MS_NODEV, options.encode()):
        print(f"mount: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
        return UNSUPPORTED
    slow = SlowFs(device, float(seconds), operations)
    threading.Thread(target=slow.serve, daemon=True).start()
    try:
        if not slow.held.keys() & {LOOKUP, GETATTR}:
            os.stat(f"{mountpoint}/file")  # its name is in the kernel's cache from now on
        print("mounted", flush=True)
        for _ in sys.stdin:
            slow.released.set()
    finally:
        slow.released.set()
        libc.umount2(path, MNT_DETACH)
    sys.stdout.flush()
    os._exit(0)  # the device closes with the process, which ends whatever still waits


if __name__ == "__main__":
    sys.exit(main())
