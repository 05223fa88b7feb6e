"""Writes aio_posix/_ffi.pyi from the compiled module and aio_posix/csrc/aio.cdef.h.

`python tests/ffi_stub.py` writes it anew; tests/test_typing.py fails until that has been done.
Types come from the compiled module, the names of parameters from the cdef.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from aio_posix._ffi import ffi, lib

PACKAGE = Path(__file__).parent.parent / "aio_posix"
STUB = PACKAGE / "_ffi.pyi"
CDEF = PACKAGE / "csrc" / "aio.cdef.h"

HEAD = '''\
"""The compiled module, for type checkers. Written by tests/ffi_stub.py; do not edit."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, final

_T = TypeVar("_T")

@final
class _FFI:
    NULL: Final[Any]
    CData: Final[type]
    @property
    def errno(self) -> int: ...
    def new(self, cdecl: Any, init: object = ..., /) -> Any: ...
    def cast(self, cdecl: Any, source: object, /) -> Any: ...
    def gc(self, cdata: _T, destructor: Callable[[_T], object], size: int = ..., /) -> _T: ...
    def new_allocator(
        self, alloc: Any = ..., free: Any = ..., should_clear_after_alloc: bool = ...
    ) -> Any: ...
    def release(self, cdata: Any, /) -> None: ...
    def typeof(self, cdecl: object, /) -> Any: ...
    def addressof(self, cdata: Any, /, *fields: str | int) -> Any: ...
    def from_buffer(
        self, cdecl: Any, source: object = ..., require_writable: bool = ...
    ) -> Any: ...
    def buffer(self, cdata: Any, size: int = ..., /) -> Any: ...
    def sizeof(self, cdecl: Any, /) -> int: ...

'''
NUMBERS = {"primitive": "int", "enum": "int", "void": "None"}


def python_type(ctype: Any) -> str:
    """What a value of this C type is in Python; Any for whatever cffi converts from many types."""
    if ctype.kind == "pointer" and ctype.item.kind == "struct":
        return str(ctype.item.cname.removeprefix("struct "))
    if ctype.kind == "struct":
        return str(ctype.cname.removeprefix("struct "))
    return NUMBERS.get(ctype.kind, "Any")


def parameters(name: str, cdef: str) -> list[str]:
    """The names of a function's parameters, in their order."""
    found = re.search(rf"\b{name}\(([^)]*)\);", cdef)
    assert found, f"{CDEF.name} does not declare {name}"
    if found[1] == "void":
        return []
    named = [re.findall(r"\w+", parameter)[-1] for parameter in found[1].split(",")]
    return ["self_" if parameter == "self" else parameter for parameter in named]


def function(name: str, cdef: str) -> str:
    ctype = ffi.typeof(getattr(lib, name))
    typed = [
        f"{parameter}: {python_type(argument)}"
        for parameter, argument in zip(parameters(name, cdef), ctype.args, strict=True)
    ]
    listed = ", ".join(["self", *typed, "/"])
    line = f"    def {name}({listed}) -> {python_type(ctype.result)}: ..."
    if len(line) <= 100:
        return line
    folded = "".join(f"        {part},\n" for part in listed.split(", "))
    return f"    def {name}(\n{folded}    ) -> {python_type(ctype.result)}: ..."


def structure(name: str) -> str:
    fields = [
        f"    {field}: {python_type(description.type)}"
        for field, description in ffi.typeof(f"struct {name}").fields
    ]
    body = "\n".join(fields) if fields else ""
    return f"@final\nclass {name}:\n{body}\n" if body else f"@final\nclass {name}: ...\n"


def is_constant(name: str) -> bool:
    try:
        ffi.addressof(lib, name)
    except AttributeError:
        return True
    return False


def stub() -> str:
    """The text of _ffi.pyi."""
    cdef = re.sub(r"/\*.*?\*/", "", CDEF.read_text(), flags=re.DOTALL)
    names = [name for name in dir(lib) if not name.startswith("_")]
    functions = [name for name in names if callable(getattr(lib, name))]
    constants = [name for name in names if name not in functions and is_constant(name)]
    variables = [name for name in names if name not in functions and name not in constants]
    members = [
        *(f"    {name}: Final[int]" for name in constants),
        *(f"    {name}: int" for name in variables),
        *(function(name, cdef) for name in functions),
    ]
    return (
        HEAD
        + "\n".join(structure(name) for name in ffi.list_types()[1])
        + "\n@final\nclass _Lib:\n"
        + "\n".join(members)
        + "\n\nffi: _FFI\nlib: _Lib\n"
    )


if __name__ == "__main__":
    STUB.write_text(stub())
