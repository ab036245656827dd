# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse GGUF files: the header of a model and its full length, without its data.

llama.cpp builds a model and its context from such a file without reading a tensor (no_alloc), so that a build can be
asked about a model that was never fetched. Layout: docs/gguf.md of ggml.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

from . import Header
from .reader import Skipped
from .types import TENSOR_TYPES

ALIGNMENT = 32
NUMBERS = {kind.name.lower(): number for number, kind in TENSOR_TYPES.items()}
Tensors = Iterable["tuple[str, tuple[int, ...], str]"]  # name, dimensions innermost first, type


def write(path: str, metadata: Mapping[str, Any], tensors: Tensors) -> int:
    """Write the file; returns its length in bytes (what it occupies is the header alone)."""
    entries, offset, count = b"", 0, 0
    for name, dims, kind in tensors:
        number = NUMBERS[kind]
        block, size = TENSOR_TYPES[number].block, TENSOR_TYPES[number].size
        values = 1
        for dim in dims:
            values *= dim
        entries += _text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, number, offset)
        offset += -(-(values // block * size) // ALIGNMENT) * ALIGNMENT
        count += 1
    head = b"GGUF" + struct.pack("<IQQ", 3, count, len(metadata))
    head += b"".join(_text(key) + _value(value) for key, value in metadata.items()) + entries
    head += b"\0" * (-len(head) % ALIGNMENT)
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(len(head) + offset)
    return len(head) + offset


def write_like(path: str, header: Header, vocabulary: int) -> None:
    """Write the file of a header (of all shards of a model as one): its own numbers, no tokenizer, all tensors."""
    prefix = f"{header.architecture}."
    kept = {
        key: value
        for key, value in header.metadata.items()
        if key.startswith(prefix) and not isinstance(value, Skipped) and value != ()
    }
    metadata = {"general.architecture": header.architecture, "tokenizer.ggml.model": "no_vocab", **kept}
    metadata[f"{prefix}vocab_size"] = vocabulary
    tensors = ((item.name, item.dims, TENSOR_TYPES[item.type].name.lower()) for item in header.tensors)
    write(path, metadata, tensors)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    """Type number and value; whole numbers as u32, i32 or u64 by their size, those of arrays as i32."""
    if isinstance(value, (list, tuple)):
        kind, letter = _kind(value[0])
        if any(isinstance(item, float) for item in value):
            kind, letter = 6, "f"
        elif letter == "I":
            kind, letter = 5, "i"
        body = b"".join(_text(item) if letter == "s" else struct.pack("<" + letter, item) for item in value)
        return struct.pack("<IIQ", 9, kind, len(value)) + body
    kind, letter = _kind(value)
    return struct.pack("<I", kind) + (_text(value) if letter == "s" else struct.pack("<" + letter, value))


def _kind(value: Any) -> tuple[int, str]:
    if isinstance(value, bool):
        return 7, "?"
    if isinstance(value, int):
        return (5, "i") if value < 0 else (4, "I") if value < 1 << 32 else (10, "Q")
    return (6, "f") if isinstance(value, float) else (8, "s")
