"""The page of a trace in a real browser: it shows at each moment what the replay has there."""

from __future__ import annotations

import html as entities
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from aio_posix.study.echoes.counting import may_trace
from aio_posix.study.replay import Replay, replay
from aio_posix.study.trace import Timeline, command
from aio_posix.study.trace.html import html

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or ""
browser = pytest.mark.skipif(not BROWSER, reason="needs chromium")
straced = pytest.mark.skipif(not may_trace(), reason="needs strace, and to be allowed to trace")
STARVED = """
import os, socket, time
from aio_posix import *
aio_init(aio_threads=2)
pairs = [socket.socketpair() for _ in range(3)]
file = os.open(__file__, os.O_RDONLY)
told = []
sig = sigevent(SIGEV_THREAD, sigev_notify_function=told.append)
for ours, _ in pairs:
    aio_read(aiocb(ours, bytearray(1), aio_sigevent=sig))
aio_read(waiting := aiocb(file, bytearray(1), aio_sigevent=sig, aio_reqprio=1))
assert not aio_suspend([waiting], timeout=0.1)
for _, peer in pairs:
    peer.send(b"!")
while len(told) < 4:
    time.sleep(0.001)
"""
MANY = """
import os, random
from aio_posix import *
random.seed(7)
aio_init(aio_threads=5)
fds = [os.open(__file__, os.O_RDONLY) for _ in range(9)]
with CompletionQueue() as queue:
    sig, left = queue.sigevent(), 600
    for _ in range(60):
        lio_listio(LIO_NOWAIT, [
            aiocb(random.choice(fds), bytearray(8), aio_sigevent=sig, aio_lio_opcode=LIO_READ,
                  aio_reqprio=random.choice([0, 0, 1, 5]))
            for _ in range(10)
        ])
        left -= len(queue.get(0))
    while left:
        left -= len(queue.get())
"""


def recorded(program: str, directory: Path) -> tuple[Timeline, Replay]:
    script = directory / "program.py"
    script.write_text(program)
    status, line = command.run(command.Program(str(script), []), directory)
    assert status == 0
    assert isinstance(line, Timeline)
    return line, replay(line.flights, line.lives, line.aio_threads)


def shown(page: Path, moment: int) -> str:
    """The document when it shows this moment."""
    run = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    ran = subprocess.run(
        [*run, f"file://{page}#m={moment}"], capture_output=True, text=True, timeout=120, check=True
    )
    return ran.stdout


def panels(document: str) -> list[list[str]]:
    """The boxes of the pool, of the runlist and what is owed, and of the queues."""
    parts = document.partition('<div id="panels"')[2].partition('<div id="pinned"')[0].split("<h2>")
    boxes = [re.findall(r'class="box [^>]*>([^<]*)<', part) for part in parts[1:]]
    return [[entities.unescape(words) for words in part] for part in boxes]


@straced
@pytest.mark.parametrize("program", [STARVED, MANY], ids=["starved", "many"])
def test_glibc_did_what_the_model_allows(program: str, tmp_path: Path) -> None:
    line, found = recorded(program, tmp_path)
    assert [moment for moment in found.moments if moment.contradiction] == []
    assert (found.queues, found.runlist, found.owed) == ({}, [], {})
    assert all(flight.ended is not None for flight in line.flights)


@straced
def test_the_page_marks_the_starved_moment_and_says_what_ended_it(tmp_path: Path) -> None:
    page = html(recorded(STARVED, tmp_path)[0])
    assert re.search(r"all 2 helpers were busy, and up to 2 requests waited for one", page)
    assert re.search(r"What ended it: helper \d completes read fd \d+, takes read fd \d+\.", page)
    assert "aio_init(aio_threads=4)" in page


@straced
def test_a_pool_of_one_helper_is_starved_in_the_singular(tmp_path: Path) -> None:
    one = STARVED.replace("aio_init(aio_threads=2)", "aio_init(aio_threads=1)")
    page = html(recorded(one, tmp_path)[0])
    assert re.search(r"the only helper was busy, and up to 3 requests waited for it\b", page)


@browser
@straced
def test_the_browser_shows_each_moment_as_the_replay_has_it(tmp_path: Path) -> None:
    line, found = recorded(STARVED, tmp_path)
    page = tmp_path / "page.html"
    page.write_text(html(line), encoding="utf-8")
    names = {flight.serial: flight.name for flight in line.flights}
    checked = sorted({0, 3, len(found.moments) // 2, len(found.moments) - 1})
    queues: dict[int, list[int]] = {}
    runlist: list[int] = []
    for number, moment in enumerate(found.moments):
        for change in moment.changes:
            if change.what == "queue":
                queues.setdefault(change.key, []).insert(change.at, change.of)
            elif change.what == "no queue":
                queues[change.key].remove(change.of)
            elif change.what == "runlist":
                runlist.insert(change.at, change.of)
            elif change.what == "no runlist":
                runlist.remove(change.of)
        if number in checked:
            document = shown(page, number)
            _, first, _, requests = panels(document)
            assert f"moment {number + 1} of {len(found.moments)}" in document
            assert first == [names[serial] for serial in runlist]
            assert requests == [names[serial] for fd in sorted(queues) for serial in queues[fd]]


@browser
def test_the_browser_finds_no_fault_in_a_page_without_strace(tmp_path: Path) -> None:
    from test_study_timeline import EVENTS, timeline

    page = tmp_path / "page.html"
    page.write_text(html(timeline(EVENTS, None, "here")), encoding="utf-8")
    document = shown(page, 0)
    assert "unknown: strace did not watch" in document
    assert panels(document)[3] == ["read fd 7"]
