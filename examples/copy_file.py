"""copy_file.py SOURCE TARGET copies a file, eight blocks in flight, with a progress bar.

Each of eight requests reads a block, writes it at the same place, and takes the next block. No
thread of Python is needed, and the file never has to fit into memory.
"""

import itertools
import os
import shutil
import sys

from aio_posix import CompletionQueue, aio_read, aio_return, aio_write, aiocb

BLOCK, IN_FLIGHT = 1 << 20, 8


def show(done: int, size: int) -> None:
    if sys.stderr.isatty():
        bar = "#" * (40 * done // size)
        print(f"\r[{bar:<40}] {100 * done // size:3} %", end="", file=sys.stderr, flush=True)


def copy(source: str, target: str) -> int:
    """The number of bytes."""
    if os.path.exists(target) and os.path.samefile(source, target):
        raise shutil.SameFileError(f"{source} and {target} are the same file")
    with open(source, "rb") as src, open(target, "wb") as dst, CompletionQueue() as queue:
        size = os.fstat(src.fileno()).st_size
        offsets = iter(range(0, size, BLOCK))
        event, copied, working = queue.sigevent(), 0, 0
        for offset in itertools.islice(offsets, IN_FLIGHT):
            aio_read(aiocb(src, bytearray(BLOCK), offset, aio_sigevent=event))
            working += 1
        while working:
            for cb in queue.get():
                n = aio_return(cb)  # raises the request's own OSError
                if cb.aio_fildes is src:
                    cb.aio_fildes, cb.aio_buf = dst, memoryview(cb.aio_buf)[:n]
                    aio_write(cb)
                elif n < cb.aio_nbytes:  # the rest once more, as on a disk that is nearly full
                    cb.aio_buf, cb.aio_offset = cb.aio_buf[n:], cb.aio_offset + n
                    copied += n
                    aio_write(cb)
                elif (offset := next(offsets, -1)) >= 0:
                    copied += n
                    cb.aio_fildes, cb.aio_buf, cb.aio_offset = src, cb.aio_buf.obj, offset
                    aio_read(cb)
                else:
                    copied += n
                    working -= 1
                show(copied, size)
    return copied


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: copy_file.py SOURCE TARGET")
    try:
        print(copy(sys.argv[1], sys.argv[2]), "bytes")
    except OSError as error:
        sys.exit(f"copy_file: {error}")
