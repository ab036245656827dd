# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse GGUF files, as the core writes them; and such as a server runs, with a vocabulary and zeros for weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import recorded
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf.sparse import write

__all__ = ["write", "write_runnable"]


def write_runnable(path: str, model: Mapping[str, Any], layers: int | None = None, tokens: int | None = None) -> int:
    """A file of a recorded model that llama-server answers with; returns its length in bytes.

    :param layers: so many of its first layers alone. :param tokens: a vocabulary of so many, else its own size.
    """
    metadata, tensors = dict(model["metadata"]), recorded.unpack(model["tensors"])
    arch = metadata["general.architecture"]
    own = metadata[f"{arch}.vocab_size"]
    layers, tokens = layers or metadata[f"{arch}.block_count"], tokens or own
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    metadata = {
        **{key: _first(value, layers) for key, value in metadata.items()},
        f"{arch}.block_count": layers,
        f"{arch}.vocab_size": tokens,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [*words, *(f"w{number}" for number in range(tokens - len(words)))],
        "tokenizer.ggml.scores": [0.0] * tokens,
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256, *[1] * (tokens - 259)],
        "tokenizer.chat_template": "{{ messages[0]['content'] }}",
    }
    kept = [
        (name, tuple(tokens if size == own else size for size in dims), kind)
        for name, dims, kind in tensors
        if not name.startswith("blk.") or int(name.split(".")[1]) < layers
    ]
    return write(path, metadata, kept)


def _first(value: Any, layers: int) -> Any:
    return value[:layers] if isinstance(value, list) and len(value) > layers else value
