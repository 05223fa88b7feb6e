"""glibc's AIO as a pure state machine of two lists and a pool of helper threads, step by step.

A Glibc is one moment. Calls (submit, cancel) and the world (feed, shut) give the next moment.
`moves` are the steps that helper threads may take by themselves, each one critical section under
glibc's one mutex.

  requests  one queue for each descriptor number. Its first is the head, which nothing overtakes.
            What comes behind is sorted by priority, first come first served among equals.
  runlist   heads that no helper has taken, most urgent first. What stands behind a head is
            invisible here.
  helpers   at most aio_threads. Each works on one head, is idle, or is about to look into the
            runlist.

A head with neither a helper nor a place in the runlist is an orphan. It never runs, and nothing
behind it does. Only cancelling a head that nobody has taken makes one. That is a bug of glibc, and
the model has it too.

The model leaves out time, bytes and failing I/O. Idle helpers leave when second_passes says so,
each request moves one byte (none after shut), and only fsync of a socket fails. Sources:
rt/aio_misc.c, rt/aio_cancel.c.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from aio_posix.study.parts import Doing, Done, Helper, Op, Request

AIO_CANCELED, AIO_NOTCANCELED, AIO_ALLDONE = 0, 1, 2  # <aio.h>
AIO_PRIO_DELTA_MAX = 20  # <limits.h>


@dataclass(frozen=True)
class Glibc:
    """One moment of glibc's AIO. Every method that changes something returns the next moment."""

    aio_threads: int = 20
    stays_idle: bool = True  # aio_idle_time >= 0
    may_clone: bool = True  # False if pthread_create fails (RLIMIT_NPROC, pids.max)
    files: frozenset[int] = frozenset()  # descriptors whose reads never block
    requests: tuple[tuple[Request, ...], ...] = ()
    runlist: tuple[Request, ...] = ()
    helpers: tuple[Helper, ...] = ()
    fed: frozenset[tuple[int, int]] = frozenset()  # (descriptor, bytes waiting in it)
    closed: frozenset[int] = frozenset()  # descriptors after shutdown(SHUT_RD)
    done: tuple[Done, ...] = ()  # in the order of completion
    answers: tuple[int, ...] = ()  # what each call returned, and -errno where it returned -1
    event: str = field(default="nothing has happened yet", compare=False)
    created: int = field(default=0, compare=False)  # helpers so far

    def with_idle(self, idle: int) -> Glibc:
        """The same pool with `idle` more helpers that have worked before and wait for more."""
        now = self
        for _ in range(idle):
            helper = Helper(now.created + 1, Doing.IDLE)
            now = replace(now._with_helpers((*now.helpers, helper)), created=helper.number)
        return now

    # What can be seen.

    def queue(self, fd: int) -> tuple[Request, ...]:
        return next((queue for queue in self.requests if queue[0].fd == fd), ())

    def taken(self, request: Request) -> Helper | None:
        return next((helper for helper in self.helpers if helper.request == request), None)

    @property
    def orphans(self) -> tuple[Request, ...]:
        return tuple(
            q[0] for q in self.requests if q[0] not in self.runlist and not self.taken(q[0])
        )

    @property
    def idle(self) -> int:
        return sum(helper.doing in (Doing.IDLE, Doing.WOKEN) for helper in self.helpers)

    @property
    def order(self) -> str:
        """The names of what has completed, in order."""
        return " ".join(done.request.name for done in self.done)

    # Calls: aio_read, aio_write, aio_fsync, lio_listio, aio_cancel.

    def submit(self, *batch: Request) -> Glibc:
        """aio_read, aio_write or aio_fsync, and with several lio_listio, which is one critical
        section for all.
        """
        now, refused = self, False
        number = 0  # errno, which a failed pthread_create sets in any case
        for request in batch:
            known = [r for queue in now.requests for r in queue] + [
                done.request for done in now.done
            ]
            if request in known:
                raise ValueError(f"{request.name} was submitted before")
            if request.op is Op.SYNC or 0 <= request.aio_reqprio <= AIO_PRIO_DELTA_MAX:
                now, accepted, left_behind = now._enqueue(request)
            else:
                accepted, left_behind = False, errno.EINVAL
            refused, number = refused or not accepted, left_behind or number
        answer = -number if refused else 0
        names = ", ".join(f"{request.op.value} {request.name}" for request in batch)
        return replace(now, answers=(*now.answers, answer), event=f"submit {names}: {answer}")

    def cancel(self, fd: int, request: Request | None = None) -> Glibc:
        """aio_cancel of one request, or with None of all of the descriptor that no helper has
        taken.
        """
        queue, left = self.queue(fd), self.queue(fd)
        answer = AIO_ALLDONE
        if request is not None and request.fd != fd:
            answer = -errno.EINVAL
        elif request is None and queue:
            taken = self.taken(queue[0]) is not None
            answer, left = (AIO_NOTCANCELED, queue[:1]) if taken else (AIO_CANCELED, ())
        elif request in queue:
            taken = self.taken(request) is not None
            answer = AIO_NOTCANCELED if taken else AIO_CANCELED
            left = queue if taken else tuple(r for r in queue if r != request)
        gone = [r for r in queue if r not in left]
        now = replace(
            self._with_queue(fd, left), runlist=tuple(r for r in self.runlist if r not in gone)
        )
        now = now._after_cancel(fd)
        done = tuple(Done(r, errno.ECANCELED, -1) for r in gone)
        event = f"aio_cancel({fd}, {request.name if request else 'NULL'}) = {answer}"
        return replace(now, done=now.done + done, answers=(*now.answers, answer), event=event)

    # The world outside.

    def feed(self, fd: int) -> Glibc:
        """The peer sends one byte."""
        if fd in self.closed or fd in self.files:
            return replace(self, event=f"nothing can be sent to fd {fd}")
        return replace(self._with_bytes(fd, +1), event=f"a byte arrives on fd {fd}")

    def shut(self, fd: int) -> Glibc:
        """shutdown(fd, SHUT_RD). Reads return 0 once what had arrived is read."""
        return replace(
            self, closed=self.closed | {fd} - self.files, event=f"shutdown(fd {fd}, SHUT_RD)"
        )

    def threads_allowed(self, may_clone: bool) -> Glibc:
        return replace(
            self, may_clone=may_clone, event=f"pthread_create {'works' if may_clone else 'fails'}"
        )

    def second_passes(self) -> Glibc:
        """aio_idle_time runs out, and every idle helper leaves."""
        rest = tuple(helper for helper in self.helpers if helper.doing is not Doing.IDLE)
        return replace(
            self, helpers=rest, event=f"{len(self.helpers) - len(rest)} idle helpers leave"
        )

    # What the helpers do by themselves.

    def moves(self) -> list[Glibc]:
        """Every moment that one step of a helper can lead to. Empty if all are blocked or idle."""
        found: dict[Glibc, None] = {}
        for helper in sorted(self.helpers, key=lambda helper: helper.number):
            if helper.request is not None and self.ready(helper.request):
                then = self._finish(helper, helper.request)
            elif helper.doing in (Doing.STARTING, Doing.WOKEN):
                then = self._look(helper, may_wait=helper.doing is Doing.STARTING)
            else:
                continue
            found.setdefault(replace(then, event=f"helper {helper.number} {then.event}"))
        return list(found)

    def steps(self) -> Iterator[Glibc]:
        """The moments until nothing moves. It is one way of many where several helpers are free."""
        now = self
        while moves := now.moves():
            now = moves[0]
            yield now

    def settle(self) -> Glibc:
        return (self, *self.steps())[-1]

    def ready(self, request: Request) -> bool:
        fd = request.fd
        return request.op is not Op.READ or fd in self.files | self.closed or self.unread(fd) > 0

    def _finish(self, helper: Helper, request: Request) -> Glibc:
        """After the I/O come, in one go, result, notification, the next head into the runlist, the
        next work.
        """
        fd, now = request.fd, self
        error, value = 0, 1
        if request.op is Op.SYNC:
            error, value = (0, 0) if fd in self.files else (errno.EINVAL, -1)
        elif request.op is Op.READ and fd not in self.files:
            value = min(1, self.unread(fd))
            now = now._with_bytes(fd, -value)
        rest = self.queue(fd)[1:]
        now = replace(now._with_queue(fd, rest), done=(*self.done, Done(request, error, value)))
        if rest:
            now = now._to_runlist(rest[0])
        now = now._look(helper, may_wait=True)
        return replace(now, event=f"completes {request.name} and {now.event}")

    def _look(self, helper: Helper, may_wait: bool) -> Glibc:
        """Take the first of the runlist. If more is left, see that somebody comes for it."""
        others = tuple(other for other in self.helpers if other.number != helper.number)
        if not self.runlist:
            stays = may_wait and self.stays_idle
            left = (replace(helper, doing=Doing.IDLE, request=None),) if stays else ()
            return replace(
                self._with_helpers(others + left), event="is idle" if stays else "leaves"
            )
        request, *rest = self.runlist
        helper = replace(helper, doing=Doing.WORKING, request=request)
        now = replace(self._with_helpers((*others, helper)), runlist=tuple(rest))
        if rest and now.idle:
            now = now._wake_one()
        elif rest:
            now = now._start_helper(None) or now
        return replace(now, event=f"takes {request.name}")

    def _enqueue(self, request: Request) -> tuple[Glibc, bool, int]:
        """Behind the head of its descriptor, or as a new head: then, accepted or not, errno left
        behind.
        """
        if queue := self.queue(request.fd):
            return self._with_queue(request.fd, self._placed(queue, request)), True, 0
        now = self._with_queue(request.fd, (request,))
        if self.idle or len(self.helpers) == self.aio_threads:
            return now._to_runlist(request)._wake_one(), True, 0
        if started := now._start_helper(request):
            return started, True, 0
        if self.helpers:
            return now._to_runlist(request), True, errno.EAGAIN
        return self, False, errno.EAGAIN

    @staticmethod
    def _placed(queue: tuple[Request, ...], request: Request) -> tuple[Request, ...]:
        behind = [other for other in queue[1:] if other.priority < request.priority]
        at = len(queue) - len(behind)
        return (*queue[:at], request, *queue[at:])

    def _after_cancel(self, fd: int) -> Glibc:
        return self  # glibc does not put the new head into the runlist, which is the bug

    def _to_runlist(self, request: Request) -> Glibc:
        at = sum(other.priority >= request.priority for other in self.runlist)
        return replace(self, runlist=(*self.runlist[:at], request, *self.runlist[at:]))

    def _wake_one(self) -> Glibc:
        """pthread_cond_signal. Nothing happens when nobody waits, or all who do have been woken."""
        for helper in self.helpers:
            if helper.doing is Doing.IDLE:
                others = tuple(other for other in self.helpers if other is not helper)
                return self._with_helpers((*others, replace(helper, doing=Doing.WOKEN)))
        return self

    def _start_helper(self, request: Request | None) -> Glibc | None:
        if len(self.helpers) >= self.aio_threads or not self.may_clone:
            return None
        helper = Helper(self.created + 1, Doing.WORKING if request else Doing.STARTING, request)
        return replace(self._with_helpers((*self.helpers, helper)), created=self.created + 1)

    def unread(self, fd: int) -> int:
        return dict(self.fed).get(fd, 0)

    def _with_bytes(self, fd: int, more: int) -> Glibc:
        waiting = dict(self.fed) | {fd: self.unread(fd) + more}
        return replace(self, fed=frozenset(item for item in waiting.items() if item[1]))

    def _with_helpers(self, helpers: tuple[Helper, ...]) -> Glibc:
        # sorted, so that two moments that differ only in who is who are equal
        ordered = sorted(
            helpers, key=lambda h: (h.doing.value, h.request.name if h.request else "")
        )
        return replace(self, helpers=tuple(ordered))

    def _with_queue(self, fd: int, queue: tuple[Request, ...]) -> Glibc:
        queues = [other for other in self.requests if other[0].fd != fd] + [queue] * bool(queue)
        return replace(self, requests=tuple(sorted(queues, key=lambda queue: queue[0].fd)))
