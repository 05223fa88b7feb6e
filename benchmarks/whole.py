"""whole.py PEER whole|text|lines SECONDS FILE [turns]: a file from its beginning to its end; prints
JSON.

whole, text: MiB/s of open(), read(), close(), bytes or text. lines: lines/s of `async for` while
the time lasts. With turns also the longest turn of the loop in ms, which a callback watches.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Coroutine
from typing import Any

from turns import Turns

CHECK = 1000  # lines between two looks at the clock


def opener(peer: str) -> Any:
    if peer == "ours":
        from aio_posix.asyncio import open as ours

        return ours
    import aiofiles

    return aiofiles.open


async def whole(peer: str, mode: str, path: str, seconds: float) -> float:
    opens = None if peer == "builtin" else opener(peer)
    size, done = os.path.getsize(path), 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or done == 0:
        if opens is None:
            with open(path, mode) as file:
                data = file.read()
        else:
            async with opens(path, mode) as awaited:
                data = await awaited.read()
        assert len(data) == size
        del data
        done += 1
    return done * size / (time.perf_counter() - begin) / (1 << 20)


async def lines(peer: str, path: str, seconds: float) -> float:
    n = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        if peer == "builtin":
            with open(path) as file:
                for _ in file:
                    n += 1
            continue
        async with opener(peer)(path) as awaited:
            async for _ in awaited:
                n += 1
                if n % CHECK == 0 and time.perf_counter() - begin > seconds:
                    break
    return n / (time.perf_counter() - begin)


async def watched(work: Coroutine[Any, Any, float]) -> dict[str, float]:
    turns = Turns()
    rate = await work
    turns.stopped = True
    return {"rate": rate, "turn": turns.longest * 1000}


def main() -> None:
    peer, what, seconds, path, *how = sys.argv[1:]
    if what == "lines":
        work = lines(peer, path, float(seconds))
    else:
        work = whole(peer, "rb" if what == "whole" else "r", path, float(seconds))
    print(json.dumps(asyncio.run(watched(work)) if how else {"rate": asyncio.run(work)}))


if __name__ == "__main__":
    main()
