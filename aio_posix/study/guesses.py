"""What a reader may guess before a lesson runs, and why all answers but one are wrong."""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    answers: tuple[str, ...]
    right: int  # place in `answers`
    why: str  # one sentence, to be read after the experiment


QUESTIONS = {
    1: Question(
        (
            "0, or -1 with errno, as every other call",
            "0, EINPROGRESS, or the errno of the request itself",
            "the number of bytes, or minus an errno",
        ),
        1,
        "It is no system call that could fail: it returns the field in which the helper left the "
        "errno, and the count is aio_return's.",
    ),
    2: Question(
        (
            "glibc copies it, so it can be reused at once",
            "the request owns it and frees it",
            "you do, and it must stay until the request is done",
        ),
        2,
        "glibc keeps the pointer and nothing else, and a helper writes there whatever has become "
        "of the memory.",
    ),
    3: Question(
        (
            "the helper that did the read calls it",
            "a new thread for each completion calls it",
            "the main thread calls it when it has time",
        ),
        1,
        "The helper only starts the thread, so a callback that blocks blocks nobody's I/O.",
    ),
    4: Question(
        (
            "io_submit always returns at once",
            "io_submit may do the read itself, and block",
            "libaio refuses sockets",
        ),
        1,
        "The kernel is asynchronous for O_DIRECT files alone; elsewhere io_submit reads here and "
        "now, and sockets have only its poll mode.",
    ),
    5: Question(
        ("four threads", "one for the reads, one for the write", "one"),
        2,
        "The queue belongs to the descriptor's number and has no directions, so dup() helps.",
    ),
    6: Question(
        (
            "a 21st thread is started",
            "it waits until one of the twenty returns",
            "it fails with EAGAIN",
        ),
        1,
        "The pool has twenty threads and every blocked read holds one, even from a file in memory.",
    ),
    7: Question(
        (
            "20 with the first request, for good",
            "one for each request, which then ends",
            "one when none is idle; it ends after an idle second",
        ),
        2,
        "A helper looks for more work when it has finished, and waits for it for aio_idle_time.",
    ),
    8: Question(
        (
            "the most urgent first; fsync is a barrier",
            "they are sorted behind the head of the queue; fsync goes before less urgent writes",
            "in the order of submission, whatever aio_reqprio says",
        ),
        1,
        "Nothing overtakes a head, even one that no helper has taken, and aio_fsync zeroes its own "
        "aio_reqprio.",
    ),
    9: Question(
        (
            "the offset is ignored; the read of a listening socket fails at once",
            "ESPIPE for both",
            "the read of a listening socket completes when a client comes",
        ),
        0,
        "pread says ESPIPE and glibc then calls read; a listening socket says ENOTCONN, and glibc "
        "announces failure as it announces success.",
    ),
    10: Question(
        ("with AIO", "with epoll", "with io_submit"),
        1,
        "epoll takes three calls for a message; AIO takes those of the helper, of the new thread, "
        "and the futex calls that wake both.",
    ),
    11: Question(
        (
            "50 in any case",
            "50 of a real-time signal; with no room the result of the read is overwritten",
            "1, since signals do not queue",
        ),
        1,
        "Real-time signals queue and others do not, and glibc stores the errno of a signal it "
        "could not send where the result was.",
    ),
    12: Question(
        (
            "-1, and nothing has been started",
            "with LIO_NOWAIT nothing; with LIO_WAIT it is EIO, and each request says its own",
            "the number of those that failed",
        ),
        1,
        "A list is no transaction: each entry succeeds or fails alone, and aio_error tells which.",
    ),
    13: Question(
        (
            "aio_cancel ends all three",
            "those that no helper has begun are cancelled; nothing ends the first",
            "close ends the first",
        ),
        1,
        "A helper that is in a system call is never interrupted, neither by aio_cancel nor by "
        "close; shutdown or the peer ends the read.",
    ),
    14: Question(
        (
            "the child's requests run; queued writes are written",
            "the child's requests never run; queued writes are lost",
            "the child's requests fail with an error; queued writes are written",
        ),
        1,
        "fork copies the count of idle helpers and no helper, and glibc has no atexit handler for "
        "what is queued.",
    ),
    15: Question(
        ("less than a blocking read", "about the same", "several times as much"),
        2,
        "The data is copied all the same; a lock, a thread that is woken and one that is made for "
        "the notification come on top.",
    ),
    16: Question(
        (
            "the loop itself if the page cache has it, else a helper, told in a list",
            "a thread of Python, from a pool",
            "a helper always, and a callback wakes the loop",
        ),
        0,
        "The loop may read what cannot wait, and one list and one notification for a turn of the "
        "loop cost less than one for each read.",
    ),
    17: Question(
        (
            "SIGEV_THREAD: it is a function call",
            "SIGEV_SIGNAL: the kernel does it",
            "none at all, or one for a whole list",
        ),
        2,
        "A thread has to be made and to end, a signal has to be queued and taken, and both for "
        "each request.",
    ),
    18: Question(
        (
            "it is right, and slow",
            "its errors are never seen, and one client can end it for all",
            "only with more than 20 clients",
        ),
        1,
        "What a few well-behaved clients send is echoed, which shows neither an unseen error nor a "
        "client that resets, nor what malloc leaves in a request.",
    ),
}
