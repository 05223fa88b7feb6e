"""The C that takes and returns Python objects: csrc/python/."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Generic, Self, TypeVar

from aio_posix._types import FileDescriptor, ReadableBuffer, WritableBuffer
from aio_posix.aiocb import aiocb
from aio_posix.sigevent import sigevent

S = TypeVar("S", str, bytes)

class Control:
    """The C half of an aiocb: its fields, and the struct aiocb that glibc knows."""

    aio_offset: int
    aio_reqprio: int
    aio_sigevent: sigevent | None
    _nbytes: int | None
    _signalled: Any
    def _signal_by(self, old: Any, new: Any, /) -> bool: ...  # False if _signalled is not old
    @property
    def aio_fildes(self) -> Any: ...
    @aio_fildes.setter
    def aio_fildes(self, value: FileDescriptor) -> None: ...
    @property
    def aio_buf(self) -> Any: ...  # the object that was given: the program knows what it is
    @aio_buf.setter
    def aio_buf(self, value: ReadableBuffer | None) -> None: ...

class Notifier:
    """The C half of a sigevent: what to call, and the plan that submissions copy."""

    _callable: Callable[[Any], object] | None
    sigev_value: Any
    def _become(
        self,
        notify: int,
        signo: int,
        raw: int | None,
        queue: int,
        stack: int,
        callable: Any,
        value: Any,
        /,
    ) -> None: ...
    def _in_use(self) -> bool: ...

# one request
def start(cb: aiocb, op: int, /) -> None: ...
def error(cb: aiocb, /) -> int: ...
def return_(cb: aiocb, /) -> int: ...
def state(cb: aiocb, /) -> int: ...
def address(cb: aiocb, /) -> int: ...
def reset(cb: aiocb, /) -> bool: ...
def cancel(fd: int, cb: aiocb | None, /) -> int: ...  # a constant, or minus an errno
def accept_submissions(yes: bool, /) -> None: ...

# lists
def listio(cbs: list[Any], waits: bool, sig: sigevent | None, value: Any, /) -> int: ...
def suspend(cbs: list[aiocb], nanoseconds: int, /) -> bool: ...

# what is in flight, and what is owed
def in_flight() -> list[tuple[int, int, int, Any, int, int]]: ...  # flight.InFlight
def await_write(milliseconds: int, /) -> bool: ...
def owed() -> int: ...
def callback_of_a_write_due() -> bool: ...
def count() -> tuple[int, int, int, int, int]: ...  # flight.Stats
def reap() -> None: ...
def kept() -> int: ...
def take(queue: int, /) -> list[Any] | None: ...  # None: it is closed
def watch(function: Callable[..., None] | None, /) -> Callable[..., None] | None: ...
def tell_pool(threads: int, /) -> None: ...  # to the watcher

# a turn of an event loop, and the page cache
def batch_submit(batch: int, entries: list[Any], line: Any, n: int, keeper: Any, /) -> None: ...
def batch_collect(batch: int, entries: list[Any], found: list[Any], whole: bool, /) -> None: ...
def batch_abandon(batch: int, /) -> None: ...
def readinto_now(fd: Any, buffer: WritableBuffer, offset: int, /) -> int | None: ...
def read_now(fd: Any, nbytes: int, offset: int, /) -> bytes | None: ...  # None: declined() says why
def plain_ranges(ranges: list[Any], /) -> bool: ...  # each a tuple of two ints a read can have
def plain_buffers(buffers: list[Any], /) -> bool: ...  # each a tuple of a writable one and an int
def readinto_many_now(fd: int, buffers: list[Any], counts: list[int], /) -> None: ...
def read_many_now(fd: int, ranges: list[Any], results: list[bytes], /) -> None: ...
def fill_now(fd: int, data: bytes, at: int, nbytes: int, offset: int, /) -> int | None: ...
def may_now(fd: int, nbytes: int, /) -> bool: ...
def declined() -> int: ...
def fresh(nbytes: int, /) -> bytes: ...  # its content is undefined, to be read into

# open files
def same_file(a: int, b: int, /) -> int: ...  # 1, 0, or -1 when this system does not tell
def lock_held(fd: int, /) -> bool: ...  # closing it would drop a lock of this process
def lock_held_here(fd: int, /) -> bool: ...  # False for a file that is not local
def kind_of(fd: int, /) -> int: ...  # of STREAM_KIND and DIRECT_KIND
def close_local(fd: int, /) -> int: ...  # CLOSED, LOCKED or MAY_WAIT
def open_now(path: str | bytes, flags: int, /) -> tuple[int, int] | None: ...  # fd, size
def is_local(fd: int, /) -> bool: ...  # whether the file system is of this machine; may wait
def close_now(fd: int, /) -> bool: ...  # False: it may take long, and nothing has happened

class Position:
    """Where an open file stands: csrc/python/position.c."""

    fd: int
    at: int
    least: int
    chunk: int
    first: int
    length: int
    def read_now(self, nbytes: int, /) -> bytes | None: ...  # None: not at once; -1: all
    def pread_now(self, nbytes: int, offset: int, /) -> bytes | None: ...
    def readinto_now(self, buffer: WritableBuffer, offset: int = ..., /) -> int | None: ...
    def seek_now(self, offset: int, /) -> bool: ...

# what threads do without the GIL
class Jobs:
    """A line of jobs for threads: csrc/engine/jobs.h."""

    def put(self, job: Job | Callable[[], object], /) -> bool: ...  # whether a thread is free
    def get(self, seconds: float, /) -> Callable[[], object] | None: ...  # does each Job itself
    @property
    def waiting(self) -> int: ...  # jobs that no thread is free for
    @property
    def begun(self) -> int: ...  # jobs so far
    @property
    def idle(self) -> int: ...  # threads

class Ended:
    """Where the jobs of a loop go when they are done."""

    def __new__(cls, bell: int, /) -> Self: ...
    def collect(self, found: list[Any], /) -> None: ...
    def close(self, found: list[Any], /) -> None: ...  # jobs that end from now on are orphaned()
    def wake(self) -> None: ...  # the loop looks by itself
    def sleep(self) -> bool: ...  # False: there is something to be collected
    @property
    def out(self) -> int: ...

class Job:
    """Done by the thread that takes it, or by whoever calls it first."""

    def __call__(self) -> None: ...
    @property
    def begun(self) -> bool: ...
    @property
    def done(self) -> bool: ...

class Writes(Job):
    """Writes of some files, and at the end a close: csrc/python/writes.c."""

    closes: int  # a descriptor, or -1
    @property
    def error(self) -> int: ...  # of the close
    def __new__(cls, ended: Ended, *args: Any) -> Self: ...
    def add(self, fd: int, data: ReadableBuffer, offset: int, /) -> int: ...  # its place, or -1
    def result(self, i: int, /) -> tuple[int, int]: ...  # how much was written, and an errno

class OpenCall(Job):
    """An open that may wait: csrc/python/opening.c."""

    def __new__(cls, ended: Ended, path: str | bytes, flags: int, /) -> Self: ...
    def take(self) -> tuple[int, int, int, bool]: ...  # fd, st_mode, st_size, is_local()
    def abandon(self) -> None: ...

# lines
class Lines(Generic[S]):
    """What was read and not yet handed out: csrc/python/lines.c."""

    @property
    def data(self) -> S: ...
    @property
    def at(self) -> int: ...
    left: int
    ends: int
    def hold(self, data: S, /) -> None: ...
    def append(self, more: str, /) -> None: ...
    def move(self, at: int, /) -> None: ...
    def line(self) -> S | None: ...
    def line_now(self) -> S | None: ...  # while anything is left
    def lines(self) -> list[S]: ...

class EachLine(AsyncIterator[S]):
    """`async for` over a window; what `more` returns is awaited where no line is at hand."""

    def __new__(cls, window: Lines[S], more: Callable[[], Coroutine[Any, Any, S]], /) -> Self: ...
    def __anext__(self) -> Awaitable[S]: ...
