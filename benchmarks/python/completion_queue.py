"""completion_queue FILE IN_FLIGHT SECONDS: prints completions/s. c/queue.c, in Python."""

import os
import sys
import time

from aio_posix import CompletionQueue, aio_read, aio_return, aiocb

PAGE = 4096
WARM_UP = 0.1  # seconds, as in c/bench.h
STALL = 10.0  # seconds without a completion


def main(path: str, in_flight: int, seconds: float) -> float:
    fd = os.open(path, os.O_RDONLY)
    with CompletionQueue() as queue:
        event = queue.sigevent()
        requests = [
            aiocb(fd, bytearray(PAGE), i * PAGE, aio_sigevent=event) for i in range(in_flight)
        ]
        for cb in requests:
            aio_read(cb)
        done = 0
        begin = end = time.monotonic() + WARM_UP
        while in_flight:
            t = time.monotonic()
            if t < begin:
                done = 0
            again = t < begin + seconds
            batch = queue.get(STALL)
            if not batch:
                sys.exit(f"no completion for {STALL} s, {in_flight} requests in flight")
            for cb in batch:
                if aio_return(cb) != PAGE:
                    sys.exit("a short read")
                if again:
                    aio_read(cb)
                else:
                    in_flight -= 1
            done += len(batch)
            end = time.monotonic()
    return done / (end - begin)


print(f"{main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])):.1f}")
