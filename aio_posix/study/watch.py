"""ps --watch looks at processes every second, until the last of them has ended or Ctrl-C.

At a terminal it is a table that stays in place, where rich is installed. Otherwise each look is
written below the one before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from aio_posix.study.console import is_terminal, legible, room, say
from aio_posix.study.described import bar, nothing, sentences, text
from aio_posix.study.history import History
from aio_posix.study.reports import Report, has_aio

if TYPE_CHECKING:
    from rich.console import Group

PERIOD = 1  # seconds between two looks, as long as an idle helper lives


class Watched(NamedTuple):
    report: Report
    history: History


def watch(
    pids: Callable[[], list[int]],
    seen: Callable[[int], Report],
    shows: Callable[[Report], None] | None,
) -> int:
    """Watches until the end and returns the exit status. `pids` gives the processes of the moment,
    and `shows` replaces the words.
    """
    histories: dict[int, History] = {}
    looked = False
    with ExitStack() as screen:
        show = _table(screen) if shows is None else None
        try:
            while True:
                watched, complaint = [], ""
                for pid in pids():
                    try:
                        found = seen(pid)
                    except (ProcessLookupError, PermissionError) as error:
                        complaint = str(error)
                        continue
                    history = histories.setdefault(pid, History())
                    if history.busy or has_aio(found):
                        history.add(found.helpers - found.idle, found.aio_threads)
                    watched.append(Watched(found, history))
                if not watched:
                    if looked:
                        return 0  # watched until their end
                    print(f"ps: {complaint}", file=sys.stderr)
                    return 1
                looked = True
                if shows is not None:
                    for one in watched:
                        shows(one.report)
                elif show is not None:
                    show(watched)
                time.sleep(PERIOD)
        except KeyboardInterrupt:
            return 0


def _table(screen: ExitStack) -> Callable[[list[Watched]], None]:
    if is_terminal():
        try:
            from rich.live import Live
        except ImportError:
            return lambda watched: say("\x1b[H\x1b[2J" + plain(watched))
        live = screen.enter_context(Live(auto_refresh=False))
        return lambda watched: live.update(table(watched), refresh=True)
    return lambda watched: say(plain(watched))


def plain(watched: list[Watched]) -> str:
    parts = []
    for found, history in watched:
        words = text(found, room()) if has_aio(found) else nothing(found)
        parts.append(f"{words}\n{history}" if history.busy else words)
    return "\n\n".join(parts)


def table(watched: list[Watched]) -> Group:
    """A table with a row for each process, and below it what is wrong in which process."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    rows = Table(box=None, pad_edge=False, header_style="bold")
    rows.add_column("process", overflow="fold")
    rows.add_column("helpers", overflow="fold")
    rows.add_column("waiting", justify="right")
    rows.add_column("in flight", justify="right")
    rows.add_column("busy, look after look", overflow="fold")
    lines = []
    for found, history in watched:
        waits = sum(queue.behind + (queue.head != "taken") for queue in found.queues or ())
        marks = Text(legible(history.marks))
        for at, full in enumerate(history.full):
            if full:
                marks.stylize("bold red", at, at + 1)
        rows.add_row(
            Text(legible(f"{found.name} ({found.pid})")),
            Text(f"{bar(found)}{found.helpers}, {found.idle} idle" if has_aio(found) else "none"),
            "unknown" if found.queues is None and found.helpers > found.idle else str(waits),
            str(found.stats.in_flight) if found.stats else "",
            marks,
        )
        if often := sum(history.full):
            lines.append(f"{found.pid}: the pool was full in {often} of {len(history.full)} looks")
        lines += [f"{found.pid}: {words}" for words in sentences(found)]
    return Group(rows, *(Text(legible(line)) for line in lines))
