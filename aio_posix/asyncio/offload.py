"""Old names, until stream.py has moved."""

from aio_posix.asyncio.threads import offload

__all__ = ["offload"]
