"""After os.fork a child of a process that used AIO is refused at once, with a reason, and disturbs
nobody.

Each test forks in a process of its own.  A child that hangs is ended by SIGALRM, which is then its
status.
"""

from __future__ import annotations

import fresh
import pytest

PRELUDE = """\
import gc, multiprocessing, os, pty, signal, socket, subprocess, sys, threading, time
import aio_posix as aio
import warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
def told(function):
    return aio.sigevent(aio.SIGEV_THREAD, sigev_notify_function=function)
def in_child(function):
    "Status of a child that ran function and then left through the interpreter's own end."
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    signal.alarm(20)
    function()
    sys.exit(0)
def used():
    cb = aio.aiocb(os.memfd_create("m"), bytearray(b"x"))
    aio.aio_write(cb)
    aio.aio_suspend([cb])
    return cb
def refused(function):
    try:
        function()
    except OSError as error:
        return "does not work in a forked child" in str(error)
    return False
"""


def program(text: str) -> str:
    lines = text.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    return PRELUDE + "\n".join(line[indent:] for line in lines)


CALLS = [
    "aio.aio_read(cb)",
    "aio.aio_write(cb)",
    "aio.aio_fsync(os.O_SYNC, cb)",
    "aio.aio_error(cb)",
    "aio.aio_return(cb)",
    "aio.aio_suspend([cb])",
    "aio.aio_suspend([cb], 0)",
    "aio.aio_cancel(0)",
    "aio.aio_cancel(cb.aio_fildes, cb)",
    "aio.lio_listio(aio.LIO_WAIT, [cb])",
    "aio.lio_listio(aio.LIO_NOWAIT, [])",
    "aio.aio_init()",
    "aio.sigwaitinfo([signal.SIGRTMIN], 0)",
    "aio.CompletionQueue()",
    "queue.get()",
    "queue.get(0)",
]


@pytest.mark.parametrize("call", CALLS)
def test_in_a_child_of_a_user_every_call_raises_and_says_why(call: str) -> None:
    text = program(f"""
        queue = aio.CompletionQueue()
        cb = used()
        print(in_child(lambda: os._exit(7 if refused(lambda: {call}) else 1)))
        """)
    assert fresh.output(text) == "7\n"


def test_a_request_in_flight_is_the_parents_alone() -> None:
    text = program("""
        read, write = os.pipe()
        called = threading.Event()
        event = told(lambda cb: (os.write(1, b"called "), called.set()))
        cb = aio.aiocb(read, bytearray(8), aio_sigevent=event)
        aio.aio_read(cb)
        print(in_child(lambda: None), end=" ", flush=True)
        os.write(write, b"12345")
        aio.aio_suspend([cb])
        called.wait(10)
        print(aio.aio_return(cb), flush=True)
        """)
    assert sorted(fresh.output(text).split()) == ["0", "5", "called"]


def test_no_child_hangs_that_was_forked_while_another_thread_held_every_lock() -> None:
    text = program("""
        done, forks = False, 120
        def hammer(event):
            cbs = [aio.aiocb(os.memfd_create("m"), bytes(64), aio_sigevent=event) for _ in range(8)]
            while not done:
                for cb in cbs:
                    aio.aio_write(cb)
                for cb in cbs:
                    aio.aio_suspend([cb])
                queue.get(0)
        queue = aio.CompletionQueue()
        threads = [threading.Thread(target=hammer, args=(event,))
                   for event in (None, queue.sigevent(), told(id))]
        for thread in threads:
            thread.start()
        cb = used()
        def child():
            ours = refused(lambda: aio.aio_error(cb))
            if not (ours and getattr(sys, "_is_gil_enabled", lambda: True)()):
                os._exit(not ours)  # the end of a Python without a GIL may wait for lost threads
        bad = [status for _ in range(forks) if (status := in_child(child))]
        done = True
        print(bad)
        """)
    assert fresh.output(text, "-W", "ignore") == "[]\n"


def test_finalizers_in_the_child_touch_nothing() -> None:
    text = program("""
        queue = aio.CompletionQueue()
        read, write = os.pipe()
        cbs = [aio.aiocb(read, bytearray(1), aio_sigevent=event)
               for event in (queue.sigevent(), told(id), None) * 10]
        for cb in cbs:
            aio.aio_read(cb)
        event = queue.sigevent()
        def drop():
            global queue, cbs, cb, event
            with queue:
                pass
            queue = cbs = cb = event = None
            gc.collect()
        print(in_child(drop))
        print(queue.get(0), sum(cb.in_progress for cb in cbs))
        os.write(write, bytes(30))
        got = []
        while len(got) < 10:
            got += queue.get()
        while any(cb.in_progress for cb in cbs):
            time.sleep(0.001)
        print(sum(aio.aio_return(cb) for cb in cbs))
        """)
    assert fresh.output(text) == "0\n[] 30\n30\n"


def test_closing_a_queue_in_the_child_does_not_wake_the_parent() -> None:
    text = program("""
        import select
        queue = aio.CompletionQueue()
        used()
        print(in_child(queue.close), select.select([queue], [], [], 0)[0])
        """)
    assert fresh.output(text) == "0 []\n"


def test_a_child_of_a_process_that_never_submitted_anything_works() -> None:
    text = program("""
        queue = aio.CompletionQueue()
        def work():
            called = threading.Event()
            for event in (queue.sigevent(), told(lambda cb: called.set()), None):
                cb = aio.aiocb(os.memfd_create("m"), b"12345", aio_sigevent=event)
                aio.aio_write(cb)
                aio.aio_suspend([cb])
                print(aio.aio_return(cb), end=" ")
            print(len(queue.get()), called.wait(), flush=True)
        print(in_child(work))
        """)
    assert fresh.output(text) == "5 5 5 1 True\n0\n"


def test_that_child_in_turn_has_children_that_are_refused() -> None:
    text = program("""
        def work():
            cb = used()
            child = in_child(lambda: os._exit(7 if refused(lambda: aio.aio_error(cb)) else 1))
            print(child, flush=True)
        print(in_child(work))
        """)
    assert fresh.output(text) == "7\n0\n"


def test_a_grandchild_is_refused_too() -> None:
    text = program("""
        cb = used()
        def child():
            os._exit(in_child(lambda: os._exit(7 if refused(lambda: aio.aio_read(cb)) else 1)))
        print(in_child(child))
        """)
    assert fresh.output(text) == "7\n"


MULTIPROCESSING = """
    import os, sys, warnings, multiprocessing
    import aio_posix as aio
    warnings.simplefilter("ignore", DeprecationWarning)
    def work(pipe):
        cb = aio.aiocb(os.memfd_create("m"), b"12345")
        try:
            aio.aio_write(cb)
            aio.aio_suspend([cb])
            pipe.send(aio.aio_return(cb))
        except OSError as error:
            pipe.send(str(error))
    if __name__ == "__main__":
        cb = aio.aiocb(os.memfd_create("m"), b"x")
        aio.aio_write(cb)
        context = multiprocessing.get_context(sys.argv[1])
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there,))
        process.start()
        print(here.recv())
        process.join(30)
        print(process.exitcode)
    """


def test_multiprocessing_fork_says_what_to_use_instead_and_spawn_works(tmp_path: object) -> None:
    path = f"{tmp_path}/program.py"
    with open(path, "w") as file:
        file.write("\n".join(line[4:] for line in MULTIPROCESSING.splitlines()))
    run = (
        f"import runpy, sys; sys.argv = [{path!r}, {{!r}}]; "
        f"runpy.run_path({path!r}, run_name='__main__')"
    )
    forked = fresh.output(run.format("fork"))
    assert "use exec, or the multiprocessing start method 'spawn'" in forked
    assert forked.endswith("\n0\n")
    command = (
        f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, {path!r}, 'spawn']))"
    )
    assert fresh.output(command) == "5\n0\n"


def test_the_child_of_pty_fork_is_refused() -> None:
    text = program("""
        cb = used()
        pid, terminal = pty.fork()
        if pid == 0:
            signal.alarm(20)
            os._exit(7 if refused(lambda: aio.aio_read(cb)) else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """)
    assert fresh.output(text) == "7\n"


def test_a_fork_in_a_callback_is_refused_in_the_child_and_leaves_the_parent_alone() -> None:
    text = program("""
        statuses, called = [], threading.Event()
        def fork(cb):
            child = in_child(lambda: os._exit(7 if refused(lambda: aio.aio_read(cb)) else 1))
            statuses.append(child)
            called.set()
        aio.aio_write(aio.aiocb(os.memfd_create("m"), bytearray(b"x"), aio_sigevent=told(fork)))
        called.wait()
        print(statuses, aio.aio_return(used()))
        """)
    assert fresh.output(text, "-W", "ignore") == "[7] 1\n"


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run(['true'], check=True)",
        "subprocess.run(['true'], check=True, close_fds=False)",
        "subprocess.run(['true'], check=True, preexec_fn=lambda: None)",
        "subprocess.run(['true'], check=True, start_new_session=True)",
        "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)",
        "os.system('true')",
    ],
)
def test_starting_a_program_does_not_spoil_aio_in_the_parent(start: str) -> None:
    text = program(f"""
        read, write = os.pipe()
        cb = aio.aiocb(read, bytearray(8))
        aio.aio_read(cb)
        {start}
        os.write(write, b"12345")
        aio.aio_suspend([cb])
        print(aio.aio_return(cb), aio.aio_return(used()))
        """)
    assert fresh.output(text) == "5 1\n"


def test_a_child_with_requests_of_the_parent_in_flight_exits_without_draining_them() -> None:
    text = program("""
        read, write = os.pipe()
        cb = aio.aiocb(write, bytes(1 << 20))
        aio.aio_write(cb)
        print(in_child(lambda: None), flush=True)
        left = 1 << 20
        while left:
            left -= len(os.read(read, left))
        aio.aio_suspend([cb])
        print(aio.aio_return(cb))
        """)
    assert fresh.output(text) == "0\n1048576\n"


def test_forks_while_callbacks_arrive_all_end() -> None:
    """Neither side may hold, across the fork, the lock that Python takes to make a thread state."""
    text = program(
        """
        import faulthandler
        fd = os.memfd_create("m"); os.write(fd, b"x")
        going = True
        def again(cb):
            if going: aio.aio_read(cb)
        cbs = [aio.aiocb(os.dup(fd), bytearray(1), aio_sigevent=told(again)) for _ in range(8)]
        for cb in cbs: aio.aio_read(cb)
        for _ in range(600):
            faulthandler.dump_traceback_later(30, exit=True)
            assert in_child(lambda: os._exit(7)) == 7
        faulthandler.cancel_dump_traceback_later()
        going = False
        """
    )
    assert fresh.output(text) == ""


def test_after_nothing_but_an_empty_list_a_child_is_refused_too() -> None:
    """Our sweeper stayed in the parent as well (G10)."""
    text = program(
        """
        called = threading.Event()
        aio.lio_listio(aio.LIO_NOWAIT, [], told(lambda cbs: called.set()))
        called.wait()
        cb = aio.aiocb(os.memfd_create("m"), bytearray(b"x"))
        print(in_child(lambda: sys.exit(0 if refused(lambda: aio.aio_write(cb)) else 1)))
        """
    )
    assert fresh.output(text) == "0\n"


def test_what_a_child_is_told_of_its_parents_requests_takes_no_lock() -> None:
    """stats() works there, and nothing is in flight."""
    text = program("""
        from aio_posix import _calls, flight
        over = False
        def hammer():
            fd = os.memfd_create("m")
            cbs = [aio.aiocb(fd, bytes(64)) for _ in range(64)]
            while not over:
                for cb in cbs: aio.aio_write(cb)
                for cb in cbs:
                    while cb.in_progress: flight.in_flight()
        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for thread in threads: thread.start()
        used()
        def child():
            aio.stats()
            if flight.in_flight() or flight.owed() or _calls.await_write(0):
                os._exit(1)
        bad = [status for _ in range(120) if (status := in_child(child))]
        over = True
        print(bad)
        """)
    assert fresh.output(text, "-W", "ignore") == "[]\n"
