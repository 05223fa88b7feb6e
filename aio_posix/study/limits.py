"""python -m aio_posix limits [--json]: what this system allows AIO, and what follows from it.

Facts (read) -> rows, each with one sentence (pure) -> text. A limit that cannot be read is None and
is shown as unknown. If there is no limit, it is INFINITE.
"""

from __future__ import annotations

import errno
import json
from dataclasses import asdict, dataclass

from aio_posix.study.allowed import INFINITE, Facts, read
from aio_posix.study.console import Parser, columns, hanging, say


@dataclass(frozen=True)
class Row:
    name: str
    value: str
    meaning: str


def at_once(facts: Facts) -> tuple[float, str]:
    """About how many reads can be blocked at once, each in a thread and on a descriptor of its own,
    and why.
    """
    bounds: dict[str, float | None] = {
        "RLIMIT_NPROC": None if facts.root else facts.nproc,  # does not bind root
        "cgroup pids.max": facts.pids_max,
        "kernel.threads-max": facts.threads_max,
        "kernel.pid_max": facts.pid_max,
        "RLIMIT_NOFILE": facts.nofile,
        "vm.max_map_count": facts.max_map_count and facts.max_map_count // facts.helper_mappings,
    }
    if facts.pids_max is not None and facts.pids_current is not None:
        bounds["cgroup pids.max"] = max(0, facts.pids_max - facts.pids_current)
    return min(
        ((most, name) for name, most in bounds.items() if most is not None),
        default=(INFINITE, "nothing"),
    )


def rows(facts: Facts) -> list[Row]:
    most, by = at_once(facts)
    listio = (
        "any number of entries" if facts.aio_listio_max == INFINITE else "so many entries at most"
    )
    return [
        Row("C library", facts.libc or "not glibc", _on_libc(facts.libc)),
        Row(
            "blocked reads",
            f"< {_show(most)}",
            f"So many at once if aio_init asks for the threads: {by} ends it.",
        ),
        Row(
            "pool",
            "20",
            "glibc's default: the 21st blocked read waits, and every file behind it; see aio_init.",
        ),
        Row("RLIMIT_NPROC", _show(facts.nproc), _on_nproc(facts)),
        Row(
            "RLIMIT_NOFILE",
            _show(facts.nofile),
            "A descriptor for each file or client, and for each duplicate.",
        ),
        Row("RLIMIT_SIGPENDING", _show(facts.sigpending), _on_sigpending(facts)),
        Row("RLIMIT_STACK", _stack(facts.stack), _on_stack(facts)),
        Row("cgroup pids.max", _show(facts.pids_max), _on_pids(facts)),
        Row(
            "kernel.threads-max", _show(facts.threads_max), "Threads of the whole system together."
        ),
        Row(
            "kernel.pid_max",
            _show(facts.pid_max),
            "Every thread of the whole system has a number below it.",
        ),
        Row(
            "vm.max_map_count",
            _show(facts.max_map_count),
            _on_mappings(facts),
        ),
        Row(
            "AIO_MAX",
            _show(facts.aio_max),
            "glibc refuses no request for their number: memory is the limit.",
        ),
        Row(
            "AIO_LISTIO_MAX",
            _show(facts.aio_listio_max),
            f"A list may have {listio}; aio_posix cuts long ones.",
        ),
        Row(
            "AIO_PRIO_DELTA_MAX",
            _show(facts.aio_prio_delta_max),
            "aio_reqprio: 0 is most urgent, this is least.",
        ),
        Row("io_uring_disabled", _show(facts.io_uring_disabled), _on_io_uring(facts)),
    ]


def _show(value: float | None) -> str:
    if value is None:
        return "unknown"
    return "no limit" if value == INFINITE else f"{value:.0f}"


def _stack(size: float) -> str:
    return "no limit" if size == INFINITE else f"{size / (1 << 20):g} MiB"


def _on_libc(libc: str) -> str:
    if libc:
        return "AIO is glibc's: a pool of helper threads, one queue for each descriptor."
    return "aio_posix and what it says here are about glibc; other C libraries do AIO differently."


def _on_nproc(facts: Facts) -> str:
    if facts.root:
        return "Does not bind root; for others it counts all threads of the user."
    return "Counts all threads of the user; at the limit requests wait, notifications are lost."


def _on_sigpending(facts: Facts) -> str:
    return "With SIGEV_SIGNAL, more signals not yet taken turn good results into EAGAIN."


def _on_stack(facts: Facts) -> str:
    if facts.stack == INFINITE:
        return "A SIGEV_THREAD notification reserves the default of pthread_create."
    return "Address space that each SIGEV_THREAD notification without attributes reserves."


def _on_pids(facts: Facts) -> str:
    if facts.pids_max in (None, INFINITE):
        return "No cgroup that can be seen here limits the number of threads."
    return (
        f"{_show(facts.pids_current)} in use; at the limit requests wait, notifications are lost."
    )


def _on_mappings(facts: Facts) -> str:
    if facts.helper_mappings == 1:
        return "A helper takes one mapping at most: its guard is part of its stack's."
    return "A helper takes two mappings: its stack and a guard."


def _on_io_uring(facts: Facts) -> str:
    if facts.io_uring_errno == errno.EFAULT:
        return "io_uring may be used by this process too."
    reason = errno.errorcode.get(facts.io_uring_errno, str(facts.io_uring_errno))
    return (
        f"io_uring is refused to this process ({reason}); POSIX AIO needs nothing from the kernel."
    )


def text(table: list[Row], width: int) -> str:
    name, value = max(len(row.name) for row in table), max(len(row.value) for row in table)
    return "\n".join(
        hanging(f"{row.name:<{name}}  {row.value:>{value}}  ", row.meaning, width) for row in table
    )


def main(argv: list[str]) -> int:
    parser = Parser("aio-posix limits", description="what this system allows AIO")
    parser.add_argument(
        "--json", action="store_true", help="the facts: -1 is no limit, null unknown"
    )
    options = parser.parse_args(argv)
    facts = read()
    if options.json:
        print(
            json.dumps(
                {name: -1 if value == INFINITE else value for name, value in asdict(facts).items()}
            )
        )
    else:
        say(text(rows(facts), columns()))
    return 0
