"""random_use.py [SECONDS] [SEED]: awaited files used at random; says so if anything was lost.

    python tests/random_use.py 600                    ten minutes
    sh tests/sanitizers.sh random 600                 the same under AddressSanitizer and UBSan

An episode is a loop, asyncio's or uvloop's, in which several acts run at once: logs, cells of a
file, streams, bare descriptors whose numbers are used again, FIFOs, forks, dropped files, other
threads with loops of their own, loops closed with requests in flight. Any operation may be
cancelled in any turn. Each act knows what must be there at its end. After each episode nothing may
be in flight, and as many descriptors are open as before.

A failure prints its seed. What happens depends on threads too, so the seed alone need not show the
failure again.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import faulthandler
import gc
import os
import random
import re
import signal
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aio_posix.asyncio as aa
from aio_posix import _calls, flight

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]  # the standard loop alone, then

EPISODE = 30  # seconds after which an episode hangs
AT_ONCE = 6  # acts of an episode
CUT = object()  # the result of an operation that was cancelled
SANITIZED = "ASAN_OPTIONS" in os.environ


class Lost(Exception):
    """Bytes that should be there are not, or others are."""


def check(true: object, what: str) -> None:
    if not true:
        raise Lost(what)


async def cut(chance: random.Random, call: Awaitable[Any], likely: float = 0.3) -> Any:
    """The result of the operation, or CUT: it may be cancelled in any of its turns."""
    task = asyncio.ensure_future(call)
    if chance.random() < likely:
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)
        if chance.random() < 0.3:
            await asyncio.sleep(chance.random() * 0.003)
        task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        if not task.cancelled() or current().cancelling():
            raise
        return CUT


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def log(chance: random.Random, folder: Path) -> None:
    """Records of one file, in their order: each whole, and if its write returned, there once."""
    path = folder / "log"
    buffering = chance.choice([-1, 0, 16, 300_000])
    due, perhaps = [], set()
    async with aa.open(path, chance.choice(["wb", "ab"]), buffering=buffering) as file:
        for number in range(chance.randrange(1, 40)):
            size = chance.choice([0, 10, 5000, 200_000])
            if await cut(chance, file.write(b"(%d:%s)" % (number, b"x" * size))) is CUT:
                perhaps.add(number)
            due.append((number, size))
            if chance.random() < 0.2:
                await cut(chance, file.flush())
    there = [(int(n), len(x)) for n, x in re.findall(rb"\((\d+):(x*)\)", path.read_bytes())]
    rest = re.sub(rb"\(\d+:x*\)", b"", path.read_bytes())
    check(not rest, f"a log has torn records: {rest[:40]!r}")
    check(there == [each for each in due if each in there], "a log's records are out of order")
    missing = {number for number, _ in set(due) - set(there)} - perhaps
    check(not missing, f"a log misses {sorted(missing)}")


async def cells(chance: random.Random, folder: Path) -> None:
    """Cells of one value each; a cancelled write may have happened or not, and a later one wins."""
    size, path = chance.choice([16, 512, 5000]), folder / "cells"
    values = [{0} for _ in range(32)]
    path.write_bytes(bytes(size * len(values)))
    buffering = chance.choice([-1, 0])
    async with aa.open(path, "r+b", buffering=buffering) as file:
        for _ in range(chance.randrange(1, 60)):
            cell, value = chance.randrange(len(values)), chance.randrange(1, 256)
            data = bytes([value]) * size
            match chance.randrange(4):
                case 0:
                    done = await cut(chance, file.pwrite(data, cell * size))
                    values[cell] = {value} if done is not CUT else values[cell] | {value}
                case 1:
                    await file.seek(cell * size)
                    done = await cut(chance, file.write(data))
                    values[cell] = {value} if done is not CUT else values[cell] | {value}
                case 2:
                    got = await cut(chance, file.pread(size, cell * size))
                    known(values, cell, got, size)
                case 3:
                    await file.seek(cell * size)
                    known(values, cell, await cut(chance, file.read(size)), size)
    content = path.read_bytes()
    for cell in range(len(values)):
        known(values, cell, content[cell * size : (cell + 1) * size], size)


async def many(chance: random.Random, folder: Path) -> None:
    """The same by calls of many requests; those of one call that overlap land in their order."""
    size, path = chance.choice([16, 4096, 5000]), folder / "many"
    values = [{0} for _ in range(32)]
    path.write_bytes(bytes(size * len(values)))
    fd = os.open(path, os.O_RDWR)
    for _ in range(chance.randrange(1, 12)):
        places = [chance.randrange(len(values)) for _ in range(chance.randrange(1, 40))]
        match chance.randrange(3):
            case 0:
                wanted = [chance.randrange(1, 256) for _ in places]
                pieces = [
                    (bytes([v]) * size, p * size) for p, v in zip(places, wanted, strict=True)
                ]
                done = await cut(chance, aa.pwrite_many(fd, pieces))
                check(done is CUT or done == [size] * len(places), f"pwrite_many gave {done}")
                for place, value in zip(places, wanted, strict=True):
                    values[place] = {value} if done is not CUT else values[place] | {value}
            case 1:
                got = await cut(chance, aa.pread_many(fd, [(size, p * size) for p in places]))
                for place, data in zip(places, [] if got is CUT else got, strict=got is not CUT):
                    known(values, place, data, size)
            case 2:
                buffers = [(bytearray(size), p * size) for p in places]
                if await cut(chance, aa.readinto_many(fd, buffers)) is not CUT:
                    for place, (data, _) in zip(places, buffers, strict=True):
                        known(values, place, data, size)
    os.close(fd)


def known(values: list[set[int]], cell: int, got: Any, size: int) -> None:
    if got is not CUT:
        check(len(got) == size, f"a cell of {size} bytes has {len(got)}")
        check(set(got) <= values[cell], f"a cell has {set(got)}, not {values[cell]}")


async def stream(chance: random.Random, folder: Path) -> None:
    """What was written to a pipe or socket comes out; of a cancelled write a part from its front.

    Each write is one value repeated, neighbours differ, so that the reader can tell them apart.
    """
    if chance.random() < 0.5:
        reading, writing = os.pipe()
    else:
        reading, writing = (end.detach() for end in socket.socketpair())
    writes: list[tuple[int, int, bool]] = []

    async def write() -> None:
        async with aa.open(writing, "wb", buffering=0) as file:
            for number in range(chance.randrange(1, 20)):
                size, value = chance.choice([1, 100, 70_000, 200_000]), number % 255 + 1
                done = await cut(chance, file.write(bytes([value]) * size), 0.2)
                writes.append((value, size, done is not CUT))

    async def read() -> bytes:
        got = bytearray()
        async with aa.open(reading, "rb", buffering=chance.choice([-1, 0])) as file:
            while True:
                data = await cut(chance, file.read(chance.choice([1, 1000, 65536, 300_000])), 0.2)
                if data is CUT:
                    continue
                if not data:
                    return bytes(got)
                got += data

    got, _ = await asyncio.gather(read(), write())
    at = 0
    for value, size, whole in writes:
        start = at
        while at < len(got) and at - start < size and got[at] == value:
            at += 1
        check(at - start == size or not whole, f"{at - start} of {size} bytes of a stream came")
    check(at == len(got), f"{len(got) - at} bytes of a stream came that nobody wrote")


async def bare(chance: random.Random, folder: Path) -> None:
    """Requests on descriptors reach their own file, though the numbers are used again at once."""
    size = chance.choice([100, 4096, 65536])
    marks: dict[Path, tuple[int, dict[int, asyncio.Future[int]]]] = {}
    for mark in range(1, chance.randrange(3, 8)):
        path = folder / f"bare{mark}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        writes: dict[int, asyncio.Future[int]] = {}
        for place in range(chance.randrange(1, 30)):
            data = bytes([mark]) * size
            writes[place] = asyncio.ensure_future(aa.write(fd, data, place * size))
            if chance.random() < 0.1:
                await asyncio.sleep(0)
        await asyncio.sleep(0)  # a coroutine that has not begun has not asked for anything
        for future in writes.values():
            if chance.random() < 0.1:
                future.cancel()
        if chance.random() < 0.3:
            await asyncio.wait(writes.values())
        marks[path] = mark, writes
        os.close(fd)
    for path, (mark, writes) in marks.items():
        await asyncio.wait(writes.values())
        content = path.read_bytes()
        check(set(content) <= {0, mark}, f"a file of {mark} has bytes {set(content)}")
        for place, future in writes.items():
            if future.cancelled() or isinstance(future.exception(), OSError):
                continue
            check(future.result() == size, f"a write of {size} returned {future.result()}")
            got = content[place * size : (place + 1) * size]
            check(got == bytes([mark]) * size, "a write that returned is not in its file")


async def texts(chance: random.Random, folder: Path) -> None:
    """Lines of text arrive as they were written."""
    path = folder / "text"
    lines = [chance.choice(["wörd ", "語", "x" * 9000, ""]) * 3 + "\n" for _ in range(60)]
    async with aa.open(path, "w", encoding="utf-8") as file:
        await file.writelines(lines)
    async with aa.open(path, encoding="utf-8") as file:
        first = await file.readline()
        check([first, *[line async for line in file]] == lines, "lines of text are wrong")


async def fifo(chance: random.Random, folder: Path) -> None:
    """An open that waits for the other side is given up, or the other side comes."""
    path = folder / "fifo"
    os.mkfifo(path)
    reader = asyncio.ensure_future(open_and_read(path))
    await asyncio.sleep(chance.random() * 0.01)
    if chance.random() < 0.5:
        reader.cancel()
        await asyncio.wait([reader])
        return
    async with aa.open(path, "wb") as file:
        await file.write(b"through")
    check(await reader == b"through", "a FIFO lost what went through")


async def open_and_read(path: Path) -> bytes:
    async with aa.open(path, "rb") as file:
        return await file.read()


async def dropped(chance: random.Random, folder: Path) -> None:
    """What waits in a file that nobody closed is written when it is dropped."""
    path = folder / "dropped"
    file: Any = await aa.open(path, "wb")
    await file.write(b"x" * chance.choice([1, 5000]))
    size = await file.tell()
    del file
    gc.collect()
    for _ in range(1000):
        if path.stat().st_size == size:
            return
        await asyncio.sleep(0.01)
    raise Lost(f"a dropped file has {path.stat().st_size} of {size} bytes")


async def replaced(chance: random.Random, folder: Path) -> None:
    """A file has its old or its new content, and nothing is beside it."""
    path, old = folder / "replaced", b"old"
    path.write_bytes(old)
    for number in range(4):
        new = b"%d" % number * chance.choice([1, 10_000, 300_000])
        done = await cut(chance, replace(path, new), 0.6)
        content = path.read_bytes()
        check(content == new or (done is CUT and content == old), "a replaced file is torn")
        old = content
    end = time.monotonic() + 10
    while os.listdir(folder) != ["replaced"]:  # a thread may still take the new file away
        check(time.monotonic() < end, f"beside a replaced file are {os.listdir(folder)}")
        await asyncio.sleep(0.01)


async def replace(path: Path, data: bytes) -> bool:
    async with aa.replacing(path, "wb") as file:
        await file.write(data)
    return True


async def fork(chance: random.Random, folder: Path) -> None:
    """A child does the same with a loop of its own."""
    acts = chance.choices([log, cells, many, stream, bare, texts], k=2)
    for _ in range(3 if SANITIZED else 1):
        child = os.fork()
        if not child:
            try:
                # Not dump_traceback_later: it waits for the thread that it had in the parent.
                signal.alarm(EPISODE // 6)
                if SANITIZED:
                    allocate()
                signal.alarm(EPISODE // 2)
                for number, act in enumerate(acts):
                    asyncio.run(act(chance, made(folder, f"child{number}")))
                os._exit(0)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        if (folder / "child0").exists():  # otherwise it was stuck before it did anything of ours
            break
    check(status == 0, f"a child that did {[act.__name__ for act in acts]} ended with {status}")


def allocate() -> None:
    """Pass by every lock of the sanitizer's allocator.

    AddressSanitizer before GCC 14 does not take these locks round a fork, so a child hangs when
    another thread was allocating. It hangs here then, and the parent knows that to be no fault of
    what is tried. Each size class has a lock of its own, and what is freed has another.
    """
    steps = [16 * n for n in range(1, 16)] + [n << e for e in range(6, 16) for n in range(4, 8)]
    for size in steps:
        [bytes(max(size - 40, 1)) for _ in range(min(600, max(1_000_000 // size, 8)))]


async def thread(chance: random.Random, folder: Path) -> None:
    """Another thread does the same with a loop of its own."""
    act = chance.choice([log, cells, many, stream, bare, texts])
    await asyncio.to_thread(lambda: asyncio.run(act(random.Random(chance.random()), folder)))


async def abandoned(chance: random.Random, folder: Path) -> None:
    """A loop that is closed while it has requests in flight."""

    def run() -> None:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)

        async def main() -> list[asyncio.Future[Any]]:
            file: Any = await aa.open(folder / "abandoned", "w+b")
            started = [asyncio.ensure_future(file.pwrite(bytes(50_000), 0)) for _ in range(5)]
            started += [asyncio.ensure_future(file.pread(4096, i * 4096)) for i in range(5)]
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            return started

        left = loop.run_until_complete(main())
        loop.close()
        for future in left:
            with contextlib.suppress(AttributeError):
                future._log_destroy_pending = False  # type: ignore[attr-defined]  # on purpose

    await asyncio.to_thread(run)


Act = Callable[[random.Random, Path], Awaitable[None]]
ACTS: dict[Act, int] = {
    log: 4, cells: 4, many: 4, stream: 4, bare: 4, texts: 2, replaced: 1, fifo: 1,
    dropped: 1, fork: 1, thread: 2, abandoned: 1,
}  # fmt: skip


def made(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path


def busy() -> str:
    """What is still in flight."""
    left = len(flight.in_flight()) + flight.owed() + _calls.kept()
    return f"{left} requests are in the tables" if left else ""


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def settled(before: int) -> None:
    """Nothing is in flight, and no more descriptors are open than before."""
    end = time.monotonic() + 15
    while busy() or descriptors() > before:
        gc.collect()
        if time.monotonic() > end:
            names = []
            for n in os.listdir("/proc/self/fd"):
                with contextlib.suppress(FileNotFoundError):  # that of the list itself
                    names.append(os.readlink(f"/proc/self/fd/{n}"))
            raise Lost(f"{busy()}; {descriptors()} descriptors, not {before}: {sorted(names)}")
        time.sleep(0.01)


def episode(seed: int, count: collections.Counter[str]) -> None:
    chance = random.Random(seed)
    acts = chance.choices(list(ACTS), list(ACTS.values()), k=chance.randrange(1, AT_ONCE + 1))
    count.update(act.__name__ for act in acts)
    kind = uvloop if uvloop is not None and chance.random() < 0.5 else asyncio
    before = aa.nowait(chance.random() < 0.7)
    with tempfile.TemporaryDirectory() as folder:

        async def main() -> None:
            async with asyncio.timeout(EPISODE):
                await asyncio.gather(
                    *(
                        act(random.Random(chance.random()), made(Path(folder), str(number)))
                        for number, act in enumerate(acts)
                    )
                )

        with asyncio.Runner(loop_factory=kind.new_event_loop) as runner:
            runner.run(main())
    aa.nowait(before)


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    first = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30)
    warnings.simplefilter("ignore")  # unclosed files, and forks with threads, are what is tried
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    faulthandler.register(signal.SIGALRM, chain=True)  # a child that hangs shows where, and ends
    count: collections.Counter[str] = collections.Counter()
    end, seed = time.monotonic() + seconds, first
    before = None
    while time.monotonic() < end:
        faulthandler.dump_traceback_later(EPISODE * 2, exit=True)
        try:
            episode(seed, count)
            # The first episodes make what stays: eventfds, threads, a list of spare duplicates.
            if seed - first >= 20:
                before = descriptors() if before is None else before
                settled(before)
        except BaseException:
            print(f"random_use.py: failed with seed {seed}", file=sys.stderr)
            raise
        seed += 1
        if sys.stderr.isatty():
            print(f"\r{seed - first} episodes", end="", file=sys.stderr)
    faulthandler.cancel_dump_traceback_later()
    settled(before or descriptors())
    acts = ", ".join(f"{name} {n}" for name, n in sorted(count.items()))
    print(f"{seed - first} episodes from seed {first}: {acts}; nothing lost, nothing left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
