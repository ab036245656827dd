# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny GGUF model whose answer is known: proof that a build of llama.cpp loads, computes and serves.

The weights hold a chain. A token's embedding is a state: 0 for everything a prompt can consist of, k for the
k-th piece of the answer. The feed-forward part moves state k to the signal k, and the output matrix maps signal k to
the piece after k, the last one to the end of the sequence. The feed-forward part multiplies by a carrier that only
the attention writes: the average of a constant over the context, which is right whatever queries and keys say, unless
they are no numbers. So norms, attention, feed-forward and output must all compute for the answer to come. The
likeliest token leads so far that sampling at any usual temperature gives the same text.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Union

from ..files import write_bytes

_PIECES = ("Hello", "▁from", "▁llama.cpp:", "▁this", "▁build", "▁computes", "▁correctly.")
ANSWER = "".join(_PIECES).replace("▁", " ")
"""What every chat request to the model is answered with, exactly."""

CONTEXT_LENGTH = 4096
_LAYERS, _WIDTH, _HEADS, _HEAD = 2, 64, 2, 32  # a head of 32 values lets the cache be quantised
_SIGNAL, _CONSTANT, _CARRIER, _FLAVOUR = 16, 32, 33, 34  # first index of each part of the residual stream
_ALIGNMENT = 32
_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
# numbers of token types (llama.h, enum llama_token_type) and of value types (gguf.h, enum gguf_type)
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9

# Pieces of the answer cannot appear in a tokenised prompt: the tokenizer joins two symbols at a time, and no part of
# a piece is a token. So a prompt consists of bytes and control tokens, whatever it says.
_TOKENS: tuple[tuple[str, int], ...] = (
    ("<unk>", _UNKNOWN),
    ("<s>", _CONTROL),
    ("</s>", _CONTROL),
    *((f"<0x{byte:02X}>", _BYTE) for byte in range(256)),
    ("▁", _NORMAL),
    ("<|im_start|>", _CONTROL),
    ("<|im_end|>", _CONTROL),
    *((piece, _NORMAL) for piece in _PIECES),
)
_BOS, _EOS = 1, 2
_FIRST = len(_TOKENS) - len(_PIECES)  # the first piece of the answer

_Weights = Mapping[tuple[int, int], float]
_Value = Union[bool, int, float, str, Sequence[str], Sequence[int], Sequence[float]]


def write(path: str) -> None:
    """Write the model to `path` (about 350 kB, the same bytes every time), atomically."""
    write_bytes(path, content())


def content() -> bytes:
    """The bytes of the model file: GGUF version 3, architecture `llama`, all tensors 32-bit floats."""
    infos, data = [], b""
    tensors = _tensors()
    for name, shape, values in tensors:
        dims = struct.pack(f"<{len(shape)}Q", *shape)
        infos.append(_text(name) + struct.pack("<I", len(shape)) + dims + struct.pack("<IQ", 0, len(data)))
        data += _padded(struct.pack(f"<{len(values)}f", *values))
    metadata = _metadata()
    pairs = b"".join(_text(key) + _value(value) for key, value in metadata.items())
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    return _padded(header + pairs + b"".join(infos)) + data


def _metadata() -> dict[str, _Value]:
    return {
        "general.architecture": "llama",
        "general.name": "LlamaOps tiny",
        "general.alignment": _ALIGNMENT,
        "general.file_type": 0,
        "llama.context_length": CONTEXT_LENGTH,
        "llama.embedding_length": _WIDTH,
        "llama.block_count": _LAYERS,
        "llama.feed_forward_length": _WIDTH,
        "llama.attention.head_count": _HEADS,
        "llama.attention.head_count_kv": 1,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": _HEAD,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [text for text, _kind in _TOKENS],
        "tokenizer.ggml.scores": [0.0] * len(_TOKENS),
        "tokenizer.ggml.token_type": [kind for _text, kind in _TOKENS],
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": _BOS,
        "tokenizer.ggml.eos_token_id": _EOS,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": _TEMPLATE,
    }


def _tensors() -> list[tuple[str, tuple[int, ...], list[float]]]:
    """Name, dimensions (innermost first, as in the file) and values of every tensor."""
    ones = [1.0] * _WIDTH
    square = (_WIDTH, _WIDTH)
    states = range(len(_PIECES) + 1)
    found: list[tuple[str, tuple[int, ...], list[float]]] = [
        ("token_embd.weight", (_WIDTH, len(_TOKENS)), _matrix(_WIDTH, len(_TOKENS), _embeddings())),
        ("output_norm.weight", (_WIDTH,), ones),
        ("output.weight", (_WIDTH, len(_TOKENS)), _matrix(_WIDTH, len(_TOKENS), _answers())),
    ]
    matrices: dict[str, tuple[tuple[int, int], _Weights]] = {
        "attn_q": (square, {(row, _CONSTANT): 0.1 for row in range(_WIDTH)}),
        "attn_k": ((_WIDTH, _HEAD), {(row, _CONSTANT): 0.1 for row in range(_HEAD)}),
        "attn_v": ((_WIDTH, _HEAD), {(0, _CONSTANT): 1.0}),
        "attn_output": (square, {(_CARRIER, 0): 0.5}),
        "ffn_gate": (square, {(state, state): 1.0 for state in states}),
        "ffn_up": (square, {(state, _CARRIER): 1.0 for state in states}),
        "ffn_down": (square, {(_SIGNAL + state, state): 0.1 for state in states}),
    }
    for layer in range(_LAYERS):
        found += [(f"blk.{layer}.{norm}.weight", (_WIDTH,), ones) for norm in ("attn_norm", "ffn_norm")]
        for name, (shape, weights) in matrices.items():
            found.append((f"blk.{layer}.{name}.weight", shape, _matrix(*shape, weights)))
    return found


def _embeddings() -> dict[tuple[int, int], float]:
    """Per token: its state, the constant, and a flavour of its own, so that different texts embed differently."""
    weights: dict[tuple[int, int], float] = {}
    for token in range(len(_TOKENS)):
        state = token - _FIRST + 1 if token >= _FIRST else 0
        weights[token, state] = 1.0
        weights[token, _CONSTANT] = 1.0
        weights[token, _FLAVOUR + token % (_WIDTH - _FLAVOUR)] = 0.5
    return weights


def _answers() -> dict[tuple[int, int], float]:
    """Signal k to the piece after k. After the last comes the end, or the first piece again where the end is barred."""
    last = len(_PIECES)
    weights = {(_FIRST + state, _SIGNAL + state): 40.0 for state in range(last)}
    weights[_EOS, _SIGNAL + last] = 40.0
    weights[_FIRST, _SIGNAL + last] = 20.0
    return weights


def _matrix(columns: int, rows: int, weights: _Weights) -> list[float]:
    values = [0.0] * (columns * rows)
    for (row, column), weight in weights.items():
        values[row * columns + column] = weight
    return values


def _value(value: _Value) -> bytes:
    """A metadata value with its type before it."""
    if isinstance(value, (str, bool, int, float)):
        kind, data = _scalar(value)
        return struct.pack("<I", kind) + data
    items = [_scalar(item, _INT32) for item in value]
    return struct.pack("<IIQ", _ARRAY, items[0][0], len(items)) + b"".join(data for _kind, data in items)


def _scalar(value: bool | int | float | str, integer: int = _UINT32) -> tuple[int, bytes]:
    if isinstance(value, str):
        return _STRING, _text(value)
    if isinstance(value, bool):
        return _BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return integer, struct.pack("<I", value)
    return _FLOAT32, struct.pack("<f", value)


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
