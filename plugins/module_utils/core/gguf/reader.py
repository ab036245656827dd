# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a GGUF header, one after the other, from bytes that may lie.

Every length is checked against a cap and against the bytes there are before anything is allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

from ..errors import Untrusted
from .types import ARRAY, SCALARS, STRING

MAX_HEADER = 64 << 20  # bytes
_MAX_STRING, _MAX_ITEMS = 16 << 20, 4 << 20
_KEEP_TEXT, _KEEP_ITEMS = 1 << 18, 4096  # longer strings and arrays are not kept
_FIRST_READ = 1 << 20  # bytes; the whole header of a model with a small vocabulary

_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


@dataclass(frozen=True)
class Skipped:
    """A metadata array or string that was not kept: the type of its items (gguf_type) and their number."""

    kind: int
    count: int


Scalar = Union[bool, int, float, str]
Value = Union[Scalar, tuple[Scalar, ...], Skipped]


class Reader:
    """A place in the header and the bytes up to a little behind it.

    :param read: gives the next bytes, as many as asked for or, at the end of the file, fewer.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.data = bytearray()
        self.at = 0

    def need(self, end: int) -> None:
        """Have the bytes up to `end` at hand; reads twice as far each time, so that few reads do."""
        if end > MAX_HEADER:
            raise Untrusted(f"its header needs {end} bytes or more; at most {MAX_HEADER} are read.")
        missing = end - len(self.data)
        if missing <= 0:
            return
        wanted = max(missing, len(self.data), _FIRST_READ)
        self.data += self._read(min(wanted, MAX_HEADER - len(self.data)))
        if end > len(self.data):
            raise Untrusted(f"it ends inside its header: {end} bytes are needed at least, it has {len(self.data)}.")

    def take(self, size: int) -> int:
        """Step over the next `size` bytes; returns where they start."""
        start, end = self.at, self.at + size
        self.need(end)
        self.at = end
        return start

    def u32(self) -> int:
        number: int = _U32.unpack_from(self.data, self.take(4))[0]
        return number

    def u64(self) -> int:
        number: int = _U64.unpack_from(self.data, self.take(8))[0]
        return number

    def text(self, limit: int, what: str) -> str:
        return self._bytes(limit, what).decode("utf-8", "replace")

    def _bytes(self, limit: int, what: str) -> bytes:
        size = self.u64()
        check_limit(f"bytes in a {what}", size, limit)
        start = self.take(size)
        return bytes(self.data[start : start + size])

    def value(self) -> Value:
        """A metadata value, whose type stands before it."""
        kind = self.u32()
        if kind in SCALARS:
            found: Scalar = SCALARS[kind].unpack_from(self.data, self.take(SCALARS[kind].size))[0]
            return found
        if kind == STRING:
            data = self._bytes(_MAX_STRING, "string")
            return data.decode("utf-8", "replace") if len(data) <= _KEEP_TEXT else Skipped(STRING, len(data))
        if kind == ARRAY:
            return self._array()
        raise Untrusted(f"it holds a metadata value of type {kind}, which does not exist.")

    def _array(self) -> Value:
        kind, count = self.u32(), self.u64()
        check_limit("items in an array", count, _MAX_ITEMS)
        if kind == STRING:
            self._hop(count)
            return Skipped(STRING, count)
        if kind not in SCALARS:
            raise Untrusted(f"it holds an array of items of type {kind}; arrays hold numbers or strings.")
        start = self.take(SCALARS[kind].size * count)
        if count > _KEEP_ITEMS:
            return Skipped(kind, count)
        return struct.unpack_from(f"<{count}{SCALARS[kind].format[-1]}", self.data, start)

    def _hop(self, count: int) -> None:
        """Step over `count` strings by their lengths alone: half a million of them stand in a large vocabulary."""
        at, data, length = self.at, self.data, _U64.unpack_from
        items = iter(range(count))
        while True:
            try:
                for _item in items:
                    at += 8 + length(data, at)[0]
                break
            except (struct.error, OverflowError):  # the length at `at` is not at hand, or lies beyond any file
                self.need(at + 8)
                at += 8 + length(data, at)[0]
        self.need(at)
        self.at = at


def check_limit(what: str, found: int, limit: int) -> None:
    """Refuse a count above its cap."""
    if found > limit:
        raise Untrusted(f"it claims {found} {what}; at most {limit} are accepted.")
