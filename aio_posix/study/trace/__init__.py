"""Requests and threads of a program on one line of time.

event      what the binding can tell by itself, and the file that carries it out of a process
recorder   a context manager that makes events; without it nothing is in the way of a request
awaited    what the recorder sees of aio_posix.asyncio
strace     the system calls of all threads, where strace is installed; calls takes them from it
timeline   what happened: lanes, boxes, arrows; matching and drawing make one of events and calls
clip, rows, scale, svg, html, perfetto, table     what is made of a timeline
command    python -m aio_posix trace; child is the process that runs the program
"""

from __future__ import annotations

from aio_posix.study.trace.drawing import timeline
from aio_posix.study.trace.event import Event
from aio_posix.study.trace.recorder import Recorder
from aio_posix.study.trace.svg import svg
from aio_posix.study.trace.timeline import Timeline

__all__ = ["Event", "Recorder", "Timeline", "svg", "timeline"]
