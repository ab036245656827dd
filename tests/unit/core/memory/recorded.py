# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded models (headers without tokenizer) and what llama.cpp said their launches take."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf import Header, Tensor
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf.types import TENSOR_TYPES

FOLDER = Path(__file__).resolve().parents[3] / "fixtures" / "planner"
NUMBERS = {kind.name.lower(): number for number, kind in TENSOR_TYPES.items()}


@functools.cache
def models() -> dict[str, Any]:
    """By name `{metadata, tensors, hparams}`."""
    found: dict[str, Any] = json.loads((FOLDER / "models.json").read_text())
    return found


@functools.cache
def rows() -> list[dict[str, Any]]:
    """`{model, launch, main: {device index or host: [model, context, compute] bytes}, mtp: ... or absent}`."""
    found: list[dict[str, Any]] = json.loads((FOLDER / "rows.json").read_text())
    return found


def pack(tensors: list[tuple[str, tuple[int, ...], str]]) -> list[list[Any]]:
    """Tensors with equal shape in many blocks as one entry: `[name with {}, dimensions, type, blocks]`."""
    groups: dict[tuple[str, tuple[int, ...], str], list[int]] = {}
    for name, dims, kind in tensors:
        if name.startswith("blk."):
            block, rest = name.split(".", 2)[1:]
            groups.setdefault((f"blk.{{}}.{rest}", dims, kind), []).append(int(block))
        else:
            groups.setdefault((name, dims, kind), [])
    return [[name, list(dims), kind, _ranges(blocks)] for (name, dims, kind), blocks in groups.items()]


def _ranges(numbers: list[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def unpack(packed: list[list[Any]]) -> list[tuple[str, tuple[int, ...], str]]:
    return [
        (name.replace("{}", str(block)), tuple(dims), kind)
        for name, dims, kind, ranges in packed
        for block in ([block for first, last in ranges for block in range(first, last + 1)] or [-1])
    ]


@functools.cache
def header(name: str) -> Header:
    """The header that a file of this model has."""
    return make_header(models()[name]["metadata"], unpack(models()[name]["tensors"]))


def make_header(metadata: dict[str, Any], tensors: list[tuple[str, tuple[int, ...], str]]) -> Header:
    found, offset = [], 0
    for tensor, dims, kind in tensors:
        values = 1
        for dim in dims:
            values *= dim
        block = TENSOR_TYPES[NUMBERS[kind]]
        size = values // block.block * block.size
        found.append(Tensor(tensor, dims, NUMBERS[kind], offset, size))
        offset += -(-size // 32) * 32
    kept = {key: tuple(value) if isinstance(value, list) else value for key, value in metadata.items()}
    return Header(3, kept, tuple(found), 0, offset)
