"""Signal handlers that raise at any point of a call (a timeout by SIGALRM does): the exception gets
to the program, and nothing stays behind.
"""

from __future__ import annotations

import fresh
import pytest

HARASSED = """
import gc, os, random, signal, socket, sys, time, weakref
from aio_posix import *
from aio_posix import _calls
sys.unraisablehook = lambda _: None   # of __del__, out of which Python raises nothing
class Timeout(Exception): pass
armed = raised = 0
def handler(signo, frame):
    global raised
    if armed:
        raised += 1
        raise Timeout
fd = os.memfd_create("file"); os.write(fd, b"0123456789")
signo = signal.SIGRTMIN + 3
signal.pthread_sigmask(signal.SIG_BLOCK, [signo])
queue = CompletionQueue()
def harass(step, rounds=1500, settle=lambda: None):
    "Runs step many times; a handler raises anywhere in it."
    global armed
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.00013)
    seen = 0
    for _ in range(rounds):
        try:
            try:
                armed = 1
                step()
            finally:
                armed = 0
                for _ in range(3): pass   # what a release has put off comes here
        except Timeout:
            seen += 1
            armed = 0
    signal.setitimer(signal.ITIMER_REAL, 0)
    end = time.monotonic() + 20
    def left(): return len(_calls.in_flight()), _calls.kept(), _calls.owed()
    while any(left()) and time.monotonic() < end:
        settle()
        gc.collect()
        time.sleep(0.01)
    assert left() == (0, 0, 0), left()
    assert raised, "no handler has run in it"
    return seen
"""


def harassed(program: str) -> None:
    ended = fresh.run(HARASSED + program, "-W", "ignore")
    assert ended.returncode == 0, ended.stderr  # what is there else is of an interrupted hook


@pytest.mark.parametrize("event", ["None", "queue.sigevent()", "thread", "by_signal", "by_value"])
@pytest.mark.parametrize("listed", [False, True])
def test_submissions_leave_nothing_behind(event: str, listed: bool) -> None:
    submit = "lio_listio(LIO_NOWAIT, [cb], event)" if listed else "aio_read(cb)"
    own = "None" if listed else "event"
    harassed(f"""
thread = sigevent(SIGEV_THREAD, sigev_notify_function=id)
by_signal = sigevent(SIGEV_SIGNAL, sigev_signo=signo)
by_value = sigevent(SIGEV_SIGNAL, sigev_signo=signo, sigev_value="v")
event = {event}
def step():
    cb = aiocb(fd, bytearray(1), aio_lio_opcode=LIO_READ, aio_sigevent={own})
    {submit}
    aio_suspend([cb], 5)
    aio_return(cb)
def settle():
    queue.get(0)
    while sigwaitinfo([signo], 0): pass
harass(step, settle=settle)
""")


def test_waiting_for_a_list_leaves_nothing_behind() -> None:
    harassed("""
def step():
    lio_listio(LIO_WAIT, [aiocb(fd, bytearray(1), aio_lio_opcode=LIO_READ) for _ in range(8)])
harass(step)
""")


def test_sockets_are_closed_and_their_counters_right() -> None:
    """Where the last request of a closed socket is noticed, no handler can end that half-way."""
    harassed("""
pairs = [socket.socketpair() for _ in range(300)]
rest = iter(pairs)
def step():
    here, there = next(rest)
    there.send(b"x")
    cb = aiocb(here, bytearray(1))
    aio_read(cb)
    here.close()
    while cb.in_progress: pass
    aio_return(cb)
harass(step, len(pairs))
for here, there in pairs:
    here.close()   # a handler may have ended its own close()
    assert here._io_refs == 0 and here.fileno() == -1
""")


def test_file_objects_are_released() -> None:
    harassed("""
class File:
    def fileno(self): return fd
files = []   # a WeakSet takes out its members in Python code, which a handler may end
def step():
    file = File()
    files.append(weakref.ref(file))
    cb = aiocb(file, bytearray(1))
    aio_read(cb)
    del file
    while cb.in_progress: pass
    aio_return(cb)
harass(step)
gc.collect()
assert not any(file() for file in files)
""")


def test_dropped_requests_are_released() -> None:
    harassed("""
buffers = []
def step():
    buffer = bytearray(1)
    buffers.append(buffer)
    cb = aiocb(fd, buffer)
    aio_read(cb)
    del cb
harass(step)
for buffer in buffers: buffer.clear()   # BufferError if something still exports it
""")


def test_no_plan_of_a_sigevent_leaks() -> None:
    """In bytes: a plan has more than 100."""
    harassed("""
import ctypes
class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]
mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Info
def step():
    for _ in range(10): sigevent(SIGEV_THREAD, sigev_notify_function=id)
harass(step, 2000)
gc.collect()
before = mallinfo().uordblks
harass(step, 4000)
gc.collect()
assert mallinfo().uordblks - before < 100 * raised / 4, (mallinfo().uordblks - before, raised)
""")


def test_a_timeout_is_seen_by_the_program_not_only_reported() -> None:
    """While a request's end is noticed; what Python calls in C there lets no handler in."""
    harassed("""
lost = []
sys.unraisablehook = lost.append
file = open("/dev/zero", "rb", buffering=0)
def step():
    cb = aiocb(file, bytearray(1))
    aio_read(cb)
    while cb.in_progress: pass
    aio_return(cb)
seen = harass(step, 3000)
assert not [one for one in lost if one.exc_type is Timeout and one.object is file], lost
assert seen
""")
