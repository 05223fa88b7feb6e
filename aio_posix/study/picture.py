"""A moment of the model as text for people, with the two lists, the pool, and what is done."""

from __future__ import annotations

from aio_posix.study.model import Glibc
from aio_posix.study.parts import Doing, Helper, Op, Request


def picture(now: Glibc) -> str:
    """The moment in a few lines; `>` marks what a helper holds, `!` a head that nobody will ever
    take.
    """
    lines = [now.event]
    for queue in now.requests:
        label = "requests" if queue is now.requests[0] else ""
        rest = " <- ".join([_head(now, queue[0]), *map(_named, queue[1:])])
        lines.append(f"  {label:<9} fd {queue[0].fd:<3} {rest}")
    lines.append(
        f"  runlist   {'  '.join(_named(request) for request in now.runlist) or '(empty)'}"
    )
    label = f"{len(now.helpers)} of {now.aio_threads} threads"
    lines.append(f"  pool      {label}")
    lines += [f"            {_helper(now, h)}" for h in sorted(now.helpers, key=lambda h: h.number)]
    if now.done:
        lines.append(f"  done      {now.order}")
    return "\n".join(lines)


def _named(request: Request) -> str:
    return request.name + (f"({request.aio_reqprio})" if request.aio_reqprio else "")


def _head(now: Glibc, request: Request) -> str:
    if now.taken(request):
        return f">{_named(request)}"
    return f"!{_named(request)}" if request in now.orphans else _named(request)


def _helper(now: Glibc, helper: Helper) -> str:
    if helper.request is None:
        return f"helper {helper.number} is {helper.doing.value}"
    blocked = helper.request.op is Op.READ and not now.ready(helper.request)
    verb = "blocked in" if blocked and helper.doing is Doing.WORKING else "in"
    request = helper.request
    return f"helper {helper.number} is {verb} {request.op.value} {request.name} of fd {request.fd}"
