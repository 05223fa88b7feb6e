"""What the figures of a run depend on, to be printed above them."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version


def machine() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "libc": os.confstr("CS_GNU_LIBC_VERSION"),
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
    }


def described() -> str:
    kernel = platform.release().split("-")[0]
    libc = os.confstr("CS_GNU_LIBC_VERSION")
    return f"{os.cpu_count()} cores, Linux {kernel}, {libc}, Python {platform.python_version()}"


def versions(distributions: list[str]) -> dict[str, str]:
    """Those of the distributions that are installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
