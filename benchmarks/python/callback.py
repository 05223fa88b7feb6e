"""callback FILE IN_FLIGHT SECONDS: prints completions/s. c/callback.c, in Python."""

import os
import sys
import time

from aio_posix import SIGEV_THREAD, aio_read, aio_return, aiocb, sigevent

PAGE = 4096
WARM_UP = 0.1  # seconds, as in c/bench.h
STALL = 10.0  # seconds for the last completions, as in c/bench.h


class Reader:
    """One request in flight, whose callback counts it and submits it again."""

    def __init__(self, fd: int, offset: int) -> None:
        self.count = 0
        self.idle = False
        event = sigevent(SIGEV_THREAD, sigev_notify_function=self.completed)
        self.request = aiocb(fd, bytearray(PAGE), offset, aio_sigevent=event)
        aio_read(self.request)

    def completed(self, cb: aiocb) -> None:
        if aio_return(cb) != PAGE:
            os.abort()
        self.count += 1
        if stopping:
            self.idle = True
        else:
            aio_read(cb)


stopping = False
fd = os.open(sys.argv[1], os.O_RDONLY)
seconds = float(sys.argv[3])
readers = [Reader(fd, i * PAGE) for i in range(int(sys.argv[2]))]
time.sleep(WARM_UP)
begin, before = time.monotonic(), sum(reader.count for reader in readers)
time.sleep(seconds)
after, end = sum(reader.count for reader in readers), time.monotonic()

stopping = True
while not all(reader.idle for reader in readers):
    if time.monotonic() > end + STALL:
        sys.exit(f"{sum(not reader.idle for reader in readers)} of {len(readers)} readers stalled")
    time.sleep(0.001)
print(f"{(after - before) / (end - begin):.1f}")
