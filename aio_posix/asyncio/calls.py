"""Old names, until stream.py has moved."""

from aio_posix.asyncio.memory import ALIGNMENT, aligned

__all__ = ["ALIGNMENT", "aligned"]
