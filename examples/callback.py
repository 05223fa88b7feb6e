"""A callback submits its own request again, as the echo server does, but on a file."""

import os
import threading

from aio_posix import SIGEV_THREAD, aio_read, aio_return, aiocb, sigevent

text = os.memfd_create("text")
os.write(text, b"one, two, three; and that is all.")
pieces: list[tuple[int, bytes]] = []
done = threading.Event()


def handler(cb: aiocb) -> None:
    n = aio_return(cb)  # raises the request's own OSError if it failed
    if n == 0:
        done.set()
        return
    pieces.append((cb.aio_offset, bytes(cb.aio_buf[:n])))
    cb.aio_offset += n  # fields can be changed while nothing is in flight
    aio_read(cb)


aio_read(
    aiocb(text, bytearray(12), aio_sigevent=sigevent(SIGEV_THREAD, sigev_notify_function=handler))
)
done.wait()
for offset, piece in pieces:
    print(offset, piece)

# Output:
# 0 b'one, two, th'
# 12 b'ree; and tha'
# 24 b't is all.'
