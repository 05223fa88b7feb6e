"""README's picture, light and dark, of demo_echo.py's threads and requests with three clients.

python benchmarks/picture.py             # draws what docs/study/trace-echo.json holds
python benchmarks/picture.py --record    # runs the demo under strace first, and stores that
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aio_posix.study.machine import machine
from aio_posix.study.trace.command import Program, run
from aio_posix.study.trace.svg import DARK, LIGHT, svg
from aio_posix.study.trace.timeline import Arrow, Box, Group, Kind, Lane, Timeline

ROOT = Path(__file__).parent.parent
STORED = ROOT / "docs" / "study" / "trace-echo.json"
PORT = "5000"
WIDTH = 760  # pixels of a page of GitHub and of our site, so text of 12 pixels is shown as such


def recorded() -> dict[str, Any]:
    visitors = [sys.executable, "-m", "aio_posix.study.trace.visitors", PORT]
    demo = Program(str(ROOT / "demo_echo.py"), [PORT])
    with (
        tempfile.TemporaryDirectory() as directory,
        subprocess.Popen(visitors, stdout=subprocess.PIPE) as clients,
    ):
        assert clients.stdout is not None
        os.dup2(clients.stdout.fileno(), sys.stdin.fileno())  # they say "exit" to the demo
        status, line = run(demo, Path(directory))
    if status or isinstance(line, str) or not line.traced:
        sys.exit(f"picture: status {status}, {line if isinstance(line, str) else 'no strace'}")
    stored = {name: getattr(line, name) for name in ("begin", "end", "title", "files")}
    for name in ("lanes", "boxes", "arrows"):
        stored[name] = [asdict(one) for one in getattr(line, name)]
    return {**stored, "about": machine() + ", slowed down by strace"}


def timeline(stored: dict[str, Any]) -> Timeline:
    lanes = [Lane(**{**lane, "group": Group(lane["group"])}) for lane in stored["lanes"]]
    boxes = [
        Box(**{**box, "kind": Kind(box["kind"]), "of": tuple(box["of"])}) for box in stored["boxes"]
    ]
    arrows = [Arrow(**{**arrow, "of": tuple(arrow["of"])}) for arrow in stored["arrows"]]
    return Timeline(
        begin=stored["begin"],
        end=stored["end"],
        lanes=tuple(lanes),
        boxes=tuple(boxes),
        arrows=tuple(arrows),
        files={int(fd): file for fd, file in stored["files"].items()},
        traced=True,
        title=stored["title"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="README's picture, from what is stored")
    parser.add_argument("--record", action="store_true", help="run the demo and store what it did")
    if parser.parse_args().record:
        STORED.write_text(json.dumps(recorded(), indent=0) + "\n")
    stored = json.loads(STORED.read_text())
    line = timeline(stored)
    for name, palette in (("trace-echo", LIGHT), ("trace-echo-dark", DARK)):
        STORED.with_name(f"{name}.svg").write_text(svg(line, WIDTH, palette, stored["about"]))


if __name__ == "__main__":
    main()
