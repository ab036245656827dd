# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what an architecture may load to what the published file of a model holds."""

from __future__ import annotations

from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.gguf.types import TENSOR_TYPES

BLOCKS = {kind.name.lower(): kind.block for kind in TENSOR_TYPES.values()}
# Q4_K_M: Q4_K, and Q6_K for what hurts most.
HIGHER = ("attn_v.weight", "ffn_down.weight", "ffn_down_exps.weight", "output.weight")
BIASED = ("gpt-oss", "bert", "starcoder2", "gpt2", "phi2", "phimoe", "falcon", "nomic-bert-moe", "stablelm")
BIASES = tuple(
    f"{part}.bias"
    for part in (
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_qkv",
        "attn_output",
        "ffn_gate",
        "ffn_up",
        "ffn_down",
        "output",
        "ffn_gate_exps",
        "ffn_up_exps",
        "ffn_down_exps",
        "ffn_gate_inp",
    )
)
NEVER = ("scale", "input_scale", "cls", "lora")
QKV_BIAS = ("qwen2", "qwen2moe")
Tensor = tuple[str, "tuple[int, ...]", str]


def tensors(name: str, metadata: dict[str, Any], allowed: dict[str, list[int]]) -> list[Tensor]:
    """The tensors of the published file of the model `name`, from all that are allowed."""
    arch = metadata["general.architecture"]
    found: list[Tensor] = []
    for tensor, dims in allowed.items():
        short = tensor.split(".", 2)[2] if tensor.startswith("blk.") else tensor
        if _absent(arch, short, name):
            continue
        if short == "ffn_gate_up_exps.weight":
            half = [dims[0], dims[1] // 2, *dims[2:]]
            for part in ("gate", "up"):
                found.append(_typed(arch, tensor.replace("gate_up", part), half))
            continue
        found.append(_typed(arch, tensor, dims))
    return found


def _absent(arch: str, short: str, name: str) -> bool:
    if short == "output.weight" and name.endswith("-tied"):
        return True
    if short.startswith(("cls.", "cls", "dense_", "rope_factors")):
        return True
    if short == "rope_freqs.weight" and not name.startswith(("llama3", "gemma4")):
        return True
    if short.endswith((".scale", ".input_scale")):
        return True
    if short in BIASES and arch not in BIASED:
        return not (arch in QKV_BIAS and short in ("attn_q.bias", "attn_k.bias", "attn_v.bias"))
    return False


def _typed(arch: str, tensor: str, dims: list[int]) -> Tensor:
    if len(dims) < 2 or "norm" in tensor or "ssm_conv1d" in tensor or "ffn_gate_inp" in tensor or ".ssm_a" in tensor:
        return tensor, tuple(dims), "f32"
    if "tid2eid" in tensor:
        return tensor, tuple(dims), "i32"
    kind = "q6_k" if tensor.endswith(HIGHER) else "q4_k"
    if arch == "gpt-oss" and not tensor.endswith("bias"):
        kind = "mxfp4" if "exps" in tensor else "q8_0"
    if "attn_k_b" in tensor or "attn_v_b" in tensor:
        kind = "q8_0"
    if any(small in tensor for small in ("time_mix", "shortconv.conv", "bias", "ssm_x", "ssm_dt", "position_embd")):
        kind = "f32"
    while dims[0] % BLOCKS[kind]:
        kind = "q8_0" if kind != "q8_0" else "f16"
    return tensor, tuple(dims), kind
