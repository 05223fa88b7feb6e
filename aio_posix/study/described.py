"""A report in words. It lists the threads. Then it says what is wrong and what would help.

Four states are found: a full pool with more to do, a queue with many behind its head, a callback
that blocks, and a helper that could not be started. A queue that glibc forgot is a fifth, a bug.
"""

from __future__ import annotations

from collections.abc import Iterator

from aio_posix.study.console import ENDLESS, hanging
from aio_posix.study.reports import LOCK, Report

NOBODY = "nobody"  # shown where a helper would stand, if there is none for a request
WIDEST = 64  # a larger pool is not drawn
MANY = 2  # requests behind a head that are worth a sentence


def text(found: Report, width: int = ENDLESS) -> str:
    who = max(
        [len(row.kind) for row in found.rows] + [len(NOBODY)] * bool(found.unserved), default=0
    )
    rows = [(str(row.tid), row.kind, str(row)) for row in found.rows]
    rows += [("-", NOBODY, one) for one in found.unserved]
    lines = [hanging("", f"{found.name} ({found.pid})", width), hanging("", pool(found), width)]
    lines += [hanging(f"{tid:>8}  {kind:<{who}}  ", words, width) for tid, kind, words in rows]
    if found.own_threads:
        lines.append(f"          and {found.own_threads} of the program's own")
    if found.stats is not None:
        lines.append(hanging("", counted(found), width))
    return "\n".join([*lines, *(hanging("", words, width) for words in sentences(found))])


def pool(found: Report) -> str:
    most = found.aio_threads if found.aio_threads is not None else "an unknown number of"
    busy = found.helpers - found.idle
    return f"{bar(found)}{found.helpers} of {most} helpers, {busy} busy, {found.idle} idle"


def bar(found: Report) -> str:
    """# for a busy helper, - for an idle one, . for one that has not been started."""
    if found.aio_threads is None or not found.helpers <= found.aio_threads <= WIDEST:
        return ""
    busy, absent = found.helpers - found.idle, found.aio_threads - found.helpers
    return f"[{'#' * busy}{'-' * found.idle}{'.' * absent}] "


def counted(found: Report) -> str:
    stats = found.stats
    return (
        f"aio_posix.stats(): {stats.in_flight} in flight, {stats.submitted} submitted, "
        f"{stats.completed} completed, {stats.cancelled} of them cancelled, "
        f"{stats.delivered_late} delivered late"
        if stats
        else ""
    )


def sentences(found: Report) -> Iterator[str]:
    """What is wrong, why, and what would help."""
    if found.calls_hidden:
        why = "kernel.yama.ptrace_scope, or a process that may not be traced"
        yield f"system calls are hidden: {why}"
    behind = sum(row.kind == "notification" and row.doing == LOCK for row in found.rows)
    blocks = [row for row in found.rows if row.kind == "notification" and row.fd is not None]
    if blocks and len(blocks) + behind > 1:
        first = f"{blocks[0].doing} of fd {blocks[0].fd}"
        some = "a callback is" if len(blocks) == 1 else f"{len(blocks)} callbacks are"
        more = f"; {behind} more wait for a lock, perhaps one that it holds" if behind else ""
        yield (
            f"{some} blocked in {first}{more}: a callback that blocks keeps its thread, and holds "
            "up those after it; blocking calls are for threads of the program's own"
        )
    full = found.helpers == found.aio_threads and not found.idle
    if full:
        yield "the pool is full: what is submitted now waits until one of these calls returns"
    if full and (count := len(found.unserved)):
        yield (
            f"{count} wait{'s' * (count == 1)} for that: a blocked call holds its helper until its "
            "own peer speaks or goes; aio_init(aio_threads=...) before the first request makes "
            f"more than {found.helpers}"
        )
    if found.forbidden and not found.helpers:
        yield f"no helper can be started: {found.forbidden}; aio_read fails with EAGAIN"
    elif found.forbidden:
        yield (
            f"glibc could not start another helper: {found.forbidden}; what waits is served when "
            "one of these calls returns, or when a later request can start a helper"
        )
    for queue in found.queues or ():
        if queue.head == "orphaned":
            lost = queue.behind + 1
            yield (
                f"fd {queue.fd}: no helper will take its {lost} queued request{'s' * (lost > 1)}: "
                "the one before was cancelled while it waited for a helper, and glibc forgot what "
                "was behind it"
            )
        elif queue.behind >= MANY:
            yield (
                f"fd {queue.fd}: {queue.behind} requests wait behind its first: glibc does one "
                "request of a descriptor at a time; a dup() has a queue of its own"
            )


def nothing(found: Report) -> str:
    why = "it does not use AIO, or has had no request for a second"
    if found.forbidden:
        why += f", or it cannot: {found.forbidden}"
    return f"{found.name} ({found.pid}) has no AIO thread: {why}"
