# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The launches that every model is probed with."""

from __future__ import annotations

from typing import Any

Launch = dict[str, Any]
SERVER: Launch = {"parallel": 4, "kv_unified": True, "n_outputs_max": 4}


def split(layers: int, devices: int) -> list[int]:
    """Even layer counts, the output among the layers."""
    slots = layers + 1
    return [slots * (index + 1) // devices - slots * index // devices for index in range(devices)]


def of(metadata: dict[str, Any]) -> list[Launch]:
    arch = metadata["general.architecture"]

    def get(key: str, default: Any = 0) -> Any:
        return metadata.get(f"{arch}.{key}", default)

    layers, longest = get("block_count"), get("context_length")
    nextn = get("nextn_predict_layers")
    if get("attention.causal", True) is False or get("pooling_type"):
        return _embedding(layers, longest)

    def ctx(wanted: int) -> int:
        return min(wanted, longest)

    two, four = split(layers, 2), split(layers, 4)
    launches = [
        {**SERVER, "devices": 1, "ctx_size": ctx(8192)},
        {"devices": 1, "ctx_size": 2048, "parallel": 1, "n_outputs_max": 1, "ubatch_size": 256},
        {**SERVER, "devices": 1, "ctx_size": ctx(32768), "cache_type_k": "q8_0", "cache_type_v": "q8_0"},
        {**SERVER, "devices": 2, "ctx_size": ctx(131072), "tensor_split": two},
        {"devices": 4, "ctx_size": ctx(32768), "parallel": 2, "n_outputs_max": 2, "tensor_split": four},
        {**SERVER, "devices": 1, "ctx_size": ctx(262144), "ubatch_size": 1024, "batch_size": 2048},
        {"devices": 1, "ctx_size": ctx(16384), "parallel": 1},
        {**SERVER, "devices": 1, "ctx_size": ctx(16384), "gpu_layers": layers * 2 // 3},
        {
            **SERVER,
            "devices": 3,
            "ctx_size": ctx(65536),
            "tensor_split": split(layers, 3),
            "ubatch_size": 128,
            "cache_type_k": "q8_0",
            "cache_type_v": "q4_0",
        },
    ]
    if get("expert_count"):
        launches += [
            {**SERVER, "devices": 1, "ctx_size": ctx(32768), "n_cpu_moe": layers // 2},
            {**SERVER, "devices": 2, "ctx_size": ctx(65536), "n_cpu_moe": layers // 4, "tensor_split": two},
            {**SERVER, "devices": 1, "ctx_size": ctx(8192), "n_cpu_moe": layers, "ubatch_size": 2048},
        ]
    else:
        launches.append({**SERVER, "devices": 1, "ctx_size": ctx(8192), "flash_attn": False})
    if nextn:
        spec = {"mtp": True, "n_rs_seq": 3, "n_outputs_max": 16, "parallel": 4, "kv_unified": True}
        launches += [
            {**spec, "devices": 1, "ctx_size": ctx(32768)},
            {**spec, "devices": 2, "ctx_size": ctx(65536), "tensor_split": two},
        ]
    return launches


def _embedding(layers: int, longest: int) -> list[Launch]:
    found = []
    for parallel, batch, devices in ((1, 512, 1), (4, 2048, 1), (2, 1024, 2), (1, 8192, 1), (4, 2048, 0)):
        size = min(batch, longest)
        found.append(
            {
                "devices": devices,
                "ctx_size": min(longest, 8192),
                "parallel": parallel,
                "kv_unified": True,
                "batch_size": size,
                "ubatch_size": size,
                "embeddings": True,
                "tensor_split": split(layers, devices) if devices > 1 else [],
            }
        )
    return found
