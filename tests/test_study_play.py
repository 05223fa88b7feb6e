"""The model to play with: its notation, its server, and its page in a real browser."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from aio_posix.study.lesson import load
from aio_posix.study.notation import Wrong, parse
from aio_posix.study.play import Server, answer
from aio_posix.study.plays import PLAYS

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or ""


def orders(text: str) -> list[str]:
    return [now.order for _, now in parse(text).moments()]


def test_a_script_is_played_line_by_line() -> None:
    text = "threads 1\nfiles 8\nread A 8  # a file\n\nwrite B 8 prio 3, read C 8\nstep\nsettle\n"
    assert orders(text) == ["", "", "", "A", "A C", "A C B"]


def test_a_step_is_one_of_those_that_helpers_may_take() -> None:
    both = "read A 7\nread B 8\nshut 7\nshut 8\n"
    assert orders(both + "step 1")[-1] != orders(both + "step 2")[-1]
    with pytest.raises(Wrong, match="line 5: there is no step 3: 2 are possible"):
        orders(both + "step 3")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("dance", "line 1: what is `dance`"),
        ("read A", "line 1: `read A`"),
        ("read A five", "line 1: five: a number"),
        ("read A -1", "line 1: -1: a number"),
        ("read A " + "9" * 5000, f"line 1: {'9' * 40}...: a number from 0 to 999"),
        ("step " + "9" * 5000, f"line 1: {'9' * 40}...: a number from 1 to 99"),
        ("read A 5\nread A 6", "line 2: A was submitted before"),
        ("read 5 5", "line 1: 5: a name is no number"),
        ("read A 5\nthreads 2", "line 2: `threads` comes before all calls"),
        ("threads 0", "line 1: 0: a number from 1"),
        ("read A 5, fsync B 5", "line 1: lio_listio has no fsync"),
        ("cancel A", "line 1: A: a number"),
        ("files", "line 1: `threads 2` or `files 8 9`"),
        ("\n" * 500 + "settle", "line 501: a script has at most"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named(text: str, complaint: str) -> None:
    with pytest.raises(Wrong, match=re.escape(complaint)):
        parse(text)


def test_every_lesson_has_a_script_that_can_be_played() -> None:
    assert [*PLAYS] == [lesson.number for lesson in load()]
    for text in PLAYS.values():
        assert len([*parse(text).moments()]) > 1


def test_the_fsync_in_the_script_of_lesson_8_overtakes_a_less_urgent_write() -> None:
    assert orders(PLAYS[8])[-1].endswith("S E")


def play(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aio_posix", "study", "play", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("number", [8, 12, 13])
def test_the_real_glibc_does_what_the_script_of_a_lesson_does(number: int) -> None:
    ended = play(str(number), "--check", "--no-page")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "the model allows all that glibc did" in ended.stdout
    assert ended.stdout.count("  glibc  ") == ended.stdout.count("  model  ") > 0


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [(["0"], "no lesson 0: 1 to 18"), (["99"], "no lesson 99"), (["--no-page"], "with --check")],
)
def test_a_wrong_command_line_serves_nothing(arguments: list[str], wrong: str) -> None:
    ended = play(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert wrong in ended.stderr


@pytest.mark.parametrize("arguments", [["no/such/file"], ["/dev/null/x"], ["9" * 200]])
def test_no_such_script_is_one_line_on_stderr(arguments: list[str]) -> None:
    ended = play(*arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)


# The server.


@pytest.fixture
def server() -> Iterator[Server]:
    with Server("read A 5\n") as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def asked(
    server: Server, method: str, path: str, body: str = "", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        sent = {"Content-Length": str(len(body.encode())), **headers}
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body.encode())
        reply = connection.getresponse()
        return reply.status, reply.read(), reply.headers
    finally:
        connection.close()


def test_the_page_and_the_moments_are_below_the_secret(server: Server) -> None:
    status, page, headers = asked(server, "GET", f"/{server.secret}/")
    assert status == 200
    assert b"read A 5" in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    status, found, _ = asked(server, "POST", f"/{server.secret}/moments", "read A 5\nfeed 5\n")
    assert status == 200
    assert [one["event"] for one in json.loads(found)["moments"]][1:] == [
        "submit read A: 0",
        "a byte arrives on fd 5",
    ]
    assert json.loads(found)["moves"] == ["helper 1 completes A and is idle"]


def test_who_does_not_know_the_secret_gets_nothing(server: Server) -> None:
    for path in ("/", "/moments", "/wrong/", f"/{server.secret}", f"/{server.secret}/../x"):
        for method in ("GET", "POST"):
            assert asked(server, method, path)[0] == 404


def test_a_page_of_somebody_else_gets_nothing(server: Server) -> None:
    path, port = f"/{server.secret}/", server.server_address[1]
    for host in (f"evil.example:{port}", "127.0.0.1", f"localhost:{port}"):
        assert asked(server, "GET", path, Host=host)[0] == 404
    for origin in ("http://evil.example", "null", f"http://localhost:{port}"):
        assert asked(server, "POST", f"{path}moments", "", Origin=origin)[0] == 404
    ours = f"http://127.0.0.1:{port}"
    assert asked(server, "POST", f"{path}moments", "", Origin=ours)[0] == 200


def test_a_script_that_is_too_long_is_refused(server: Server) -> None:
    path = f"/{server.secret}/moments"
    assert asked(server, "POST", path, "#" * (1 << 17))[0] == 413
    for length in ("-1", "9" * 5000):
        assert asked(server, "POST", path, **{"Content-Length": length})[0] == 413


def test_the_server_listens_on_loopback_alone(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_wrong_line_is_told_with_the_moments_before_it() -> None:
    found = answer("read A 5\ncancel B\n")
    assert (found["line"], found["moments"]) == (2, [])
    found = answer("read A 5\nstep 3\n")
    assert (found["line"], len(found["moments"])) == (2, 2)


def test_the_moments_of_a_script_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aio_posix.study.play.MOST_MOMENTS", 3)
    assert "more than 3 moments" in answer("read A 5, read B 5\nshut 5\nsettle\n")["error"]


def test_the_requests_of_a_script_are_bounded() -> None:
    with pytest.raises(Wrong, match="at most 1000 requests"):
        parse(", ".join(f"read A{n} 5" for n in range(1001)))


@pytest.mark.skipif(not BROWSER, reason="needs chromium")
def test_the_browser_shows_the_moments_of_the_script(server: Server) -> None:
    run = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000"]
    ran = subprocess.run(
        [*run, "--dump-dom", server.address], capture_output=True, text=True, timeout=120
    )
    assert "moment 1 of 2" in ran.stdout
    assert re.search(r'id="error"[^>]*></p>', ran.stdout)
