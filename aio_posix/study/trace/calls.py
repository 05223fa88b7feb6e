"""What strace writes, taken from a named pipe while it does, because a file would grow without
bound.

strace blocks while the pipe is full, so the reader never stops. It throws away what is too much.
"""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path

MOST = 256 << 20  # bytes, some two million system calls
PIECE = 1 << 16  # bytes of one read
PATIENCE = 100  # milliseconds between two looks whether strace has ended


class Calls:
    """begins with the pipe at `path`; `end`, once strace has ended, gives what it wrote."""

    def __init__(self, path: Path) -> None:
        self.full = False
        self._pieces: list[bytes] = []
        self._over = threading.Event()
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # does not wait for a writer
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def end(self) -> str:
        """Whole lines, without the last when there was too much."""
        self._over.set()
        self._thread.join()
        os.close(self._fd)
        text = b"".join(self._pieces).decode(errors="replace")
        return text[: text.rfind("\n") + 1] if self.full else text

    def _read(self) -> None:
        size = 0
        ready = select.poll()
        ready.register(self._fd, select.POLLIN)
        while True:
            over = self._over.is_set()  # before the read, as what was written until then is there
            ready.poll(0 if over else PATIENCE)
            try:
                piece = os.read(self._fd, PIECE)
            except BlockingIOError:
                piece = b""
            if piece and size < MOST:
                size += len(piece)
                self._pieces.append(piece)
            elif piece:
                self.full = True
            elif over:
                return
            else:
                self._over.wait(0.01)  # nobody has opened it yet, or nobody writes
