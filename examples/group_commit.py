"""A durable log with group commit, which is one sync for all writers that wait.

append() returns when its record is on the disk. While a sync runs, the records that arrive wait
together for the next one, so a slow disk makes larger groups and not a longer line.
"""

import asyncio
import tempfile
from pathlib import Path

from aio_posix.asyncio import BinaryFile, open


class Log:
    def __init__(self, file: BinaryFile) -> None:
        self.file = file
        self.syncs = 0
        self.waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self.committer: asyncio.Task[None] | None = None

    async def append(self, record: bytes) -> None:
        done = asyncio.get_running_loop().create_future()
        self.waiting.append((record, done))
        if self.committer is None:
            self.committer = asyncio.create_task(self.commit())
        await done

    async def commit(self) -> None:
        while group := self.waiting:
            self.waiting = []
            error: OSError | None = None
            try:
                await self.file.write(b"".join(record for record, _ in group))
                await self.file.fdatasync()
                self.syncs += 1
            except OSError as failed:
                error = failed
            for _, done in group:
                if done.cancelled():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)
        self.committer = None


async def writer(log: Log, name: int) -> None:
    for i in range(10):
        await log.append(b"%03d %d\n" % (name, i))


async def main(path: Path) -> None:
    async with open(path, "ab") as file:
        log = Log(file)
        await asyncio.gather(*(writer(log, name) for name in range(100)))
        print("syncs for 1,000 records:", log.syncs)

    records = path.read_text().split("\n")[:-1]
    print(len(records), all(records.count(f"{name:03} 9") == 1 for name in range(100)))


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder, "log")))

# Output:
# syncs for 1,000 records: 10
# 1000 True
