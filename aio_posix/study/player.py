"""Real glibc plays scripts, in a real_glibc.py process for each size of the pool."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from aio_posix.study.script import Call, Cancel, Script, Seen, Submit, Threads


class Player:
    """Real glibc with a pool of one size, which plays scripts."""

    def __init__(self, aio_threads: int) -> None:
        # By path and isolated, so that the binding stays out of it.
        driver = Path(__file__).with_name("real_glibc.py")
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(driver), str(aio_threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def play(self, script: Script) -> list[Seen]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(as_json(script) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"real_glibc.py ended with status {self.process.wait()} at {script}")
        return [
            Seen(
                answers=tuple(one["answers"]),
                done=tuple((name, error, value) for name, error, value in one["done"]),
                running=frozenset(one["running"]),
                unfinished=frozenset(one["unfinished"]),
                idle=one["idle"],
                threads=one["threads"],
            )
            for one in json.loads(line)
        ]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


class Players:
    """One player for each size, started when first asked for."""

    def __init__(self) -> None:
        self.started: dict[int, Player] = {}

    def play(self, script: Script) -> list[Seen]:
        size = script.aio_threads
        if size not in self.started:
            self.started[size] = Player(size)
        try:
            return self.started[size].play(script)
        except RuntimeError:
            self.started.pop(size).close()
            raise

    def __enter__(self) -> Players:
        return self

    def __exit__(self, *raised: object) -> None:
        for player in self.started.values():
            player.close()


def as_json(script: Script) -> str:
    def plain(call: Call) -> list[object]:
        if isinstance(call, Submit):
            return ["submit", [[r.name, r.fd, r.op.value, r.aio_reqprio] for r in call.batch]]
        if isinstance(call, Cancel):
            return ["cancel", call.fd, call.request.name if call.request else None]
        if isinstance(call, Threads):
            return ["threads", call.allowed]
        return [type(call).__name__.lower(), call.fd]

    bursts = [[plain(call) for call in burst] for burst in script.bursts]
    return json.dumps(
        {
            "idle": script.idle,
            "stays_idle": script.stays_idle,
            "files": [*script.files],
            "fds": 6,
            "bursts": bursts,
        }
    )
