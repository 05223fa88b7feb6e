"""The model of glibc's AIO: the facts it must retell, and that real glibc agrees with it.

Not tested here: time (when idle helpers leave), sizes of stacks, notifications other than their
order.
"""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from aio_posix.study.agree import compare
from aio_posix.study.model import AIO_ALLDONE, AIO_CANCELED, AIO_NOTCANCELED, Glibc
from aio_posix.study.parts import Op, Request
from aio_posix.study.picture import picture
from aio_posix.study.player import Players
from aio_posix.study.script import Call, Cancel, Feed, Script, Seen, Submit, follow

FILE, A, B, C = 3, 4, 5, 6


def read(name: str, fd: int, reqprio: int = 0) -> Request:
    return Request(name, fd, Op.READ, reqprio)


def write(name: str, fd: int, reqprio: int = 0) -> Request:
    return Request(name, fd, Op.WRITE, reqprio)


def one_busy_thread() -> Glibc:
    """A pool of one, held by a read of descriptor 9 that `feed(9)` ends."""
    return Glibc(aio_threads=1).submit(read("hold", 9))


def freed(now: Glibc) -> str:
    return " ".join(now.feed(9).settle().order.split()[1:])


# The pool.


def test_thirty_blocked_reads_get_twenty_threads() -> None:
    now = Glibc().submit(*(read(f"r{fd}", fd) for fd in range(30))).settle()
    assert (len(now.helpers), len(now.runlist)) == (20, 10)


def test_a_read_of_a_file_starves_behind_a_full_pool() -> None:
    now = replace(one_busy_thread(), files=frozenset({FILE})).submit(read("file", FILE)).settle()
    assert now.order == ""
    assert [request.name for request in now.runlist] == ["file"]


def test_a_freed_thread_takes_the_oldest_of_equal_priority() -> None:
    now = one_busy_thread().submit(read("21st", A)).submit(write("file", FILE))
    assert freed(now) == ""
    assert now.feed(9).settle().taken(read("21st", A))


def test_an_idle_thread_is_used_before_a_new_one_is_made() -> None:
    now = Glibc(aio_threads=4).submit(write("w", A)).settle()
    assert (now.idle, len(now.helpers)) == (1, 1)
    assert len(now.submit(read("r", B)).settle().helpers) == 1


def test_idle_threads_leave_after_the_idle_second() -> None:
    assert Glibc().submit(write("w", A)).settle().second_passes().helpers == ()


def test_with_a_negative_idle_time_threads_leave_at_once() -> None:
    assert Glibc(stays_idle=False).submit(write("w", A)).settle().helpers == ()


def test_without_any_thread_a_failed_pthread_create_refuses_the_request() -> None:
    now = Glibc(may_clone=False).submit(read("r", A))
    assert now.answers == (-errno.EAGAIN,)
    assert now.requests == ()


def test_with_one_thread_alive_a_failed_pthread_create_leaves_the_request_waiting_in_silence() -> (
    None
):
    now = Glibc().submit(read("hold", 9)).threads_allowed(False).submit(write("w", A))
    assert now.answers == (0, 0)
    now = now.threads_allowed(True).settle()
    assert (now.order, now.runlist) == ("", (write("w", A),))
    # the helper that the next request gets drains the runlist
    assert now.submit(write("next", B)).settle().order == "next w"


def test_a_list_reports_the_errno_of_the_last_failed_call_even_of_an_accepted_entry() -> None:
    now = Glibc().submit(read("hold", 9)).threads_allowed(False)
    now = now.submit(read("refused", A, 21), read("accepted", B))
    # EINVAL was the reason, pthread_create left EAGAIN behind
    assert now.answers[-1] == -errno.EAGAIN
    assert now.queue(B) == (read("accepted", B),)


# One queue for each descriptor, priorities.


def test_a_write_waits_behind_a_blocked_read_of_the_same_descriptor() -> None:
    now = Glibc().submit(read("r", A)).submit(write("w", A)).settle()
    assert now.order == ""
    assert now.feed(A).settle().order == "r w"


def test_a_dup_is_a_queue_of_its_own() -> None:
    assert Glibc().submit(read("r", A)).submit(write("w", B)).settle().order == "w"


@pytest.mark.parametrize("reqprio", [-1, 21])
def test_a_reqprio_out_of_range_is_refused_at_submission(reqprio: int) -> None:
    assert Glibc().submit(read("r", A, reqprio)).answers == (-errno.EINVAL,)


def test_equal_priorities_of_one_queue_keep_their_order() -> None:
    now = one_busy_thread().submit(write("h", A))
    for number, reqprio in enumerate([5, 0, 10, 1, 0]):
        now = now.submit(write(f"{reqprio}.{number}", A, reqprio))
    assert freed(now) == "h 0.1 0.4 1.3 5.0 10.2"


def test_the_head_is_never_overtaken_even_before_it_starts() -> None:
    now = one_busy_thread().submit(write("head", A, 20)).submit(write("urgent", A, 0))
    assert freed(now) == "head urgent"


def test_priorities_invert_across_descriptors() -> None:
    now = one_busy_thread()
    for name, fd in zip(["A10", "B5", "A0!", "C0", "B20", "C3"], [A, B, A, C, B, C], strict=True):
        now = now.submit(write(name, fd, int(name[1:].rstrip("!"))))
    assert freed(now) == "C0 C3 B5 A10 A0! B20"


def test_an_fsync_overtakes_earlier_writes_with_a_reqprio() -> None:
    now = (
        replace(one_busy_thread(), files=frozenset({FILE}))
        .submit(write("0", FILE))
        .submit(write("5", FILE, 5))
    )
    assert freed(now.submit(Request("sync", FILE, Op.SYNC, 20))) == "0 sync 5"


# aio_cancel.


def cancel(now: Glibc, fd: int, request: Request | None = None) -> tuple[int, Glibc]:
    now = now.cancel(fd, request)
    return now.answers[-1], now


def test_a_running_request_cannot_be_cancelled_and_what_waits_behind_it_can() -> None:
    reads = [read(f"r{number}", A) for number in range(5)]
    now = Glibc().submit(*reads)
    assert cancel(now, A, reads[0]) == (AIO_NOTCANCELED, now.cancel(A, reads[0]))
    answer, now = cancel(now, A, reads[1])
    assert (answer, now.done[-1].error, now.done[-1].value) == (AIO_CANCELED, errno.ECANCELED, -1)
    answer, now = cancel(now, A)
    assert (answer, now.order) == (AIO_NOTCANCELED, "r1 r2 r3 r4")
    assert cancel(now.feed(A).settle(), A)[0] == AIO_ALLDONE


def test_a_request_of_another_descriptor_cannot_be_cancelled_here() -> None:
    assert cancel(Glibc().submit(read("r", A)), B, read("r", A))[0] == -errno.EINVAL


def test_cancelling_a_head_that_nobody_took_orphans_what_is_behind_it() -> None:
    head, orphan, late = write("head", A), write("orphan", A), write("late", A)
    answer, now = cancel(one_busy_thread().submit(head).submit(orphan), A, head)
    assert (answer, now.orphans) == (AIO_CANCELED, (orphan,))
    now = now.feed(9).settle().submit(late, write("elsewhere", B)).settle()
    assert now.order == "head hold elsewhere"
    assert now.queue(A) == (orphan, late)


def test_cancelling_the_whole_descriptor_frees_it_from_orphans() -> None:
    head, orphan = write("head", A), write("orphan", A)
    now = one_busy_thread().submit(head).submit(orphan).cancel(A, head).feed(9).settle()
    answer, now = cancel(now, A)
    assert answer == AIO_CANCELED
    assert now.submit(write("again", A)).settle().order == "head hold orphan again"


# What people see and do.


def test_the_picture_shows_who_holds_what_and_who_waits_where() -> None:
    now = one_busy_thread().submit(write("a", A, 3)).submit(write("b", A)).settle()
    assert picture(now) == "\n".join(
        [
            "submit write b: 0",
            "  requests  fd 4   a(3) <- b",
            "            fd 9   >hold",
            "  runlist   a(3)",
            "  pool      1 of 1 threads",
            "            helper 1 is blocked in read hold of fd 9",
        ]
    )


def test_the_picture_marks_an_orphan() -> None:
    head, orphan = write("head", A), write("orphan", A)
    now = one_busy_thread().submit(head).submit(orphan).cancel(A, head)
    assert "  requests  fd 4   !orphan" in picture(now).splitlines()


def test_one_request_cannot_be_submitted_twice() -> None:
    with pytest.raises(ValueError, match="r was submitted before"):
        Glibc().submit(read("r", A)).submit(read("r", A))


# Real glibc.


def real(
    aio_threads: int, *calls: Call, files: frozenset[int] = frozenset()
) -> tuple[list[Seen], Script]:
    script = Script(aio_threads, files=files, bursts=tuple((call,) for call in calls))
    with Players() as players:
        return players.play(script), script


def test_real_glibc_inverts_priorities_as_the_model_does() -> None:
    names = ["A10", "B5", "A0!", "C0", "B20", "C3"]
    writes = [write(name, "ABC".index(name[0]) + 1, int(name[1:].rstrip("!"))) for name in names]
    seen, script = real(1, Submit((read("hold", 0),)), *(Submit((one,)) for one in writes), Feed(0))
    assert " ".join(name for name, _, _ in seen[-1].done) == "hold C0 C3 B5 A10 A0! B20"
    assert follow(script, seen).agrees


def test_real_glibc_orphans_a_queue_as_the_model_does() -> None:
    head, orphan = write("head", 1), write("orphan", 1)
    calls = (
        Submit((read("hold", 0),)),
        Submit((head, orphan)),
        Cancel(1, head),
        Feed(0),
        Submit((write("late", 1),)),
    )
    seen, script = real(1, *calls)
    assert (set(seen[-1].unfinished), seen[-1].idle) == ({"orphan", "late"}, 1)
    verdict = follow(script, seen)
    assert (verdict.agrees, verdict.orphaned) == (True, True)
    assert not follow(script, seen, OrphansNothing).agrees


def test_the_model_agrees_with_real_glibc_over_random_scripts() -> None:
    met = compare(count=200, number=1)
    assert met["scripts"] == 200
    for what in ("full pool", "orphaned", "cancelled", "lack of threads"):
        assert any(what in name and count > 0 for name, count in met.items()), (what, met)


class OvertakesHeads(Glibc):
    @staticmethod
    def _placed(queue: tuple[Request, ...], request: Request) -> tuple[Request, ...]:
        return tuple(sorted((*queue, request), key=lambda one: -one.priority))


class RunsHeadsInOrderOfArrival(Glibc):
    def _to_runlist(self, request: Request) -> Glibc:
        return replace(self, runlist=(*self.runlist, request))


class OrphansNothing(Glibc):
    def _after_cancel(self, fd: int) -> Glibc:
        head = self.queue(fd)[:1]
        return self._to_runlist(*head) if head and head[0] in self.orphans else self


@pytest.mark.parametrize("machine", [OvertakesHeads, RunsHeadsInOrderOfArrival])
def test_a_false_model_is_found_out(machine: type[Glibc]) -> None:
    with pytest.raises(AssertionError, match="disagrees"):
        compare(count=500, number=1, machine=machine, shrink=False)
