"""urio has files in Rust and Python on io_uring."""

from urio import open

__all__ = ["open"]

DISTRIBUTIONS = ["urio"]
