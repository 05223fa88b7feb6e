"""What pyproject.toml cannot say: the cffi module, the stable-ABI wheel tag, and what a failed
build means.
"""

import sysconfig

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


class BuildExt(build_ext):
    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except (BaseError, CCompilerError) as error:
            raise SystemExit(
                f"{error}\n\naio_posix could not be compiled. It needs a C compiler, the C library's headers and "
                "Python's headers:\n    Debian, Ubuntu:  apt-get install gcc libc6-dev python3-dev\n"
                "    Fedora:          dnf install gcc glibc-devel python3-devel\n"
                "It needs glibc's <aio.h>; musl and other systems are not supported."
            ) from error


setup(
    cffi_modules=["build_ffi.py:ffibuilder"],
    cmdclass={"build_ext": BuildExt},
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
