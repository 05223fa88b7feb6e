"""whole.py PEER whole|text|lines SECONDS FILE [turns]: a file from its beginning to its end; prints
JSON.

whole, text: MiB/s of open(), read(), close(), bytes or text. lines: lines/s of `async for` while
the time lasts. With turns also the longest turn of the loop in ms, which a callback watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from typing import Any

from turns import Turns


def opener(peer: str) -> Any:
    if peer == "ours":
        from aio_posix.asyncio import open as ours

        return ours
    if peer == "builtin":
        return open
    import aiofiles

    return aiofiles.open


async def whole(opens: Any, mode: str, path: str, seconds: float, turns: Turns | None) -> float:
    size, done = os.path.getsize(path), 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or done == 0:
        if opens is open:
            with open(path, mode) as file:
                data = file.read()
        else:
            async with opens(path, mode) as awaited:
                data = await awaited.read()
        assert len(data) == size
        if turns is not None:
            turns.end()
        del data  # the program's own, and takes 20 ms
        if turns is not None:
            turns.begin()
        done += 1
    return done * size / (time.perf_counter() - begin) / (1 << 20)


async def lines(opens: Any, path: str, seconds: float) -> float:
    n = 0
    begin = time.perf_counter()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while time.perf_counter() - begin < seconds:
                if opens is open:
                    with open(path) as file:
                        for _ in file:
                            n += 1
                else:
                    async with opens(path) as awaited:
                        async for _ in awaited:
                            n += 1
    return n / (time.perf_counter() - begin)


async def measured(peer: str, what: str, seconds: float, path: str, *how: str) -> dict[str, float]:
    opens = opener(peer)  # 50 ms
    turns = Turns() if how else None
    if what == "lines":
        rate = await lines(opens, path, seconds)
    else:
        rate = await whole(opens, "rb" if what == "whole" else "r", path, seconds, turns)
    if turns is None:
        return {"rate": rate}
    turns.stopped = True
    return {"rate": rate, "turn": turns.longest * 1000}


def main() -> None:
    peer, what, seconds, path, *how = sys.argv[1:]
    print(json.dumps(asyncio.run(measured(peer, what, float(seconds), path, *how))))


if __name__ == "__main__":
    main()
