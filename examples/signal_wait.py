"""SIGEV_SIGNAL with a real-time signal, and sigwaitinfo, whose si_value is the request.

The signal is blocked before the first request, so that it is queued and not delivered. Do not mix
this with SIGEV_THREAD. A notification thread blocks nothing, so a signal that all others block is
delivered there and ends the process.
"""

import os
import signal

from aio_posix import SIGEV_SIGNAL, aio_return, aio_write, aiocb, sigevent, sigwaitinfo

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
file = os.memfd_create("file")
plain = sigevent(SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN)
named = sigevent(SIGEV_SIGNAL, sigev_signo=signal.SIGRTMIN, sigev_value="the second")

first, second = (
    aiocb(file, b"12345", aio_sigevent=plain),
    aiocb(file, b"678", 5, aio_sigevent=named),
)
for cb in (first, second):
    aio_write(cb)
    info = sigwaitinfo([signal.SIGRTMIN], timeout=10)
    assert info is not None
    print(info.si_code, "the first" if info.si_value is first else info.si_value, aio_return(cb))

# Output:
# -4 the first 5
# -4 the second 3
