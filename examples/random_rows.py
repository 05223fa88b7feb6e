"""random_rows.py FILE COUNT prints the mean of random rows of a file, read into numpy.

The file is a matrix of 256 columns of 32-bit floats. Each chosen row is read into its own row
of the array. What is in the page cache is there at once, and the rest is read over several
descriptors, so that the device has many reads to serve at a time.
"""

import asyncio
import os
import sys

import numpy as np
from numpy.typing import NDArray

from aio_posix.asyncio import readinto_many

COLUMNS = 256
ROW = 4 * COLUMNS  # bytes


async def sample(path: str, count: int, seed: int = 0) -> NDArray[np.float32]:
    fd = os.open(path, os.O_RDONLY)
    try:
        rows = os.fstat(fd).st_size // ROW
        if not rows:
            raise EOFError(f"{path} has no row of {ROW} bytes")
        chosen = np.random.default_rng(seed).integers(rows, size=count)
        array = np.empty((count, COLUMNS), dtype=np.float32)
        reads = [(array[i], ROW * int(row)) for i, row in enumerate(chosen)]
        if any(n != ROW for n in await readinto_many(fd, reads)):
            raise EOFError(f"{path} became shorter")
    finally:
        os.close(fd)
    return array


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: random_rows.py FILE COUNT")
    try:
        print(asyncio.run(sample(sys.argv[1], int(sys.argv[2]))).mean())
    except (OSError, EOFError, ValueError) as error:
        sys.exit(f"random_rows: {error}")
