"""The facts of limits are those of this system, and each sentence follows from its fact."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aio_posix.study import allowed, limits
from aio_posix.study.allowed import INFINITE, Facts

FACTS = Facts(
    libc="glibc 2.36",
    root=False,
    aio_max=INFINITE,
    aio_listio_max=INFINITE,
    aio_prio_delta_max=20,
    nproc=5000,
    nofile=1024,
    sigpending=96000,
    stack=8 << 20,
    pids_max=INFINITE,
    pids_current=100,
    threads_max=190000,
    pid_max=32768,
    max_map_count=65530,
    helper_mappings=2,
    io_uring_disabled=0,
    io_uring_errno=errno.EFAULT,
)


def row(name: str, facts: Facts) -> limits.Row:
    return next(row for row in limits.rows(facts) if row.name == name)


def test_the_facts_are_those_of_this_process() -> None:
    facts = limits.read()
    assert facts.libc == os.confstr("CS_GNU_LIBC_VERSION")
    assert facts.aio_prio_delta_max == os.sysconf("SC_AIO_PRIO_DELTA_MAX")
    assert facts.nofile == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert facts.pid_max == int(Path("/proc/sys/kernel/pid_max").read_text())
    assert facts.io_uring_errno in (errno.EFAULT, errno.EPERM, errno.ENOSYS)


def test_a_limit_set_for_the_process_is_the_one_shown() -> None:
    program = """
import resource
for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_SIGPENDING):
    resource.setrlimit(which, (77, resource.getrlimit(which)[1]))
from aio_posix.study import allowed
facts = allowed.read()
print(facts.nofile, facts.sigpending)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.split() == ["77", "77"]


def test_every_row_has_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for one in limits.rows(limits.read()):
        assert one.meaning.endswith(".")
        assert one.meaning.count(". ") == 0
    assert limits.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split("  ")[0] for line in lines if not line.startswith(" ")]
    assert names == [one.name for one in limits.rows(FACTS)]


def test_json_tells_no_limit_from_unknown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "read", lambda: replace(FACTS, pids_max=None))
    assert limits.main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["aio_max"], found["pids_max"], found["nofile"]) == (-1, None, 1024)


def test_the_tightest_limit_bounds_the_blocked_reads() -> None:
    assert limits.at_once(FACTS) == (1024, "RLIMIT_NOFILE")
    wide = replace(FACTS, nofile=INFINITE)
    assert limits.at_once(wide) == (5000, "RLIMIT_NPROC")
    assert limits.at_once(replace(wide, root=True)) == (32765, "vm.max_map_count")
    assert limits.at_once(replace(wide, pids_max=300)) == (200, "cgroup pids.max")
    assert limits.at_once(replace(wide, pids_max=300, pids_current=None)) == (
        300,
        "cgroup pids.max",
    )


def test_a_guard_inside_the_mapping_of_a_stack_leaves_room_for_twice_the_helpers() -> None:
    most = replace(FACTS, nofile=INFINITE, root=True)
    assert limits.at_once(most) == (32765, "vm.max_map_count")
    inside = replace(most, helper_mappings=1, pid_max=None)
    assert limits.at_once(inside) == (65530, "vm.max_map_count")
    assert "one mapping" in row("vm.max_map_count", inside).meaning
    assert "two mappings" in row("vm.max_map_count", FACTS).meaning


MANY = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
thread = ctypes.c_void_p()
def mappings():
    with open("/proc/self/maps", "rb") as maps:
        return maps.read().count(b"\\n")
before = mappings()
for _ in range(50):
    libc.pthread_create(ctypes.byref(thread), None, libc.pause, None)
print(mappings() - before)
os._exit(0)
"""


def test_the_number_of_mappings_of_a_thread_is_what_threads_take() -> None:
    ran = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, timeout=60)
    many = int(ran.stdout) / 50
    assert (many > 1.5) == (limits.read().helper_mappings == 2)


def test_mounts_with_odd_names_are_read_and_lines_that_are_none_passed_over() -> None:
    line = r"36 35 98:0 / /mnt/two\040words rw,noatime master:1 - cgroup2 a\134b rw,pids"
    found = allowed.MOUNT.fullmatch(line)
    assert found is not None
    assert [*map(allowed._plain, found.groups())] == ["/", "/mnt/two words", "cgroup2", "rw,pids"]
    assert allowed.MOUNT.fullmatch("30 23 0:26 / /cgroup rw - cgroup2 none rw") is not None
    assert allowed.MOUNT.fullmatch("what a newline in a name leaves") is None


def test_what_cannot_be_read_is_unknown_and_bounds_nothing() -> None:
    blind = replace(FACTS, pids_max=None, threads_max=None, pid_max=None, max_map_count=None)
    assert row("kernel.pid_max", blind).value == "unknown"
    assert limits.at_once(blind) == (1024, "RLIMIT_NOFILE")


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_io_uring_refused_is_said_with_its_errno(number: int) -> None:
    refused = row("io_uring_disabled", replace(FACTS, io_uring_errno=number))
    assert f"refused to this process ({errno.errorcode[number]})" in refused.meaning


def test_another_c_library_is_said_to_be_another() -> None:
    assert row("C library", replace(FACTS, libc="")).value == "not glibc"


@pytest.mark.parametrize(
    ("cgroup", "mount"),
    [
        ("0::/a/b\n", "30 23 0:26 / {0} rw - cgroup2 cgroup2 rw\n"),
        ("8:pids:/a/b\n0::/\n", "39 31 0:36 / {0} rw - cgroup cgroup rw,pids\n"),
        ("0::/outer/a/b\n", "30 23 0:26 /outer {0} rw - cgroup2 cgroup2 rw\n"),
    ],
    ids=["v2", "v1", "v2 seen from a container"],
)
def test_pids_max_is_the_tightest_from_the_own_cgroup_upwards(
    cgroup: str, mount: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "cgroup"
    (top / "a/b").mkdir(parents=True)
    for directory, most, current in (("a/b", "max", "3"), ("a", "40", "7")):
        (top / directory / "pids.max").write_text(most + "\n")
        (top / directory / "pids.current").write_text(current + "\n")
    tables = {"/proc/self/cgroup": cgroup, "/proc/self/mountinfo": mount.format(top)}
    monkeypatch.setattr(allowed, "_table", lambda path: tables[path].splitlines())
    assert allowed.cgroup_pids() == (40, 7)
