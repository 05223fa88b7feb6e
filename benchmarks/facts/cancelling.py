"""Cancellations and timeouts: nothing is lost, nothing hangs."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from pathlib import Path

from adapters import Library, flushed, settled, task

from facts import Wrong, same
from facts.programs import ended


def timed_out_read(library: Library) -> None:
    """A read of a pipe that times out loses nothing."""

    async def main() -> bytes:
        r, w = os.pipe()
        file = await library.open_descriptor(r, "rb")
        os.write(w, b"precious\n")
        try:
            await asyncio.wait_for(settled(file.read()), 0.3)
        except TimeoutError:
            pass
        else:
            raise Wrong("read() ended before its pipe")
        os.write(w, b"more\n")
        os.close(w)
        return bytes(await file.read())

    same(library.run(main()), b"precious\nmore\n", "what the next read got")


def cancelled_line(library: Library) -> None:
    """A line that arrives while its reader is cancelled goes to the next reader."""

    async def attempt(turns: int) -> bytes:
        r, w = os.pipe()
        file = await library.open_descriptor(r, "rb")
        reader = task(file.readline())
        await asyncio.sleep(0.05)
        os.write(w, b"the line\n")
        for _ in range(turns):
            await asyncio.sleep(0)
        reader.cancel()
        got = (await asyncio.gather(reader, return_exceptions=True))[0]
        os.close(w)
        return got if isinstance(got, bytes) else bytes(await file.read())

    async def main() -> list[bytes]:
        return [await attempt(turns) for turns in range(10)]

    got = library.run(main())
    if lost := 10 - got.count(b"the line\n"):
        raise Wrong(f"{lost} of 10 lines lost")


def stuck_write(library: Library) -> None:
    """A timeout around a write to a pipe that nobody reads takes effect."""

    async def block(w: int) -> None:
        file = await library.open_descriptor(w, "wb")
        try:
            await file.write(b"x" * 300_000)
        finally:
            await file.close()

    async def main() -> float:
        _, w = os.pipe()
        begin = time.monotonic()
        try:
            await asyncio.wait_for(block(w), 0.5)
        except TimeoutError:
            return time.monotonic() - begin
        raise Wrong("300,000 bytes went into a pipe of 65,536")

    if (took := library.run(main())) > 3:
        raise Wrong(f"the timeout of 0.5 s took {took:.1f} s")


def fifo_given_up(library: Library) -> None:
    """A program ends although it cancelled the opening of a FIFO."""
    os.mkfifo("fifo")
    program = """
        async def main():
            try:
                await asyncio.wait_for(settled(library.open("fifo", "rb")), 0.5)
            except TimeoutError:
                pass  # some open it at once and wait in their reads
            print("ends", flush=True)
        run(main())
    """
    same(ended(library, program, limit=8).stdout, "ends\n", "output")


def fifos_stop_nobody(library: Library) -> None:
    """Forty opens that wait for FIFOs block neither the loop nor another open()."""
    Path("file").write_bytes(b"content")
    for i in range(40):
        os.mkfifo(f"fifo{i}")

    def let_go() -> None:
        time.sleep(6)
        os._exit(3)  # the loop itself may be stuck, so the verdict comes from here

    async def main() -> None:
        for i in range(40):
            task(library.open(f"fifo{i}", "rb"))
        await asyncio.sleep(0.2)
        file = await library.open("file", "rb")
        same(await file.read(), b"content", "content")
        await file.close()

    threading.Thread(target=let_go, daemon=True).start()
    library.run(main())


def cancelled_write(library: Library) -> None:
    """After cancelled writes the file holds whole pieces in order, without a hole."""

    async def main() -> None:
        file = await library.open("file", "wb")
        for i in range(20):
            await file.write(b"(%02d)" % i)
            writer = task(file.write(b"[%02d%s]" % (i, b"x" * 300_000)))
            for _ in range(i % 5):
                await asyncio.sleep(0)
            writer.cancel()
            await asyncio.wait([writer])
        await flushed(file)
        await file.close()

    library.run(main())
    pieces = re.sub(rb"x+", b"x", Path("file").read_bytes())
    if not re.fullmatch(rb"(\(\d\d\)(\[\d\dx\])?)*", pieces):
        raise Wrong(f"torn: {pieces[:50]!r}")
    kept = [int(number) for number in re.findall(rb"\((\d\d)\)", pieces)]
    same(kept, list(range(20)), "the writes that were not cancelled")
    if Path("file").read_bytes().count(b"x") % 300_000:
        raise Wrong("part of a write is there")


FACTS = [
    timed_out_read, cancelled_line, stuck_write, fifo_given_up, fifos_stop_nobody, cancelled_write,
]  # fmt: skip
