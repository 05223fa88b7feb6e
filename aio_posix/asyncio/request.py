"""Old names, until stream.py has moved."""

from aio_posix.asyncio.ring import rest

__all__ = ["rest"]
