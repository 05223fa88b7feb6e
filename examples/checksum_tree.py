"""checksum_tree.py FOLDER prints the SHA-256 of every file below, as sha256sum does.

Up to 32 files are read at a time. What is in the page cache takes no thread. The rest is read by
glibc's threads while the digests of other files are computed.
"""

import asyncio
import hashlib
import sys
from pathlib import Path

from aio_posix.asyncio import open

AT_A_TIME, BLOCK = 32, 1 << 18


async def digest(path: Path, turn: asyncio.Semaphore) -> str:
    digest = hashlib.sha256()
    async with turn, open(path, "rb") as file:
        while data := await file.read(BLOCK):
            digest.update(data)
    return digest.hexdigest()


async def main(folder: Path) -> int:
    turn = asyncio.Semaphore(AT_A_TIME)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = await asyncio.gather(*(digest(path, turn) for path in paths), return_exceptions=True)
    failed = 0
    for path, result in zip(paths, digests, strict=True):
        if isinstance(result, str):
            print(f"{result}  {path}")
        else:
            print(f"checksum_tree: {path}: {result}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: checksum_tree.py FOLDER")
    if not Path(sys.argv[1]).is_dir():
        sys.exit(f"checksum_tree: {sys.argv[1]} is no folder")
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))
