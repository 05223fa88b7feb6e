"""window FILE IN_FLIGHT SECONDS: prints completions/s. c/window.c, in Python."""

import errno
import os
import sys
import time

from aio_posix import aio_error, aio_read, aio_return, aio_suspend, aiocb

PAGE = 4096
WARM_UP = 0.1  # seconds, as in c/bench.h
STALL = 10.0  # seconds without a completion


def main(path: str, in_flight: int, seconds: float) -> float:
    fd = os.open(path, os.O_RDONLY)
    requests = [aiocb(fd, bytearray(PAGE), i * PAGE) for i in range(in_flight)]
    for cb in requests:
        aio_read(cb)
    done = 0
    begin = time.monotonic() + WARM_UP
    while (t := time.monotonic()) < begin + seconds:
        if t < begin:
            done = 0
        if not aio_suspend(requests, STALL):
            sys.exit(f"no completion for {STALL} s")
        for cb in requests:
            if aio_error(cb) == errno.EINPROGRESS:
                continue
            if aio_return(cb) != PAGE:
                sys.exit("a short read")
            done += 1
            aio_read(cb)
    return done / (t - begin)


print(f"{main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])):.1f}")
