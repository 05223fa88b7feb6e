"""aiofiles has the built-in's files, and makes each call in a thread of the loop's executor."""

from aiofiles import open

__all__ = ["open"]

DISTRIBUTIONS = ["aiofiles"]
