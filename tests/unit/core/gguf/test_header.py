# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers: what is read, what is refused, and that nothing but a refusal comes of hostile bytes."""

from __future__ import annotations

import io
import os
import struct

import pytest
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core import gguf
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.build import tinymodel
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import Untrusted
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf.reader import MAX_HEADER, Skipped
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf.types import TENSOR_TYPES
from fixtures.gguf_bytes import ARCH, ARRAY, BOOL, F32, STRING, U8, U32, U64, gguf_header, tensor, text
from hypothesis import given
from hypothesis import strategies as st


def parse(data: bytes) -> gguf.Header:
    return gguf.parse(io.BytesIO(data).read)


def test_scalars_strings_and_small_arrays_are_kept_and_large_ones_counted():
    header = parse(
        gguf_header(
            [
                ARCH,
                ("llama.context_length", U32, 8192),
                ("eps", F32, 0.5),
                ("flag", BOOL, True),
                ("big", U64, 2**63),
                ("layers", ARRAY, (U32, [1, 2, 3])),
                ("bytes", ARRAY, (U8, [7] * 5000)),
                ("words", ARRAY, (STRING, ["a", "", "ccc"])),
                ("long", STRING, "x" * (1 << 19)),
            ],
            [tensor("a", (32, 2)), tensor("b", (256,), 12, 256)],
        )
    )
    assert header.architecture == "llama"
    assert header.context_length == 8192
    assert header.metadata["big"] == 2**63
    assert header.metadata["layers"] == (1, 2, 3)
    assert header.metadata["bytes"] == Skipped(U8, 5000)
    assert header.metadata["words"] == Skipped(STRING, 3)
    assert header.metadata["long"] == Skipped(STRING, 1 << 19)
    assert header.number("flag") is None
    assert header.parameters == 64 + 256
    assert [(t.name, t.size) for t in header.tensors] == [("a", 256), ("b", 144)]
    assert header.data_offset % 32 == 0
    assert header.size == header.data_offset + 256 + 144


def test_a_vocabulary_longer_than_one_read_is_hopped_over():
    words = ["w" * 90] * 30_000
    header = parse(gguf_header([ARCH, ("words", ARRAY, (STRING, words)), ("after", U32, 7)]))
    assert header.metadata["words"] == Skipped(STRING, 30_000)
    assert header.metadata["after"] == 7


HUGE = struct.pack("<Q", 2**63 + 5)
REFUSED = {
    "empty": (b"", "ends inside its header: 4 bytes"),
    "magic": (gguf_header(magic=b"GGML"), "b'GGML' instead of b'GGUF'"),
    "version 1": (gguf_header(version=1), "version 1; 2 and 3"),
    "big endian": (gguf_header(version=3 << 24), "big-endian"),
    "too many pairs": (gguf_header(counts=(0, 1 << 40)), "metadata pairs; at most 65536"),
    "too many tensors": (gguf_header(counts=(1 << 40, 0)), "tensors; at most 262144"),
    "cut in the pairs": (gguf_header([ARCH])[:-1], "ends inside its header"),
    "fewer pairs than said": (gguf_header([ARCH], counts=(0, 2)), "ends inside its header"),
    "duplicate key": (gguf_header([ARCH, ARCH]), "twice"),
    "long key": (gguf_header([("k" * 65536, U32, 1)]), "bytes in a key; at most 65535"),
    "long string": (gguf_header([text("k") + struct.pack("<IQ", STRING, 1 << 30)]), "bytes in a string; at most"),
    "value type": (gguf_header([text("k") + struct.pack("<I", 99)]), "type 99"),
    "long array": (gguf_header([text("k") + struct.pack("<IIQ", ARRAY, U32, 1 << 30)]), "items in an array; at most"),
    "array of arrays": (gguf_header([text("k") + struct.pack("<IIQ", ARRAY, ARRAY, 1)]), "items of type 9"),
    "string length beyond 2**63": (
        gguf_header([text("k") + struct.pack("<IIQ", ARRAY, STRING, 2) + HUGE]),
        "needs 9223",
    ),
    "strings that never end": (
        gguf_header([text("k") + struct.pack("<IIQ", ARRAY, STRING, 3) + struct.pack("<Q", MAX_HEADER)]),
        f"at most {MAX_HEADER}",
    ),
    "alignment 3": (gguf_header([("general.alignment", U32, 3)]), "power of two"),
    "alignment 0": (gguf_header([("general.alignment", U32, 0)]), "power of two"),
    "alignment as text": (gguf_header([("general.alignment", STRING, "32")]), "power of two"),
    "blocks": (gguf_header([ARCH, ("llama.block_count", U32, 1 << 20)]), "block_count is 1048576"),
    "heads as text": (gguf_header([ARCH, ("llama.attention.head_count", STRING, "8")]), "head_count is '8'"),
    "heads of three blocks": (
        gguf_header([ARCH, ("llama.block_count", U32, 3), ("llama.attention.head_count_kv", ARRAY, (U32, [1, 2]))]),
        "3 blocks need one each",
    ),
    "tensor name": (gguf_header((), [tensor("n" * 128, (1,))]), "tensor's name; at most 127"),
    "five dimensions": (gguf_header((), [tensor("a", (1, 1, 1, 1, 1))]), "at most 4"),
    "no values": (gguf_header((), [tensor("a", (0,))]), "cannot have 0 values"),
    "too many values": (gguf_header((), [tensor("a", (1 << 40, 1 << 40))]), "cannot have"),
    "half a block": (gguf_header((), [tensor("a", (33,), 8)]), "33 values of type Q8_0"),
    "unknown type": (gguf_header((), [tensor("a", (32,), 4)]), "type 4"),
    "duplicate tensor": (gguf_header((), [tensor("a", (8,)), tensor("a", (8,), 0, 32)]), "twice"),
    "unaligned offset": (gguf_header((), [tensor("a", (8,)), tensor("b", (8,), 0, 33)]), "33 instead of 32"),
    "overlap": (gguf_header((), [tensor("a", (8,)), tensor("b", (8,))]), "0 instead of 32"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(data, reason):
    with pytest.raises(Untrusted) as caught:
        parse(data)
    assert reason in caught.value.problem


def test_an_unknown_tensor_type_asks_for_a_newer_collection():
    with pytest.raises(Untrusted, match="update the collection"):
        parse(gguf_header((), [tensor("a", (32,), 4)]))


@pytest.mark.parametrize("missing", [1, 500, 300_000])
def test_a_file_cut_in_its_data_names_needed_and_found(tmp_path, missing):
    whole = tinymodel.content()
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole[:-missing])
    with pytest.raises(Untrusted) as caught:
        gguf.read_header(str(path))
    assert str(path) in caught.value.problem
    assert f"need {len(whole)} bytes, it has {len(whole) - missing}" in caught.value.problem


def test_a_file_that_goes_on_behind_its_tensors_is_refused(tmp_path):
    path = tmp_path / "long.gguf"
    path.write_bytes(tinymodel.content() + b"x" * 33)
    with pytest.raises(Untrusted, match="goes on"):
        gguf.read_header(str(path))


def test_a_named_pipe_is_refused_without_waiting(tmp_path):
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    with pytest.raises(Untrusted, match="not a regular file"):
        gguf.read_header(path)


def test_the_sizes_of_types_are_those_of_whole_blocks():
    for kind in TENSOR_TYPES.values():
        bits = 8 * kind.size / kind.block
        assert 1 <= bits <= 64, kind


HEAD = tinymodel.content()[: parse(tinymodel.content()).data_offset]
EXTREMES = [0, 1, 0x7F, 0xFF, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1]


@given(
    st.lists(st.tuples(st.integers(0, len(HEAD) - 9), st.sampled_from(EXTREMES), st.sampled_from("BIQ")), max_size=4),
    st.integers(0, len(HEAD)),
)
def test_mutations_end_in_a_header_or_a_refusal(changes, end):
    data = bytearray(HEAD)
    for at, value, width in changes:
        struct.pack_into("<" + width, data, at, value & (1 << 8 * struct.calcsize(width)) - 1)
    try:
        header = parse(bytes(data[: end or len(data)]))
    except Untrusted:
        return
    assert header.size >= header.data_offset


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_good_start_end_in_a_header_or_a_refusal(data):
    try:
        parse(b"GGUF" + struct.pack("<IQQ", 3, 2, 3) + data)
    except Untrusted:
        pass
