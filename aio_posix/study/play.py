"""python -m aio_posix study play [SCRIPT | N]: the model to play with, in a browser.

It is served on loopback, on a free port, below a secret that is printed with the address. Whoever
does not know the secret gets nothing. Host and Origin are checked, so that a page of somebody else
cannot reach it through the reader's browser either. A request brings a script and gets the moments
that the model makes of it. No file, no process and no other part of this program can be reached.
"""

from __future__ import annotations

import json
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aio_posix.study.compare import Comparison, compare
from aio_posix.study.console import Parser, room, say, typed_number
from aio_posix.study.model import Glibc
from aio_posix.study.notation import Wrong, parse
from aio_posix.study.page import filled, read, script
from aio_posix.study.parts import Request
from aio_posix.study.plays import PLAYS

LONGEST = 64 << 10  # bytes of a script
MOST_MOMENTS = 2000


def main(argv: list[str]) -> int:
    parser = Parser("aio-posix study play", description="the model, to play with")
    parser.add_argument(
        "script", nargs="?", metavar="SCRIPT | N", help="a file, or the script of lesson N"
    )
    parser.add_argument(
        "--check", action="store_true", help="run it on the real glibc too; the page shows both"
    )
    parser.add_argument(
        "--no-page", action="store_true", help="with --check: only say whether both agree"
    )
    options = parser.parse_args(argv)
    number = 6 if options.script is None else typed_number(options.script)
    if number is not None and number not in PLAYS:
        parser.error(f"there is no lesson {number}: 1 to {len(PLAYS)}")
    if options.no_page and not options.check:
        parser.error("--no-page goes with --check")
    try:
        text = _text(options.script, number)
        play = parse(text)
        for _ in play.moments():
            pass
    except (OSError, UnicodeDecodeError) as error:
        return _complain(f"{options.script}: {getattr(error, 'strerror', None) or error}")
    except Wrong as error:
        return _complain(f"{options.script}: {error}")
    checked = None
    if options.check:
        try:
            checked = compare(play)
        except ValueError as error:
            return _complain(str(error))
        say(checked.text(room()))
        if options.no_page:
            return 0 if checked.agrees else 1
    with Server(text, checked) as server:
        say(f"the model is at {server.address}  (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _text(name: str, number: int | None) -> str:
    if number is not None:
        return PLAYS[number].strip() + "\n"
    return Path(name).read_text(encoding="utf-8")


def _complain(words: str) -> int:
    print(f"study play: {words}", file=sys.stderr)
    return 1


# --- the page


def answer(text: str) -> dict[str, Any]:
    """What the page shows: every moment, what may happen next, or which line is wrong."""
    moments: list[dict[str, Any]] = []
    found: dict[str, Any] = {"moments": moments, "moves": [], "error": "", "line": 0}
    try:
        now = None
        for line, now in parse(text).moments():
            if len(moments) >= MOST_MOMENTS:
                raise Wrong(line.number if line else 0, f"more than {MOST_MOMENTS} moments")
            moments.append(_moment(now, line.number if line else 0))
        found["moves"] = [move.event for move in now.moves()] if now else []
    except Wrong as error:
        found.update(error=str(error), line=error.line)
    return found


def _moment(now: Glibc, line: int) -> dict[str, Any]:
    return {
        "line": line,
        "event": now.event,
        "threads": now.aio_threads,
        "queues": [(queue[0].fd, list(map(_named, queue))) for queue in now.requests],
        "runlist": list(map(_named, now.runlist)),
        "helpers": [
            (one.number, _named(one.request) if one.request else "", one.doing.value)
            for one in sorted(now.helpers, key=lambda helper: helper.number)
        ],
        "files": sorted(now.files),
        "done": [(_named(done.request), done.error, done.value) for done in now.done],
        "answers": list(now.answers),
    }


def _named(request: Request) -> str:
    return f"{request.name} ({request.aio_reqprio})" if request.aio_reqprio else request.name


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, text: str, checked: Comparison | None = None) -> None:
        self.secret = secrets.token_urlsafe(18)
        super().__init__(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.page = filled(
            read("play.html"),
            {
                "STYLE": read("page.css"),
                "SCRIPT": read("model.js") + read("play.js"),
                "DATA": script(
                    {"text": text, "plays": PLAYS, "checked": checked and checked.plain()}
                ),
            },
        ).encode()

    @property
    def address(self) -> str:
        return f"http://{self.host}/{self.secret}/"


class Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "aio-posix", ""
    timeout = 30  # seconds for a request to arrive

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self._may("/"):
            self._reply(200, "text/html; charset=utf-8", self.server.page)

    def do_POST(self) -> None:
        if not self._may("/moments"):
            return
        length = typed_number(self.headers.get("Content-Length", ""))
        if length is None or length > LONGEST:
            self._reply(413, "text/plain", b"the script is too long\n")
            return
        text = self.rfile.read(length).decode("utf-8", "replace")
        self._reply(200, "application/json", json.dumps(answer(text)).encode())

    def _may(self, path: str) -> bool:
        """Whether it comes from our own page, in a browser of somebody who knows the secret."""
        ours = f"http://{self.server.host}"
        known = secrets.compare_digest(self.path.encode(), f"/{self.server.secret}{path}".encode())
        here = self.headers.get("Host") == self.server.host
        if known and here and self.headers.get("Origin", ours) == ours:
            return True
        self._reply(404, "text/plain", b"there is nothing here\n")
        return False

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)


# Nothing from elsewhere, and no other page may frame this one.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
