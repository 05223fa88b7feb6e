"""Finds the module _calls (csrc/python/module.c) in the library that cffi has built as _ffi.

One library means one state. Importing this module gives the one of C, which _calls.pyi describes.
Loader and spec are of the kinds that _ffi was found with. importlib.machinery would take 2 ms more.
"""

import sys

from aio_posix import _ffi

_like = vars(_ffi)
_loader = type(_like["__loader__"])(__name__, _ffi.__file__)
_spec = type(_like["__spec__"])(__name__, _loader, origin=_ffi.__file__)
_module = _loader.create_module(_spec)
_loader.exec_module(_module)
sys.modules[__name__] = _module
