"""Waiting for the first of several requests, with a timeout.

A read that blocks does not hold up those of other descriptors.
"""

import os

from aio_posix import aio_error, aio_read, aio_return, aio_suspend, aiocb

empty, feed = os.pipe()
full = os.memfd_create("full")
os.write(full, b"ready")

slow, fast = aiocb(empty, bytearray(10)), aiocb(full, bytearray(10))
for cb in (slow, fast):
    aio_read(cb)

print(aio_suspend([slow, fast]), aio_return(fast))
print(aio_suspend([slow], timeout=0.05), os.strerror(aio_error(slow)))
os.write(feed, b"at last")
print(aio_suspend([slow]), aio_return(slow), bytes(slow.aio_buf[:7]))

# Output:
# True 5
# False Operation now in progress
# True 7 b'at last'
