"""trace --json by the rules of the Trace Event Format, of recordings of real programs.

The rules are those on whose breach ui.perfetto.dev counts an import error or a warning: slices of a
thread nest, asynchronous ones and flows come in pairs and in their order, a flow begins and ends in
a slice, every thread has a name.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from test_study_page import MANY, STARVED, recorded, straced

from aio_posix.study.trace.perfetto import perfetto

Item = dict[str, Any]
AGAIN = """
import os, socket, threading
from aio_posix import *
ours, peer = socket.socketpair()
left = 40
over = threading.Event()
def again(cb):
    global left
    left -= 1
    if left:
        aio_read(cb)
        peer.send(b"!")
    else:
        over.set()
cb = aiocb(ours, bytearray(1), aio_sigevent=sigevent(SIGEV_THREAD, sigev_notify_function=again))
aio_read(cb)
peer.send(b"!")
over.wait()
"""


def moment(item: Item) -> int:
    """Nanoseconds."""
    return round(item["ts"] * 1000)


def breaches(items: list[Item]) -> Counter[str]:
    found: Counter[str] = Counter()
    slices: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for one in items:
        if one["ph"] == "X":
            slices[one["tid"]].append((moment(one), moment(one) + round(one["dur"] * 1000)))
            found["a slice that ends before it begins"] += one["dur"] < 0
    for spans in slices.values():
        around: list[int] = []
        for begin, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while around and around[-1] <= begin:
                around.pop()
            found["a slice that sticks out of the one around it"] += (
                bool(around) and end > around[-1]
            )
            around.append(end)
    named = {one["tid"] for one in items if one["name"] == "thread_name"}
    found["a thread without a name"] = len({one["tid"] for one in items} - named)
    for first, last in ("be", "sf"):
        pairs: dict[tuple[str, int], list[Item]] = defaultdict(list)
        for one in items:
            if one["ph"] in (first, last):
                pairs[one["cat"], one["id"]].append(one)
        for pair in pairs.values():
            whole = [one["ph"] for one in pair] == [first, last]
            found[f"{first} without its {last}"] += not whole
            found[f"{last} before its {first}"] += whole and moment(pair[0]) > moment(pair[1])
    for one in items:
        if one["ph"] in "sf":
            inside = any(a <= moment(one) <= b for a, b in slices[one["tid"]])
            found["a flow that touches no slice"] += not inside
    return +found


@straced
@pytest.mark.parametrize("program", [STARVED, MANY, AGAIN], ids=["starved", "many", "again"])
def test_a_recording_keeps_the_rules_of_the_format(program: str, tmp_path: Path) -> None:
    line, _ = recorded(program, tmp_path)
    assert breaches(json.loads(perfetto(line))["traceEvents"]) == Counter()


def test_each_breach_of_a_rule_is_found() -> None:
    def one(ph: str, ts: float, **more: Any) -> Item:
        return {"ph": ph, "ts": ts, "pid": 1, "tid": 1, "cat": "c", "name": "n", "id": 1, **more}

    name = {"ph": "M", "name": "thread_name", "tid": 1}
    assert breaches([name, one("X", 1, dur=5), one("X", 3, dur=4)]).keys() == {
        "a slice that sticks out of the one around it"
    }
    assert breaches([name, one("X", 1, dur=5), one("b", 1)]).keys() == {"b without its e"}
    assert breaches([name, one("X", 1, dur=5), one("s", 4), one("f", 3)]).keys() == {
        "f before its s"
    }
    assert breaches([name, one("X", 1, dur=1), one("s", 1), one("f", 9)]).keys() == {
        "a flow that touches no slice"
    }
    assert breaches([one("X", 1, dur=1)]).keys() == {"a thread without a name"}
    assert breaches([name, one("X", 1, dur=-1)]).keys() == {"a slice that ends before it begins"}
