"""trio_lines.py FILE ... counts the lines of files at the same time, in trio.

One task waits until the queue's descriptor is readable and wakes whoever waits for a request. The
value of each sigevent is the trio.Event to set.
"""

import sys

import trio

from aio_posix import CompletionQueue, aio_read, aio_return, aiocb

BLOCK = 1 << 16


async def wake(queue: CompletionQueue) -> None:
    while True:
        await trio.lowlevel.wait_readable(queue.fileno())
        for event in queue.get(0):
            event.set()


async def count(queue: CompletionQueue, path: str) -> int:
    lines = 0
    buffer = bytearray(BLOCK)
    with open(path, "rb") as file:
        request = aiocb(file, buffer)
        while True:
            event = trio.Event()
            request.aio_sigevent = queue.sigevent(event)
            aio_read(request)
            await event.wait()
            n = aio_return(request)
            if n == 0:
                return lines
            lines += buffer.count(b"\n", 0, n)
            request.aio_offset += n


async def enter(queue: CompletionQueue, path: str, counts: dict[str, int]) -> None:
    try:
        counts[path] = await count(queue, path)
    except OSError as error:
        print(f"trio_lines: {error}", file=sys.stderr)


async def main(paths: list[str]) -> int:
    counts: dict[str, int] = {}
    with CompletionQueue() as queue:
        async with trio.open_nursery() as all_of_it:
            all_of_it.start_soon(wake, queue)
            async with trio.open_nursery() as counting:
                for path in paths:
                    counting.start_soon(enter, queue, path, counts)
            all_of_it.cancel_scope.cancel()
    for path in paths:
        if path in counts:
            print(f"{counts[path]:8} {path}")
    return 0 if counts.keys() == set(paths) else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: trio_lines.py FILE ...")
    sys.exit(trio.run(main, sys.argv[1:]))
