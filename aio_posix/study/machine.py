"""The machine that a figure was measured on, in a few words and without its name."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def machine() -> str:
    info = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*: (.+)", info, re.MULTILINE)  # not on every architecture
    virtual = "virtual " if re.search(r"^flags.*\bhypervisor\b", info, re.MULTILINE) else ""
    kernel, libc = platform.release().split("-")[0], " ".join(platform.libc_ver())
    return (
        f"Measured on {os.cpu_count()} {virtual}cores "
        f"({found[1] if found else platform.machine()}), "
        f"Linux {kernel}, {libc}, Python {platform.python_version()}"
    )
