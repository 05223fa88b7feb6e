"""The memory of a live process, which is its mappings, bytes of them, and the symbols of its
libraries.

/proc/PID/mem is only read. The process is not stopped, so what is read may change meanwhile. /proc
is bytes. A path may have any byte but NUL, a line ends at b"\\n" alone, and a line that does not
parse is passed over. Symbols are read from the library as it is mapped, and not from its file,
which may have been replaced by another version since.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

LINE = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+ *(.*)", re.DOTALL)
# <elf.h>, 64 bit
PT_LOAD, PT_DYNAMIC = 1, 2
DT_STRTAB, DT_SYMTAB, DT_STRSZ = 5, 6, 10
# type, flags, offset, vaddr, paddr, filesz, memsz, align
PROGRAM_HEADER = struct.Struct("IIQQQQQQ")
# name, info, other, section, value, size
SYMBOL = struct.Struct("IBBHQQ")
MOST = 1 << 24  # bytes of one table, of which glibc's have some 100,000


class Mapping(NamedTuple):
    start: int
    end: int
    flags: str
    offset: int
    path: bytes


class Memory:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        with open(f"/proc/{pid}/maps", "rb") as maps:
            self.mappings = list(parsed(maps.read()))

    def read(self, address: int, size: int) -> bytes:
        """Raises OSError if not all of it can be read."""
        try:
            memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY)
            try:
                data = os.pread(memory, size, address)
            finally:
                os.close(memory)
        except OverflowError:  # an address that no signed offset reaches
            data = b""
        if len(data) != size:
            raise OSError(f"{size} bytes at {address:#x} cannot be read")
        return data

    def word(self, address: int) -> int:
        return int(struct.unpack("Q", self.read(address, 8))[0])

    def symbols(self, library: Mapping, wanted: frozenset[bytes]) -> dict[bytes, int]:
        """The addresses of dynamic symbols of a library, by name; `library` is its first mapping.

        Raises OSError, or ValueError if it is no 64-bit ELF library of this byte order.
        """
        header = self.read(library.start, 64)
        if header[:5] != b"\x7fELF\2":
            raise ValueError("not a 64-bit ELF file")
        (table,) = struct.unpack_from("Q", header, 32)
        size, count = struct.unpack_from("HH", header, 54)
        programs = self.read(library.start + table, size * count)
        headers = [PROGRAM_HEADER.unpack_from(programs, size * n) for n in range(count)]
        base = library.start - min(one[3] for one in headers if one[0] == PT_LOAD)
        dynamic = next(one for one in headers if one[0] == PT_DYNAMIC)
        tags = dict(struct.iter_unpack("QQ", self.read(base + dynamic[3], dynamic[6])))
        # ld.so has put addresses in place of the file's numbers, unless the table is read-only
        strings, symbols = (
            tags[tag] + (base if tags[tag] < base else 0) for tag in (DT_STRTAB, DT_SYMTAB)
        )
        if not 0 < strings - symbols < MOST or tags[DT_STRSZ] > MOST:
            raise ValueError("its tables are elsewhere than linkers put them")
        names = self.read(strings, tags[DT_STRSZ])
        places = {names.find(b"\0" + name + b"\0") + 1: name for name in wanted}
        data = self.read(symbols, (strings - symbols) // SYMBOL.size * SYMBOL.size)
        return {
            places[name]: base + value
            for name, _, _, section, value, _ in SYMBOL.iter_unpack(data)
            if name and name in places and section
        }


def parsed(maps: bytes) -> Iterator[Mapping]:
    for line in maps.split(b"\n"):
        if found := LINE.fullmatch(line):
            start, end, offset = (int(found[n], 16) for n in (1, 2, 4))
            yield Mapping(start, end, found[3].decode("ascii", "replace"), offset, found[5])
