"""Two workers, which are callbacks in glibc's threads, read every other block of a file each."""

import os
import threading

from aio_posix import SIGEV_THREAD, aio_read, aio_return, aiocb, sigevent

BLOCK, WORKERS = 4096, 2
file = os.memfd_create("file")
os.write(file, b"x" * 10 * BLOCK + b"the end")
total, working = 0, WORKERS
done, lock = threading.Event(), threading.Lock()


def handler(cb: aiocb) -> None:  # one call at a time, unless one blocks or there is no GIL
    global total, working
    n = aio_return(cb)
    with lock:
        total += n
        working -= n < BLOCK
    if n == BLOCK:
        cb.aio_offset += WORKERS * BLOCK
        aio_read(cb)
    elif not working:
        done.set()


event = sigevent(SIGEV_THREAD, sigev_notify_function=handler)
for i in range(WORKERS):
    aio_read(aiocb(file, bytearray(BLOCK), i * BLOCK, aio_sigevent=event))
done.wait()
print(total)

# Output:
# 40967
