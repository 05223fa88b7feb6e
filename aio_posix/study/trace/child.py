"""Runs a script as __main__ with the recorder on: python -m aio_posix.study.trace.child EVENTS
SCRIPT ARGS.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import ModuleType

from aio_posix.study.trace.event import Slots
from aio_posix.study.trace.recorder import Recorder


def main(events: str, script: str, *arguments: str) -> None:
    with io.open_code(script) as file:
        code = compile(file.read(), script, "exec")
    module = ModuleType("__main__")
    module.__dict__.update(__file__=script, __builtins__=__builtins__)
    sys.modules["__main__"] = module
    sys.argv = [script, *arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    Recorder(
        Slots(Path(events)).put
    ).__enter__()  # for good: what ends the process may submit requests too
    exec(code, module.__dict__)


if __name__ == "__main__":
    main(*sys.argv[1:])
