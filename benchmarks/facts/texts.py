"""Text against the built-in's."""

from __future__ import annotations

import builtins
import random
from typing import Any

from adapters import Absent, Library, settled

from facts import Wrong, same

PIECES = ["word", "wörd", "語", "😀", " ", "\n", "\r\n", "\r", "\x0b", "\x85", "\u2028", "x" * 3000]


async def opened(library: Library, path: str, mode: str, **how: Any) -> Any:
    try:
        return await library.open(path, mode, **how)
    except TypeError as error:
        raise Absent(str(error)) from None


def text_lines(library: Library) -> None:
    """`async for` gives the built-in's lines (universal newlines, UTF-8 beyond ASCII)."""
    for seed in range(40):
        chance = random.Random(seed)
        content = "".join(chance.choice(PIECES) for _ in range(chance.randrange(60))).encode()
        with builtins.open("file", "wb") as raw:
            raw.write(content)
        with builtins.open("file", encoding="utf-8") as plain:
            expected = list(plain)

        async def main() -> list[str]:
            file = await library.open("file", "r")
            try:
                return [line async for line in file]
            finally:
                await file.close()

        same(library.run(main()), expected, "lines")


def text_reads(library: Library) -> None:
    """read(n), readline() and read() of text return what the built-in's return."""
    for seed in range(60):
        chance = random.Random(seed)
        content = "".join(chance.choice(PIECES) for _ in range(chance.randrange(40))).encode()
        with builtins.open("file", "wb") as raw:
            raw.write(content)
        steps: list[tuple[Any, ...]] = [
            chance.choice([("read", chance.randrange(1, 50)), ("readline",)]) for _ in range(8)
        ]
        steps.append(("read",))
        with builtins.open("file", encoding="utf-8") as plain:
            expected = [getattr(plain, method)(*args) for method, *args in steps]

        async def main(steps: list[tuple[Any, ...]]) -> list[Any]:
            file = await library.open("file", "r")
            try:
                return [await settled(getattr(file, method)(*args)) for method, *args in steps]
            finally:
                await file.close()

        for step, got, due in zip(steps, library.run(main(steps)), expected, strict=True):
            same(got, due, f"{step}")


def other_encodings(library: Library) -> None:
    """UTF-16 and UTF-8 get one byte order mark, also when appending, and errors= is obeyed."""

    async def main(encoding: str) -> str:
        for mode in ("w", "a", "a"):
            file = await opened(library, "file", mode, encoding=encoding)
            await file.write("wörd\n")
            await file.close()
        file = await opened(library, "file", "r", encoding=encoding)
        text: str = await file.read()
        await file.close()
        return text

    for encoding in ("utf-8-sig", "utf-16", "latin-1"):
        same(library.run(main(encoding)), "wörd\n" * 3, encoding)
    with builtins.open("file", "wb") as raw:
        raw.write(b"good \xff bad")

    async def lenient() -> str:
        file = await opened(library, "file", "r", encoding="utf-8", errors="replace")
        text: str = await file.read()
        await file.close()
        return text

    same(library.run(lenient()), "good \ufffd bad", "errors='replace'")


def position_in_text(library: Library) -> None:
    """seek() to what tell() returned after a line gives the same text again."""
    lines = [f"{i} wörd 語\n" for i in range(300)]
    with builtins.open("file", "w", encoding="utf-8") as plain:
        plain.writelines(lines)

    async def main() -> None:
        file = await library.open("file", "r")
        places = []
        for _ in range(100):
            places.append(await settled(file.tell()))
            await file.readline()
        for i in (50, 3, 99, 0):
            await settled(file.seek(places[i]))
            line = await file.readline()
            if line != lines[i]:
                raise Wrong(f"line {i} is {line!r:.30}")
        await file.close()

    library.run(main())


FACTS = [text_lines, text_reads, other_encodings, position_in_text]
