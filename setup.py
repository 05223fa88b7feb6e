"""What pyproject.toml cannot say: the cffi module, the stable-ABI wheel and its file name, which
interpreters are refused, and what a failed build means.
"""

import sys
import sysconfig

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
OF_ABI = ("Py_TARGET_ABI3T", "_CFFI_NO_LIMITED_API")

if sys.implementation.name != "cpython":
    raise SystemExit(
        f"aio_posix needs CPython: its C part uses CPython's own C API, which "
        f"{sys.implementation.name} does not have in full."
    )
if FREE_THREADED and sys.version_info < (3, 14):
    raise SystemExit("aio_posix needs Python 3.14 or newer where Python is free-threaded, as cffi.")
if sys.maxsize < 2**32:
    raise SystemExit(
        "aio_posix needs a 64-bit Python: 64 bits of each notification travel through a pointer."
    )


class BuildExt(build_ext):
    def build_extension(self, ext):
        if FREE_THREADED:
            # cffi asks for the ABI of 3.15t all the same, and for none with another value than the
            # file that it writes
            given = [macro for macro in ext.define_macros if macro[0] not in OF_ABI]
            ext.define_macros = [*given, ("_CFFI_NO_LIMITED_API", "")]
        try:
            super().build_extension(ext)
        except (BaseError, CCompilerError) as error:
            raise SystemExit(
                f"{error}\n\naio_posix could not be compiled. It needs a C compiler, the C "
                "library's headers and Python's headers:\n"
                "    Debian, Ubuntu:  apt-get install gcc libc6-dev python3-dev\n"
                "    Fedora:          dnf install gcc glibc-devel python3-devel\n"
                "It needs glibc's <aio.h> on a 64-bit machine; musl and other systems are not "
                "supported."
            ) from error

    def get_ext_filename(self, fullname):
        """Names the library so that every Python imports it.

        Python 3.15 would name it after the machine as well, and 3.11 to 3.14 do not look for that.
        """
        path = super().get_ext_filename(fullname)
        if not any(ext.py_limited_api for ext in self.extensions):
            return path
        return path[: path.index("_ffi") + len("_ffi")] + ".abi3.so"


setup(
    cffi_modules=["build_ffi.py:ffibuilder"],
    cmdclass={"build_ext": BuildExt},
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
