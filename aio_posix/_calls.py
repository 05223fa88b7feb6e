"""Finds the module _calls (csrc/python/module.c) in the library that cffi has built as _ffi.

One library means one state. Importing this module gives the one of C, which _calls.pyi describes.
"""

import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec

from aio_posix import _ffi

_loader = ExtensionFileLoader(__name__, _ffi.__file__)
_spec = ModuleSpec(__name__, _loader, origin=_ffi.__file__)
_module = _loader.create_module(_spec)
_loader.exec_module(_module)
sys.modules[__name__] = _module
