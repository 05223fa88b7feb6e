"""How the C in aio_posix/csrc becomes the module aio_posix._ffi; setup.py names the object
below.
"""

from pathlib import Path

from cffi import FFI

CSRC = Path("aio_posix") / "csrc"  # relative to setup.py, where setuptools runs
SOURCES = [
    "flight.c", "aiocb.c", "request.c", "list.c", "cancel.c", "notice.c", "notify.c", "plan.c",
    "baton.c", "gate.c", "datastack.c", "queue.c", "sigwaitinfo.c", "batch.c", "now.c", "waiter.c",
    "openfile.c", "opening.c",
]  # fmt: skip
HEADERS = [
    "notify.h",
    "flight.h",
    "aiocb.h",
    "python.h",
    "sigwaitinfo.h",
    "batch.h",
    "now.h",
    "waiter.h",
    "openfile.h",
    "aio.cdef.h",
]

ffibuilder = FFI()
ffibuilder.cdef((Path(__file__).parent / CSRC / "aio.cdef.h").read_text())
ffibuilder.set_source(
    "aio_posix._ffi",
    """
    #include "notify.h"
    #include "sigwaitinfo.h"
    #include "aiocb.h"
    #include "batch.h"
    #include "now.h"
    #include "openfile.h"
    """,
    sources=[str(CSRC / name) for name in SOURCES],
    depends=[str(CSRC / name) for name in HEADERS] + ["build_ffi.py"],
    include_dirs=[str(CSRC)],
    define_macros=[("_GNU_SOURCE", None), ("_FILE_OFFSET_BITS", "64")],
    extra_compile_args=["-std=c11", "-Wall", "-Wextra", "-pthread"],
    libraries=["rt"],  # empty since glibc 2.34, needed before
)
