"""listio FILE wait|nowait LENGTH SECONDS: prints lists/s. c/listio.c, in Python."""

import os
import sys
import time

from aio_posix import LIO_NOWAIT, LIO_READ, LIO_WAIT, CompletionQueue, aio_return, aiocb, lio_listio

PAGE = 4096
WARM_UP = 0.1  # seconds, as in c/bench.h
STALL = 10.0  # seconds without a completion


def main(path: str, mode: str, length: int, seconds: float) -> float:
    fd = os.open(path, os.O_RDONLY)
    requests = [
        aiocb(fd, bytearray(PAGE), i * PAGE, aio_lio_opcode=LIO_READ) for i in range(length)
    ]
    with CompletionQueue() as queue:
        event = queue.sigevent()
        done = 0
        begin = time.monotonic() + WARM_UP
        while (t := time.monotonic()) < begin + seconds:
            if t < begin:
                done = 0
            if mode == "wait":
                lio_listio(LIO_WAIT, requests)
            else:
                lio_listio(LIO_NOWAIT, requests, event)
                if not queue.get(STALL):
                    sys.exit(f"no notification for {STALL} s")
            for cb in requests:
                if aio_return(cb) != PAGE:
                    sys.exit("a short read")
            done += 1
    return done / (t - begin)


print(f"{main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])):.1f}")
