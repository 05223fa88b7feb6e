"""Which ring serves the running loop.

- A ring lives as long as its loop. One whose loop was closed is closed with the next ring that is
  made, or collected with the loop; requests it still had in flight are let go of when glibc is done
  with them.
- In a forked child there are no rings; a new one will find out whether AIO still works.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref

from aio_posix.asyncio.ring import Ring

_rings: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Ring] = weakref.WeakKeyDictionary()
_making = threading.Lock()
_here = threading.local()


def current() -> Ring:
    """The ring of the running loop."""
    loop = asyncio.get_running_loop()
    try:
        ring: Ring | None = _here.ring()
        if ring is not None and ring.loop() is loop:
            return ring
    except AttributeError:
        pass
    with _making:
        for other in [old for old in list(_rings) if old.is_closed()]:
            _rings.pop(other).close()
        found = _rings.get(loop)
        if found is None:
            found = _rings[loop] = Ring(loop)
    _here.ring = weakref.ref(found)
    return found


def _in_child() -> None:
    global _making, _here, _rings
    _making, _here, _rings = threading.Lock(), threading.local(), weakref.WeakKeyDictionary()


os.register_at_fork(after_in_child=_in_child)
