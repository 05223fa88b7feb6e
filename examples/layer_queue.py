"""Two workers, served from a queue by one loop, read every other block of a file each."""

import os

from aio_posix import CompletionQueue, aio_read, aio_return, aiocb

BLOCK, WORKERS = 4096, 2
file = os.memfd_create("file")
os.write(file, b"x" * 10 * BLOCK + b"the end")
total, working = 0, WORKERS

with CompletionQueue() as queue:
    event = queue.sigevent()
    for i in range(WORKERS):
        aio_read(aiocb(file, bytearray(BLOCK), i * BLOCK, aio_sigevent=event))
    while working:
        for cb in queue.get():  # or poll queue.fileno(), and get(0)
            n = aio_return(cb)
            total += n
            if n == BLOCK:
                cb.aio_offset += WORKERS * BLOCK
                aio_read(cb)
            else:
                working -= 1
print(total)

# Output:
# 40967
