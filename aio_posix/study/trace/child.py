"""Runs a program as __main__ with the recorder on:

python -m aio_posix.study.trace.child EVENTS (SCRIPT | -m MODULE) ARGS
"""

from __future__ import annotations

import io
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType

from aio_posix.study.trace.event import Slots
from aio_posix.study.trace.recorder import Recorder


def main(events: str, program: str, *arguments: str) -> None:
    # For good: what ends the process may submit requests too.
    Recorder(Slots(Path(events)).put).__enter__()
    if program == "-m":
        name, *rest = arguments
        sys.argv = [name, *rest]
        sys.path[0] = os.getcwd()
        runpy.run_module(name, run_name="__main__", alter_sys=True)
        return
    with io.open_code(program) as file:
        code = compile(file.read(), program, "exec")
    module = ModuleType("__main__")
    module.__dict__.update(__file__=program, __builtins__=__builtins__)
    sys.modules["__main__"] = module
    sys.argv = [program, *arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(program))
    exec(code, module.__dict__)


if __name__ == "__main__":
    main(*sys.argv[1:])
