# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the header of a GGUF file: what it says about the model and where its tensors lie.

A file is hostile until proven otherwise, and whatever is wrong with it is an `Untrusted`. Only the header is read, and
vocabularies are hopped over, so that the largest known header takes a fraction of a second.
Layout: docs/gguf.md of ggml; rules of acceptance: ggml/src/gguf.cpp, gguf_init_from_reader.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import Untrusted
from .reader import Reader, Value, check_limit
from .types import TENSOR_TYPES, TensorType

_MAX_PAIRS, _MAX_TENSORS = 1 << 16, 1 << 18
_MAX_KEY, _MAX_NAME = (1 << 16) - 1, 127  # bytes
_MAX_ALIGNMENT, _MAX_DIMS, _MAX_VALUES = 1 << 20, 4, 1 << 62

# What a later computation may be led to multiply or loop over, by key after the architecture's name.
_LIMITS = {
    "block_count": 4096,
    "expert_count": 4096,
    "attention.head_count": 4096,
    "attention.head_count_kv": 4096,
    "attention.key_length": 8192,
    "attention.value_length": 8192,
}
_PER_BLOCK = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")


@dataclass(frozen=True)
class Tensor:
    """One tensor: dimensions innermost first, type number (`gguf_types.TENSOR_TYPES`), offset in the data, bytes."""

    name: str
    dims: tuple[int, ...]
    type: int
    offset: int
    size: int


@dataclass(frozen=True)
class Header:
    """The header of one file. `data_offset` and `size` are in bytes; `size` is what the whole file must have."""

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int
    size: int

    @property
    def architecture(self) -> str:
        return self.text("general.architecture")

    @property
    def context_length(self) -> int | None:
        """Tokens the model was trained for; None when the header does not say."""
        return self.number(f"{self.architecture}.context_length")

    @property
    def parameters(self) -> int:
        """Values in all tensors of this file."""
        return sum(_product(tensor.dims) for tensor in self.tensors)

    def text(self, key: str) -> str:
        """A string of the metadata, or "". Written by strangers: never use it as a path or a template."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        """A whole number of the metadata, or None."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_header(path: str) -> Header:
    """Read and check the header of a file, and that the file is as long as its header says.

    :raises Untrusted: it is damaged, cut off, hostile or not GGUF; names what was found and what was needed.
    :raises OSError: it cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Untrusted("it is not a regular file.")
        with open(path, "rb") as file:
            header = parse(file.read)
            check_length(header, os.fstat(file.fileno()).st_size)
        return header
    except Untrusted as exc:
        remedy = exc.remedy or "Fetch the file again from where it came, or choose another one."
        raise Untrusted(f"{path} is not a usable GGUF file: {exc.problem}", remedy) from None


def check_length(header: Header, found: int) -> None:
    """Make sure that a file of `found` bytes can have this header.

    :raises Untrusted: it is cut off, or goes on behind its tensors.
    """
    if found < header.size:
        raise Untrusted(f"it is cut off: its tensors need {header.size} bytes, it has {found}.")
    if found > _padded(header.size, _alignment(header.metadata)):
        raise Untrusted(f"its tensors end at byte {header.size}, but the file goes on to byte {found}.")


def parse(read: Callable[[int], bytes]) -> Header:
    """The header that `read` gives the bytes of, in order: as many as asked for, fewer at the end of the file.

    :raises Untrusted: without the name of the file, which is not known here.
    """
    reader = Reader(read)
    version, tensors, pairs = _start(reader)
    metadata: dict[str, Value] = {}
    for _number in range(pairs):
        key = reader.text(_MAX_KEY, "key")
        if key in metadata:
            raise Untrusted(f"the key {key[:80]!r} stands in it twice.")
        metadata[key] = reader.value()
    _check_parameters(metadata)
    alignment = _alignment(metadata)
    found: dict[str, Tensor] = {}
    end = expected = 0
    for _number in range(tensors):
        tensor = _tensor(reader, expected)
        if tensor.name in found:
            raise Untrusted(f"the tensor {tensor.name!r} stands in it twice.")
        found[tensor.name] = tensor
        end = tensor.offset + tensor.size
        expected = _padded(end, alignment)
    start = _padded(reader.at, alignment) if found else reader.at
    return Header(version, metadata, tuple(found.values()), start, start + end)


def _start(reader: Reader) -> tuple[int, int, int]:
    """Version, number of tensors, number of metadata pairs."""
    reader.take(4)
    magic = bytes(reader.data[:4])
    if magic != b"GGUF":
        raise Untrusted(f"it starts with {magic!r} instead of b'GGUF'.")
    version = reader.u32()
    if version and not version & 0xFFFF:
        raise Untrusted("it was written for big-endian machines.")
    if version not in (2, 3):
        raise Untrusted(f"it has GGUF version {version}; 2 and 3 are known.")
    tensors, pairs = reader.u64(), reader.u64()
    check_limit("tensors", tensors, _MAX_TENSORS)
    check_limit("metadata pairs", pairs, _MAX_PAIRS)
    return version, tensors, pairs


def _tensor(reader: Reader, expected: int) -> Tensor:
    """A tensor's entry; its data must start at `expected`."""
    name = reader.text(_MAX_NAME, "tensor's name")
    rank = reader.u32()
    check_limit(f"dimensions of {name!r}", rank, _MAX_DIMS)
    start = reader.take(8 * rank)
    dims: tuple[int, ...] = struct.unpack_from(f"<{rank}Q", reader.data, start)
    number, offset = reader.u32(), reader.u64()
    kind = TENSOR_TYPES.get(number)
    if kind is None:
        raise Untrusted(
            f"the tensor {name!r} has type {number}, which this collection does not know.",
            "If the file comes from a source you trust, it is newer than the collection: update the collection.",
        )
    if offset != expected:
        raise Untrusted(f"the data of {name!r} starts at {offset} instead of {expected}.")
    return Tensor(name, dims, number, offset, _size(name, dims, kind))


def _size(name: str, dims: tuple[int, ...], kind: TensorType) -> int:
    """Bytes of a tensor."""
    values = _product(dims)
    row = dims[0] if dims else 1
    if not 0 < values < _MAX_VALUES or row % kind.block:
        shape = " x ".join(str(dim) for dim in dims)
        raise Untrusted(f"the tensor {name!r} cannot have {shape} values of type {kind.name} (blocks of {kind.block}).")
    return values // kind.block * kind.size


def _check_parameters(metadata: Mapping[str, Value]) -> None:
    """Refuse numbers that no model has and that would make a later computation run wild."""
    prefix = metadata.get("general.architecture")
    blocks = metadata.get(f"{prefix}.block_count")
    for key, limit in _LIMITS.items():
        value = metadata.get(f"{prefix}.{key}", 0)
        for number in value if isinstance(value, tuple) else (value,):
            if not isinstance(number, int) or not 0 <= number <= limit:
                raise Untrusted(f"its {key} is {number!r}; a number from 0 to {limit} is needed.")
    for key in _PER_BLOCK:
        entries = metadata.get(f"{prefix}.{key}")
        if isinstance(entries, tuple) and isinstance(blocks, int) and len(entries) != blocks:
            raise Untrusted(f"its {key} has {len(entries)} entries; its {blocks} blocks need one each.")


def _alignment(metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", 32)
    if not isinstance(value, int) or not 0 < value <= _MAX_ALIGNMENT or value & (value - 1):
        raise Untrusted(f"its alignment is {value!r}; a power of two up to {_MAX_ALIGNMENT} is needed.")
    return value


def _padded(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def _product(dims: tuple[int, ...]) -> int:
    values = 1
    for dim in dims:
        values *= dim
    return values
