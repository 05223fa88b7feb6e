"""edit_json.py FILE KEY VALUE sets a key of a JSON file, which is never half written.

A reader, a kill, or a power failure at any moment finds the old file or the new one, whole.
"""

import asyncio
import json
import sys

from aio_posix.asyncio import open, replacing


async def edit(path: str, key: str, value: str) -> None:
    async with open(path) as file:
        document = json.loads(await file.read())
    document[key] = value
    async with replacing(path, "w") as file:
        await file.write(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: edit_json.py FILE KEY VALUE")
    try:
        asyncio.run(edit(*sys.argv[1:]))
    except (OSError, ValueError) as error:
        sys.exit(f"edit_json: {error}")
