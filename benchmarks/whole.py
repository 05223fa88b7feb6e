"""whole.py PEER whole|text|lines SECONDS FILE: a file from its beginning to its end; prints
JSON.

whole, text: MiB/s of open(), read(), close(), bytes or text. lines: lines/s of `async for` while
the time lasts.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

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


def main() -> None:
    peer, what, seconds, path = sys.argv[1:]
    if what == "lines":
        rate = asyncio.run(lines(peer, path, float(seconds)))
    else:
        rate = asyncio.run(whole(peer, "rb" if what == "whole" else "r", path, float(seconds)))
    print(json.dumps({"rate": rate}))


if __name__ == "__main__":
    main()
