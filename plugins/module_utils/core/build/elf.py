# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program or shared library needs and offers, read from its dynamic section (ELF, gABI chapters 4 and 5;
symbol versions: LSB Core, "Symbol Versioning"). The file may be hostile: every read is bounded.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from ..errors import Untrusted

_MAGIC = b"\x7fELF"
_PT_LOAD, _PT_DYNAMIC = 1, 2
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29
_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_WEAK = 2  # VER_FLG_WEAK
_ENTRIES, _NAMES, _VERSIONS = 4096, 64 << 20, 10000  # more than any library has


@dataclass(frozen=True)
class Elf:
    """A dynamic object.

    :param machine: class and machine, such as (2, 62) for x86-64; only equal ones go together.
    :param needed: names of the libraries it needs, `rpath` where it looks for them first (`$ORIGIN` unexpanded).
    :param versions: library -> versions of symbols that it must define (weak ones left out).
    :param defines: the versions of symbols that this one defines.
    """

    machine: tuple[int, int]
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    versions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    defines: frozenset[str] = frozenset()


def is_elf(path: str) -> bool:
    """True for a plain file that starts as an ELF file does."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == _MAGIC
    except OSError:
        return False


def read(path: str) -> Elf:
    """The dynamic section of a file; a static program needs and offers nothing.

    :raises Untrusted: it is no 64-bit little-endian ELF file, or a damaged one.
    """
    try:
        with open(path, "rb") as file:
            return _Reader(file).elf()
    except (struct.error, IndexError, ValueError, OverflowError) as exc:
        raise Untrusted(f"{path} is no sound ELF file: {exc}.") from exc


class _Reader:
    """One open file: its segments, and its dynamic section as tag -> values."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        head = self._at(0, 64)
        if head[:6] != _MAGIC + b"\x02\x01":
            raise ValueError("only 64-bit little-endian files can be read")
        self.machine = (head[4], struct.unpack_from("<H", head, 18)[0])
        start, width, count = (*struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54))
        if width < 56 or count > _ENTRIES:
            raise ValueError("its program headers are damaged")
        table = self._at(start, width * count)
        segments = [struct.unpack_from("<IIQQQQ", table, width * number) for number in range(count)]
        self._loads = [(at, offset, size) for kind, _flags, offset, at, _p, size in segments if kind == _PT_LOAD]
        self._tags: dict[int, list[int]] = {}
        for kind, _flags, offset, _at, _p, size in segments:
            if kind == _PT_DYNAMIC:
                self._dynamic(offset, min(size, 16 * _ENTRIES))
        size = self._first(_STRSZ) or 0
        self._names = self._at(self._offset(self._first(_STRTAB)), min(size, _NAMES)) if size else b""

    def elf(self) -> Elf:
        soname = self._tags.get(_SONAME)
        paths = self._tags.get(_RUNPATH) or self._tags.get(_RPATH) or []
        return Elf(
            machine=self.machine,
            soname=self._name(soname[0]) if soname else None,
            needed=tuple(self._name(value) for value in self._tags.get(_NEEDED, [])),
            rpath=tuple(part for value in paths for part in self._name(value).split(":") if part),
            versions=dict(self._needs()),
            defines=frozenset(self._defines()),
        )

    def _dynamic(self, offset: int, size: int) -> None:
        data = self._at(offset, size - size % 16)
        for tag, value in struct.iter_unpack("<qQ", data):
            if tag == 0:
                break
            self._tags.setdefault(tag, []).append(value)

    def _needs(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Verneed: for each library a chain of versions."""
        at = self._offset(self._first(_VERNEED)) if _VERNEED in self._tags else 0
        for _number in range(min(self._first(_VERNEEDNUM) or 0, _VERSIONS)):
            _version, count, name, first, following = struct.unpack("<HHIII", self._at(at, 16))
            yield self._name(name), tuple(self._chain(at + first, count))
            at += following
            if not following:
                break

    def _chain(self, at: int, count: int) -> Iterator[str]:
        for _number in range(min(count, _VERSIONS)):
            _hash, flags, _other, name, following = struct.unpack("<IHHII", self._at(at, 16))
            if not flags & _WEAK:
                yield self._name(name)
            at += following
            if not following:
                break

    def _defines(self) -> Iterator[str]:
        """Verdef: the first name of each entry."""
        at = self._offset(self._first(_VERDEF)) if _VERDEF in self._tags else 0
        for _number in range(min(self._first(_VERDEFNUM) or 0, _VERSIONS)):
            _version, _flags, _index, _count, _hash, first, following = struct.unpack("<HHHHIII", self._at(at, 20))
            yield self._name(struct.unpack("<I", self._at(at + first, 4))[0])
            at += following
            if not following:
                break

    def _first(self, tag: int) -> int | None:
        values = self._tags.get(tag)
        return values[0] if values else None

    def _offset(self, address: int | None) -> int:
        """The place in the file of an address in memory."""
        for at, offset, size in self._loads:
            if address is not None and at <= address < at + size:
                return int(offset + address - at)
        raise ValueError("an address lies outside of what is loaded")

    def _name(self, offset: int) -> str:
        end = self._names.index(b"\0", offset)
        return self._names[offset:end].decode("utf-8", "replace")

    def _at(self, offset: int, size: int) -> bytes:
        if offset + size > self._size:
            raise ValueError("it ends too early")
        self._file.seek(offset)
        return self._file.read(size)
