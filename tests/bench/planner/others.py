# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other estimators say, by the formulas they publish, of one device that holds a whole model. Bytes.

None of them knows the driver's share, so that all are compared by llama.cpp's own books.
"""

from __future__ import annotations

import math

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.launch import CACHE_TYPES, Launch
from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory.plan import Model

MIB = 1 << 20
# layers that slide, as gguf-parser-go knows them: file_architecture.go
_SLIDING = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "llama4": 4}
_HYBRID = ("jamba", "falcon-h1", "granitehybrid")
_STATES = (*_HYBRID, "mamba", "mamba2", "rwkv6", "rwkv7")


def all_of(model: Model, launch: Launch, tokens: int) -> dict[str, float]:
    """Bytes by estimator, for a context of so many tokens."""
    hp = model.hparams
    heads = max((layer.heads for layer in hp.layers), default=0) or 1
    kv_heads = [layer.kv_heads for layer in hp.layers]
    least = min((count for count in kv_heads if count), default=0)
    plain = sum(layer.kv_heads * (layer.key + layer.value) for layer in hp.layers) * tokens * 2
    return {
        # llm/llama_server.go, PredictServerVRAM: the file and one cache of the narrowest layer's width
        "ollama": model.header.size + 2 * len(hp.layers) * least * (hp.width // heads) * tokens * 2,
        # the gguf package's command: the file and keys and values of every layer at the full context
        "huggingface": model.header.size + plain,
        "oobabooga": _oobabooga(model, launch, tokens, kv_heads[0] or heads),
        "gguf-parser": _gguf_parser(model, launch, tokens),
        "llama-cpp-autodeploy": _autodeploy(model, tokens),
    }


def _oobabooga(model: Model, launch: Launch, tokens: int, kv_heads: int) -> float:
    """A formula fitted to measurements, which contains about 1.5 GiB for the driver: its blog, gguf-vram-formula."""
    hp = model.hparams
    bits = {"q4_0": 4, "q8_0": 8}.get(launch.cache_type_k, 16)
    each = model.header.size / MIB / len(hp.layers)
    more = max(0.9690636483914102, bits - (math.floor(50.77817218646521 * hp.width / tokens) + 9.987899908205632))
    cache = 3.148552680382576e-05 * kv_heads * bits * tokens
    return ((each - 17.99552795246051 + cache) * (len(hp.layers) + more) + 1516.522943869404) * MIB


def _gguf_parser(model: Model, launch: Launch, tokens: int) -> float:
    """Its main terms: file_estimate__llamacpp.go. One width of cache for all layers, masks of 32 bits, the largest
    layer's tensors, logits on the device.
    """
    hp, header = model.hparams, model.header
    count = len(hp.layers)
    inputs = sum(tensor.size for tensor in header.tensors if tensor.name.startswith("token_embd."))
    tied = not any(tensor.name == "output.weight" for tensor in header.tensors)
    weights = header.size - (0 if tied else inputs)
    first = next((layer for layer in hp.layers if layer.kv_heads), hp.layers[0])
    key = hp.number("attention.key_length_mla") or first.key
    value = hp.number("attention.value_length_mla") or first.value
    row = _row(launch.cache_type_k, key * hp.layers[0].kv_heads) + _row(
        launch.cache_type_v, value * hp.layers[0].kv_heads
    )
    sliding = 0
    if hp.architecture in _SLIDING and hp.window:
        period = _SLIDING[hp.architecture]
        sliding = sum(1 for index in range(count) if index % period)
    window = min(tokens, -(-(hp.window * launch.parallel + launch.batch_size) // 256) * 256)
    cache = row * (tokens * (count - sliding) + window * sliding) if hp.causal else 0.0
    if hp.architecture in _STATES:
        cache = cache if hp.architecture in _HYBRID else 0.0
        cache += 4 * (hp.r_width + hp.s_width) * launch.parallel * count
    batch = min(tokens, launch.ubatch_size)
    mask = 4 * tokens * batch
    ff = max(layer.ff for layer in hp.layers) or hp.expert_ff * hp.experts_used
    query = sum(tensor.size for tensor in header.tensors if tensor.name == f"blk.{hp.trunk - 1}.attn_q.weight")
    attention = 2 * tokens * batch + 4 * hp.width * batch + query + row * tokens
    logits = 4 * (hp.vocabulary + hp.width) * batch
    return weights + cache + mask + 4 * hp.width * batch + max(attention, 4 * batch * (hp.width + 3 * ff)) + logits


def _row(kind: str, values: int) -> float:
    block, size = CACHE_TYPES[kind]
    return values / block * size


def _autodeploy(model: Model, tokens: int) -> float:
    """Weights by parameters and bits of the name (4 for Q4_K_M), layers by the cube root of the parameters."""
    parameters = model.header.parameters
    layers = round((parameters / 196_608) ** (1 / 3))
    return parameters * 4 / 8 + tokens * layers * (128 * layers) * 4
