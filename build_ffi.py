"""How the C in aio_posix/csrc becomes the module aio_posix._ffi; setup.py names the object below.

The same library holds the module aio_posix._calls: csrc/python/module.c has its PyInit.
"""

import sysconfig
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).parent
CSRC = Path("aio_posix") / "csrc"  # relative to setup.py, where setuptools runs
SOURCES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / CSRC).glob("*/*.c"))
HEADERS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / CSRC).rglob("*.h"))
FREE_THREADED = sysconfig.get_config_var("Py_GIL_DISABLED")

ffibuilder = FFI()
ffibuilder.cdef((ROOT / CSRC / "aio.cdef.h").read_text())
ffibuilder.set_source(
    "aio_posix._ffi",
    """
    #include "engine/list.h"
    #include "engine/signals.h"
    #include "engine/waiter.h"
    #include "python/batch.h"
    #include "python/gate.h"
    #include "python/openfile.h"
    #include "python/page_cache.h"
    """,
    sources=SOURCES,
    depends=[*HEADERS, "build_ffi.py"],
    include_dirs=[str(CSRC)],
    define_macros=[("_GNU_SOURCE", None), ("_FILE_OFFSET_BITS", "64")],
    extra_compile_args=["-std=c11", "-Wall", "-Wextra", "-pthread"],
    libraries=["rt"],  # empty since glibc 2.34, needed before
    # the stable ABI of free-threaded interpreters begins with 3.15, and its objects are opaque
    **({"py_limited_api": False} if FREE_THREADED else {}),  # type: ignore[arg-type]  # of cffi
)
