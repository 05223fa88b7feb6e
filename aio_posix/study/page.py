"""Pages of HTML that need nothing else. Templates, styles and scripts are in the folder pages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any


def read(name: str) -> str:
    """A file of the folder."""
    return (files("aio_posix.study") / "pages" / name).read_text(encoding="utf-8")


def filled(template: str, parts: Mapping[str, str]) -> str:
    """In one pass, so that what is put in is never looked through."""
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda name: parts[name[1]], template)


def script(data: Any) -> str:
    """JSON inside a script element. No text of it can end the element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c")
