"""fact.py LIBRARY FACT: whether a library is right about one fact, printed as JSON.

The current directory should be empty. rivals.py starts this, once for each cell of its table.
"""

from __future__ import annotations

import json
import os
import sys

from adapters import Absent, library
from facts import Wrong, facts


def verdict(name: str, fact: str) -> tuple[str, str]:
    holds = next(each.holds for each in facts() if each.name == fact)
    try:
        tested = library(name)
    except ImportError as error:
        return "absent", f"not installed ({error})"
    try:
        holds(tested)
    except (Absent, AttributeError) as error:
        return "absent", str(error)
    except Wrong as error:
        return "wrong", str(error)
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"
    return "right", ""


if __name__ == "__main__":
    print(json.dumps(verdict(*sys.argv[1:])), flush=True)
    os._exit(0)  # exits are facts of their own, and threads that hang are not to hide this verdict
