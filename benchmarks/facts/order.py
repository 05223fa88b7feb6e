"""Order, positions, and what one call sees of another."""

from __future__ import annotations

import asyncio
import builtins
import random
import subprocess
from typing import Any

from adapters import Library, flushed, settled, task

from facts import Wrong, same


def gathered_writes(library: Library) -> None:
    """Writes of one file in a gather() land in the order of the calls."""
    lines = [b"%04d %s\n" % (i, b"x" * (i * 37 % 500)) for i in range(200)]

    async def main() -> None:
        file = await library.open("file", "wb")
        await asyncio.gather(*(task(file.write(line)) for line in lines))
        await file.close()

    library.run(main())
    with builtins.open("file", "rb") as file:
        got = file.read()
    if got != b"".join(lines):
        if sorted(got.splitlines()) == sorted(b"".join(lines).splitlines()):
            raise Wrong("lines in another order")
        raise Wrong(f"{len(got)} of {sum(map(len, lines))} bytes, or torn lines")


def gathered_reads(library: Library) -> None:
    """Reads of one file in a gather() divide it without loss or overlap."""
    content = random.Random(1).randbytes(200_000)
    with builtins.open("file", "wb") as file:
        file.write(content)

    async def main() -> list[bytes]:
        file = await library.open("file", "rb")
        parts = await asyncio.gather(*(task(file.read(1000)) for _ in range(200)))
        await file.close()
        return parts

    parts = library.run(main())
    if b"".join(parts) != content:
        if sorted(parts) == sorted(content[i : i + 1000] for i in range(0, 200_000, 1000)):
            raise Wrong("parts in another order")
        raise Wrong(f"{len(set(parts))} of 200 parts are there")


def like_the_built_in(library: Library) -> None:
    """Random reads, writes and seeks of a binary file do what those of the built-in do."""
    for seed in range(60):
        chance = random.Random(seed)
        start = chance.randbytes(chance.choice([0, 10, 5000]))
        steps = [binary_step(chance) for _ in range(12)]
        results, contents = [], []
        for name in ("theirs", "builtin"):
            with builtins.open(name, "wb") as file:
                file.write(start)
        with builtins.open("builtin", "r+b") as plain:
            for method, *args in steps:
                results.append(getattr(plain, method)(*args))
        got = library.run(played("theirs", steps, library))
        for name in ("theirs", "builtin"):
            with builtins.open(name, "rb") as file:
                contents.append(file.read())
        for step, its, expected in zip(steps, got, results, strict=True):
            if its is not None and its != expected:  # some return nothing where a count is due
                raise Wrong(f"{step!r:.40} gave {its!r:.30} instead of {expected!r:.30}")
        same(contents[0], contents[1], "content")


def binary_step(chance: random.Random) -> tuple[Any, ...]:
    return chance.choice(
        [
            ("read", chance.randrange(3000)),
            ("read", -1),
            ("write", chance.randbytes(chance.randrange(3000))),
            ("seek", chance.randrange(6000)),
            ("tell",),
            ("readline",),
        ]
    )


async def played(path: str, steps: list[tuple[Any, ...]], library: Library) -> list[Any]:
    file = await library.open(path, "r+b")
    try:
        return [await settled(getattr(file, method)(*args)) for method, *args in steps]
    finally:
        await file.close()


def append_beside_another(library: Library) -> None:
    """Appended bytes go to the end even while another process appends to the same log."""

    async def main() -> None:
        file = await library.open("log", "ab")
        await file.write(b"first\n")
        await flushed(file)
        subprocess.run(["sh", "-c", "echo second >> log"], check=True)
        await file.write(b"third\n")
        await flushed(file)
        await file.close()

    library.run(main())
    with builtins.open("log", "rb") as file:
        same(file.read(), b"first\nsecond\nthird\n", "log")


FACTS = [gathered_writes, gathered_reads, like_the_built_in, append_beside_another]
