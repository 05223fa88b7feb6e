"""A CompletionQueue beside other descriptors in one poll loop.

No Python runs in glibc's threads, so the loop needs no lock.
"""

import os
import select

from aio_posix import CompletionQueue, aio_return, aio_write, aiocb

file = os.memfd_create("file")
alarm, bell = os.pipe()
written = 0

with CompletionQueue() as queue:
    event = queue.sigevent()
    for i in range(100):
        aio_write(aiocb(file, b"%04d" % i, 4 * i, aio_sigevent=event))  # the queue keeps it

    poll = select.poll()
    poll.register(queue, select.POLLIN)
    poll.register(alarm, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if alarm in ready:
            print("the bell rang")
            break
        for cb in queue.get(0):  # a batch, in order of completion
            written += aio_return(cb)
            if written == 400:
                os.write(bell, b"!")

print(os.pread(file, 12, 388))

# Output:
# the bell rang
# b'009700980099'
