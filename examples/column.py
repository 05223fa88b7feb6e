"""column.py FILE RECORD OFFSET WIDTH prints one field of every record of RECORD bytes.

The fields of a thousand records are read with one await. Only the pages that hold them come from
the disk, which is less than the file where a record is larger than a page.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

from aio_posix.asyncio import open

AT_A_TIME = 1000


async def column(path: str, record: int, offset: int, width: int) -> AsyncIterator[bytes]:
    async with open(path, "rb") as file:
        records = os.fstat(file.fileno()).st_size // record
        places = [(width, record * i + offset) for i in range(records)]
        for start in range(0, records, AT_A_TIME):
            for field in await file.pread_many(places[start : start + AT_A_TIME]):
                yield field


async def main(path: str, record: int, offset: int, width: int) -> None:
    if not 0 <= offset < offset + width <= record:
        raise ValueError(f"{width} bytes at {offset} are no field of a record of {record}")
    async for field in column(path, record, offset, width):
        print(field.decode(errors="replace"))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: column.py FILE RECORD OFFSET WIDTH")
    try:
        record, offset, width = map(int, sys.argv[2:])
        asyncio.run(main(sys.argv[1], record, offset, width))
    except (OSError, ValueError) as error:
        sys.exit(f"column: {error}")
