"""Lesson 16: what an awaited read does: page cache, list, lane, helper."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter

from aio_posix.asyncio import nowait, read
from aio_posix.study.lesson import Show
from aio_posix.study.look import blocked
from aio_posix.study.trace.event import Event, What
from aio_posix.study.trace.recorder import Recorder

NUMBER = 16
ASK = "await read(fd, 512, 0): which thread reads, and what does glibc hear of it?"
GUESS = "Each awaited read is an aio_read with a callback that wakes the event loop."
SOURCE = """
aio_posix/asyncio: preadv2 with RWF_NOWAIT reads what is in the page cache, in the loop
itself. What one turn of the loop asked for beyond that goes to glibc in one list.
rt/lio_listio-common.c: lio_listio_internal enqueues it under one lock. rt/aio_misc.c:
handle_fildes_io reads it, one helper for each descriptor. Standing threads of C wait in
rt/aio_suspend.c: aio_suspend for whole lists, so no read needs a thread of its own.
"""
TRY = """
Open the file with os.O_RDONLY | os.O_DIRECT, and print the fd of each event that is a
What.REQUEST: the reads of one gather spread over duplicates of the descriptor. They are
lanes, each with a queue and a helper of its own.
"""


def recorded(coroutine: object) -> list[Event]:
    with Recorder() as recorder:
        asyncio.run(coroutine)  # type: ignore[arg-type]
    return recorder.events


def counted(events: list[Event]) -> str:
    count = Counter(event.what for event in events)
    lists = [len(event.of) for event in events if event.what is What.SUBMISSION]
    return f"requests {count[What.REQUEST]}, lists of {lists}"


def run(show: Show) -> None:
    file = os.open(__file__, os.O_RDONLY)
    os.pread(file, 512, 0)  # now it is in the page cache

    async def one() -> None:
        assert len(await read(file, 512, 0)) == 512

    async def eight() -> None:
        texts = await asyncio.gather(*[read(file, 64, 64 * n) for n in range(8)])
        assert b"".join(texts) == os.pread(file, 512, 0)

    events = recorded(one())
    cached = sum(event.what is What.CACHED for event in events)
    show("One read of what is in the page cache: answered by the loop itself", cached,
         "- 0 where the file system cannot tell", measured=True)  # fmt: skip
    assert cached + sum(event.what is What.REQUEST for event in events) == 1

    nowait(False)
    events = recorded(eight())
    show("The page cache is not asked any more. Eight reads in one turn of the loop:")
    show(" ", counted(events))
    assert counted(events) == "requests 8, lists of [8]"
    loop = {event.tid for event in events}
    show("  all asked for and handed out by the main thread:", loop == {os.getpid()})
    assert loop == {os.getpid()}

    async def one_after_another() -> None:
        for _ in range(8):
            await one()

    events = recorded(one_after_another())
    show("Eight reads, each awaited before the next:", counted(events))
    assert counted(events) == "requests 8, lists of [1, 1, 1, 1, 1, 1, 1, 1]"

    there, here = os.pipe()

    async def silent() -> None:
        asking = asyncio.ensure_future(read(there, 1, 0))
        await asyncio.sleep(0.1)
        helpers = len(blocked(there))
        show("A read of a pipe with nothing in it: helpers that wait for it", helpers)
        assert helpers == 0
        os.write(here, b"!")
        assert await asking == b"!"

    asyncio.run(silent())
    python = [one.name for one in threading.enumerate()]
    show("Threads of Python that all this needed:", len(python) - 1)
    assert len(python) == 1
