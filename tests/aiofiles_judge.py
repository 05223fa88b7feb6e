"""A pytest plugin under which aiofiles' own suite tests aio_posix.asyncio.

`pytest -p aiofiles_judge`: the import of aiofiles gives a stand-in whose open() is ours, coroutines
run in a loop of their own, which is uvloop's if JUDGE_LOOP says so. pytest-asyncio is not needed.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import socket
import sys
import types
from typing import Any

import pytest

import aio_posix.asyncio as aa

stand_in = types.ModuleType("aiofiles")
threadpool = types.ModuleType("aiofiles.threadpool")
stand_in.open = threadpool.open = aa.open  # type: ignore[attr-defined]  # a module made here
stand_in.threadpool = threadpool  # type: ignore[attr-defined]
sys.modules.update({"aiofiles": stand_in, "aiofiles.threadpool": threadpool})

# aiofiles keeps the built-in's file as _file, and its suite asks that one whether it is closed.
for kind in (aa.BinaryFile, aa.TextFile):
    kind._file = property(lambda file: file)  # type: ignore[union-attr]  # only here

loops = importlib.import_module(os.environ.get("JUDGE_LOOP", "asyncio"))


@pytest.fixture
def unused_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
