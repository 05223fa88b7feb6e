"""The event loops that awaited files are tried on: asyncio's own, and uvloop where it is there."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None
LOOPS = [
    "asyncio",
    pytest.param("uvloop", marks=pytest.mark.skipif(not HAS_UVLOOP, reason="no uvloop")),
]


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def run_on(name: str, program: Coroutine[Any, Any, T], seconds: float = 30) -> T:
    """The result of a program on a loop of its own; fails if it takes longer."""
    with asyncio.Runner(loop_factory=lambda: new_loop(name)) as runner:
        return runner.run(asyncio.wait_for(program, seconds))
