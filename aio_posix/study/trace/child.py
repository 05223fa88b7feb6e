"""Runs a program as __main__ with the recorder on:

python -m aio_posix.study.trace.child EVENTS (SCRIPT | -m MODULE) ARGS
"""

from __future__ import annotations

import io
import os
import runpy
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

from aio_posix.study.trace.event import Event, Slots, What
from aio_posix.study.trace.recorder import Recorder

DEFAULT = 20  # helpers at most, until the program says otherwise


def main(events: str, program: str, *arguments: str) -> None:
    import aio_posix.asyncio.descriptors.ring  # noqa: F401  or its requests would not be seen

    # For good, because what ends the process may submit requests too.
    slots = Slots(Path(events))
    slots.put(Event(What.POOL, time.time_ns(), threading.get_native_id(), (), nbytes=DEFAULT))
    Recorder(slots.put).__enter__()
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
