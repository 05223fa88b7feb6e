"""turbofile has files in Rust on io_uring, with a fast path for what is in the page cache."""

from turbofile import open

__all__ = ["open"]

DISTRIBUTIONS = ["turbofile"]
