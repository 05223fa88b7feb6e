"""Signals that stand for objects.

- A signal carries a number. The object it stands for lives as long as its aiocb, or as long as the
  submission keeps it. Those whose signals may still be pending after that are kept, up to UNHEARD
  requests of them.
"""

from __future__ import annotations

import weakref
from collections import deque
from itertools import count

from aio_posix import _calls

TYPE_CHECKING = False  # as in sigevent.py
if TYPE_CHECKING:
    from typing import Any, ClassVar

UNHEARD = 1024  # completed requests that are kept for a sigwaitinfo which may never be called


class Signalled:
    """What a signal with this number stands for. It does not keep an aiocb alive."""

    __slots__ = ("__weakref__", "cb", "number", "pending", "returned", "value")

    def __init__(self, value: Any, cb: Any) -> None:
        self.value = value
        self.cb = None if cb is None else weakref.ref(cb)
        self.number = next(_numbers)
        # One entry for each submission whose signal sigwaitinfo has not taken. It is a list because
        # two threads may append and pop at the same time. A counter would lose one of the changes.
        self.pending: list[None] = []
        self.returned = False  # aio_return was called since, so the program needs no signal
        signalled[self.number] = self

    def requests(self) -> int:
        """How many are kept alive by this."""
        return len(self.value) if type(self.value) in (list, tuple) else 1


class Unheard:
    """What is kept, by number, for signals that may still be pending: an aiocb or a Signalled.

    Destructors come here, and a destructor must not wait for a lock. So a call that finds another
    one at work (in another thread, or in this one below a destructor) only adds its change to
    ``_to_do``, and the other makes it. ``_free`` is empty while one is at work. It is no lock,
    because a signal handler that raises could come between the taking of one and the try.
    """

    kept: ClassVar[dict[int, tuple[int, Any]]] = {}  # oldest first
    requests = 0
    _to_do: ClassVar[deque[tuple[int, int, Any]]] = deque()  # number, requests, what
    _free: ClassVar[dict[str, bool]] = {"free": True}

    @classmethod
    def keep(cls, number: int, requests: int, what: Any) -> None:
        cls._to_do.append((number, requests, what))
        cls._work()

    @classmethod
    def drop(cls, number: int) -> None:
        cls._to_do.append((number, 0, None))
        cls._work()

    @classmethod
    def _work(cls) -> None:
        while cls._to_do:
            try:
                del cls._free["free"]
            except KeyError:
                return
            try:
                while cls._to_do:
                    cls._change(*cls._to_do.popleft())
            finally:
                cls._free["free"] = True

    @classmethod
    def _change(cls, number: int, requests: int, what: Any) -> None:
        cls._forget(number)
        if what is not None:
            cls.kept[number] = requests, what
            cls.requests += requests
        while cls.requests > UNHEARD and len(cls.kept) > 1:
            cls._forget(next(iter(cls.kept)))

    @classmethod
    def _forget(cls, number: int) -> None:
        forgotten = cls.kept.pop(number, (0, None))  # held until the count is right
        cls.requests -= forgotten[0]


_numbers = count(1)  # 48 bits of them fit beside TOKEN
signalled: weakref.WeakValueDictionary[int, Signalled] = weakref.WeakValueDictionary()


def signalled_by(cb: Any, default: Any, own: Any) -> tuple[int, Any]:
    """The number that the signal of a submission carries, and what has to live for it.

    cb is None for a list. The number of the submission before is used again if it stands for the
    same, because signals that carry it may still be pending.
    """
    if cb is None:
        new = Signalled(default if own is None else own, None)
        new.pending.append(None)
        return new.number, new
    record: Signalled | None = cb._signalled
    while record is None or (
        record.cb is None if own is None else record.cb is not None or record.value is not own
    ):
        old, record = record, Signalled(own, cb if own is None else None)
        if not cb._signal_by(old, record):  # another thread was faster
            record = cb._signalled
        elif old is not None and old.cb is None:
            unheard(old)
    record.returned = False
    record.pending.append(None)
    return record.number, cb if own is None else record


def unheard(kept: Any) -> None:
    """Keeps what nobody else holds and a later sigwaitinfo may ask for. That is an aiocb that the
    sweeper has found over, or the Signalled of a list or of a dropped aiocb.
    """
    record = kept if type(kept) is Signalled else kept._signalled
    if record is kept and record.cb is not None:
        return  # the aiocb is gone
    if record.pending and not record.returned:
        Unheard.keep(record.number, record.requests(), kept)


def returned(record: Signalled) -> None:
    """The aiocb's result is about to be returned. From now on only the program keeps it alive."""
    record.returned = True
    Unheard.drop(record.number)


def value_of(number: int) -> Any:
    """What a signal with this number stands for; None if that has gone."""
    record = signalled.get(number)
    if record is None:
        return None
    cb = None if record.cb is None else record.cb()
    del record.pending[:1]
    if not record.pending:
        Unheard.drop(number)
    if record.cb is None:
        return record.value
    if cb is not None:
        _calls.state(cb)  # it is over, and this releases what it needed
    return cb
