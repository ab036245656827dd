# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a header the memory of a launch depends on, as small data that travels between hosts.

A header of 1,000 tensors becomes a few kilobytes: tensors of equal shape in many blocks are one entry, and texts, the
vocabulary among them, stay behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Untrusted
from .header import Header, Tensor
from .types import TENSOR_TYPES

_BLOCK = re.compile(r"blk\.(\d{1,5})\.(.+)")
_MOST_TENSORS, _MOST_VALUES, _MOST_ITEMS = 1 << 18, 1 << 62, 1 << 16
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def pack(header: Header) -> dict[str, Any]:
    """`{metadata: {key: number, word or numbers}, tensors: [[name with {}, dimensions, type, ranges of blocks]]}`."""
    prefix = f"{header.architecture}."
    metadata = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in header.metadata.items()
        if (key.startswith(prefix) or key == "general.architecture") and _plain(value)
    }
    groups: dict[tuple[str, tuple[int, ...], int], list[int]] = {}
    for tensor in header.tensors:
        match = _BLOCK.fullmatch(tensor.name)
        name = f"blk.{{}}.{match[2]}" if match else tensor.name
        blocks = groups.setdefault((name, tensor.dims, tensor.type), [])
        if match:
            blocks.append(int(match[1]))
    tensors = [[name, list(dims), kind, _ranges(blocks)] for (name, dims, kind), blocks in groups.items()]
    return {"metadata": metadata, "tensors": tensors}


def unpack(packed: Mapping[str, Any]) -> Header:
    """The header again, as far as memory depends on it.

    :raises Untrusted: it is none that `pack` makes.
    """
    try:
        metadata = {
            str(key): tuple(value) if isinstance(value, (list, tuple)) else value
            for key, value in packed["metadata"].items()
        }
        tensors = list(_tensors(packed["tensors"]))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise Untrusted(f"The geometry of a model cannot be read: {exc}.") from None
    if not all(_plain(value) for value in metadata.values()):
        raise Untrusted("The geometry of a model holds something else than numbers and words.")
    return Header(3, metadata, tuple(tensors), 0, sum(tensor.size for tensor in tensors))


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) <= _MOST_ITEMS and all(isinstance(item, (bool, int, float)) for item in value)
    return isinstance(value, (bool, int, float)) or (isinstance(value, str) and bool(_WORD.fullmatch(value)))


def _ranges(numbers: Iterable[int]) -> list[list[int]]:
    """[0, 1, 2, 5] -> [[0, 2], [5, 5]]."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _tensors(packed: Iterable[Any]) -> Iterable[Tensor]:
    count = 0
    for name, dims, kind, ranges in packed:
        size = _size([int(dim) for dim in dims], int(kind))
        blocks = [block for first, last in ranges for block in range(int(first), min(int(last), _MOST_ITEMS) + 1)]
        count += max(len(blocks), 1)
        if count > _MOST_TENSORS:
            raise ValueError("too many tensors")
        for block in blocks or [-1]:
            yield Tensor(str(name).replace("{}", str(block)), tuple(int(dim) for dim in dims), int(kind), 0, size)


def _size(dims: list[int], number: int) -> int:
    values = 1
    for dim in dims:
        values *= dim
    if number not in TENSOR_TYPES or not 0 < values < _MOST_VALUES or len(dims) > 4:
        raise ValueError(f"no tensor has {dims} values of type {number}")
    kind = TENSOR_TYPES[number]
    return values // kind.block * kind.size
