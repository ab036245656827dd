# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of damaged headers: each is read or refused, soon, and without more memory than the cap.

LLAMAOPS_FUZZ sets the number of inputs, 5000 by default; a nightly run takes 200000 or more. An input that fails is
named by its number, which alone makes it again.
"""

from __future__ import annotations

import io
import os
import random
import struct
import time
import tracemalloc

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import gguf
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf.reader import MAX_HEADER
from fixtures.gguf_bytes import ARCH, ARRAY, BOOL, F32, STRING, U8, U32, U64, gguf_header, tensor

INPUTS = int(os.environ.get("LLAMAOPS_FUZZ", "5000"))
SLOWEST = 2.0  # seconds of one input; a machine under load included
KEYS = ["general.architecture", "general.alignment", "llama.block_count", "llama.attention.head_count", "split.no", "k"]
KINDS = [U8, U32, U64, F32, BOOL, STRING, ARRAY]
EXTREMES = [0, 1, 7, 31, 0x7F, 0xFF, 2**16, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1]
TINY = tinymodel.content()
HEAD = TINY[: gguf.parse(io.BytesIO(TINY).read).data_offset]


class Bytes:
    """A file of these bytes that goes on with zeros for ever, and counts what is asked of it."""

    def __init__(self, data: bytes, endless: bool) -> None:
        self._data, self._endless, self.asked = io.BytesIO(data), endless, 0

    def read(self, count: int) -> bytes:
        self.asked += count
        found = self._data.read(count)
        return found + b"\0" * (count - len(found)) if self._endless and count < 1 << 22 else found


def value(chance: random.Random, kind: int) -> object:
    if kind == STRING:
        return "x" * chance.choice([0, 1, 5, 200])
    if kind == ARRAY:
        items = chance.choice(KINDS[:-1])
        return items, [value(chance, items) for _item in range(chance.choice([0, 1, 3, 50]))]
    return {U8: chance.randrange(256), BOOL: True, F32: 0.5}.get(kind, chance.choice(EXTREMES[:9]))


def invented(chance: random.Random) -> bytes:
    """A header whose parts are right one by one, and may not fit each other."""
    kinds = [(chance.choice(KEYS), chance.choice(KINDS)) for _pair in range(chance.randrange(6))]
    pairs = [ARCH, *((key, kind, value(chance, kind)) for key, kind in kinds)]
    right = [tensor(chance.choice("abc"), (8,), 0, 32 * at) for at in range(chance.randrange(4))]
    wrong = [
        tensor(
            chance.choice("abc"),
            [chance.choice(EXTREMES[1:]) for _dim in range(chance.randrange(6))],
            chance.randrange(45),
            chance.choice(EXTREMES),
        )
        for _tensor in range(chance.randrange(3))
    ]
    tensors = right + wrong
    return gguf_header(pairs, tensors)


def damaged(chance: random.Random, data: bytes) -> bytes:
    """The same bytes with a few numbers replaced, a piece doubled or left out, or an end that comes too soon."""
    found = bytearray(data)
    for _change in range(chance.randrange(4)):
        at, end = sorted(chance.randrange(len(found) + 1) for _place in range(2))
        way = chance.randrange(4)
        if way == 0 and at + 8 <= len(found):
            struct.pack_into("<Q", found, at, chance.choice(EXTREMES))
        elif way == 1 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif way == 2:
            found[at:at] = found[at : min(end, at + 64)]
        else:
            del found[at : min(end, at + 64)]
    return bytes(found[: chance.randrange(len(found) + 1)] if chance.randrange(4) == 0 else found)


def check(number: int) -> bool:
    """Read one input; True if it is a header."""
    chance = random.Random(number)
    source = Bytes(damaged(chance, HEAD if number % 2 else invented(chance)), endless=chance.randrange(2) == 0)
    start = time.process_time()
    try:
        header = gguf.parse(source.read)
    except Untrusted as exc:
        header = None
        assert exc.problem
    assert source.asked <= MAX_HEADER, f"input {number} makes the reader ask for {source.asked} bytes"
    assert time.process_time() - start < SLOWEST, f"input {number} takes too long"
    assert header is None or 0 < header.data_offset <= header.size
    return header is not None


def test_every_input_is_read_or_refused():
    read = 0
    for number in range(INPUTS):
        try:
            read += check(number)
        except Exception as exc:  # noqa: BLE001  whatever it is, the number of the input is what helps
            pytest.fail(f"input {number}: {type(exc).__name__}: {exc}")
    assert INPUTS * 0.02 < read < INPUTS * 0.9, "the inputs reach both ends"


def test_memory_stays_below_the_cap():
    tracemalloc.start()
    try:
        for number in range(0, INPUTS, max(1, INPUTS // 300)):
            check(number)
        assert tracemalloc.get_traced_memory()[1] < MAX_HEADER
    finally:
        tracemalloc.stop()
