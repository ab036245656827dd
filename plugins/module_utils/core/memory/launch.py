# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a launch that decide about memory, and the context arithmetic that follows from them."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidInput
from .hparams import Hparams

# values in a block, bytes of a block: ggml/src/ggml-common.h
CACHE_TYPES = {
    "f32": (1, 4),
    "f16": (1, 2),
    "bf16": (1, 2),
    "q8_0": (32, 34),
    "q5_1": (32, 24),
    "q5_0": (32, 22),
    "q4_1": (32, 20),
    "q4_0": (32, 18),
    "iq4_nl": (32, 18),
}
_MAX_SEQUENCES = 256  # LLAMA_MAX_SEQ, src/llama-cparams.h
_PAD = 256  # cells; llama_context::llama_context


@dataclass(frozen=True)
class Launch:
    """What is asked for. Sizes are in tokens; `ctx_size` 0 is what the model was trained for.

    :param gpu_layers: layers on devices, the output counted as one; -1 for all.
    :param tensor_split: layers of each device, whole numbers that sum to the layers on devices.
    :param n_cpu_moe: the experts of the first so many layers stay on the host.
    :param n_outputs_max: rows of logits in one batch; 0 for the whole batch, as embedding servers have.
    :param draft_max: steps that recurrent states must be able to go back, where tokens are drafted ahead; 0 without.
    :param mtp: the model's own MTP layers draft, where any tokens are drafted.
    """

    ctx_size: int = 0
    parallel: int = 4
    kv_unified: bool = True
    batch_size: int = 2048
    ubatch_size: int = 512
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    flash_attn: bool = True
    kv_offload: bool = True
    op_offload: bool = True
    swa_full: bool = False
    gpu_layers: int = -1
    tensor_split: tuple[int, ...] = ()
    n_cpu_moe: int = 0
    n_outputs_max: int = 0
    embeddings: bool = False
    draft_max: int = 0
    mtp: bool = True

    @property
    def own_draft(self) -> bool:
        return self.mtp and self.draft_max > 0


@dataclass(frozen=True)
class Context:
    """What the context of a launch really has.

    :param tokens: n_ctx; :param cells: of one stream; :param sliding_cells: of one stream of the layers that slide;
    :param outputs: rows of logits; :param copies: of the recurrent state of one sequence.
    """

    tokens: int
    cells: int
    sliding_cells: int
    streams: int
    sequences: int
    batch: int
    ubatch: int
    outputs: int
    copies: int


def padded(number: int, multiple: int) -> int:
    """GGML_PAD."""
    return -(-number // multiple) * multiple


def context(hp: Hparams, launch: Launch) -> Context:
    """Follows llama_context::llama_context and sched_reserve (src/llama-context.cpp), llama_kv_cache_iswa
    (src/llama-kv-cache-iswa.cpp).

    :raises InvalidInput: the launch is impossible.
    """
    sequences = max(1, launch.parallel)
    if sequences > _MAX_SEQUENCES:
        raise InvalidInput(f"{sequences} sequences were asked for; llama.cpp has {_MAX_SEQUENCES} at most.")
    tokens = launch.ctx_size or hp.context
    if tokens < 1:
        raise InvalidInput("The model's header gives no context length.", "Set ctx_size.")
    batch = min(tokens, launch.batch_size) if hp.causal else launch.batch_size
    ubatch = min(batch, launch.ubatch_size or batch)
    tokens = padded(tokens, _PAD)
    cells = tokens if launch.kv_unified else padded(tokens // sequences, _PAD)
    streams = 1 if launch.kv_unified else sequences
    if not launch.kv_unified:
        tokens = cells * sequences
    window = hp.window * (sequences if launch.kv_unified else 1) + ubatch
    sliding = cells if launch.swa_full else padded(min(cells, window), _PAD)
    rollback = launch.draft_max if hp.traits.rollback else 0
    return Context(
        tokens=tokens,
        cells=cells,
        sliding_cells=sliding,
        streams=streams,
        sequences=sequences,
        batch=batch,
        ubatch=min(tokens, ubatch),
        outputs=min(tokens, ubatch, launch.n_outputs_max or batch),
        copies=1 + rollback,
    )


def row_bytes(kind: str, values: int) -> int:
    """Bytes of a row of a cache: ggml_row_size (ggml/src/ggml.c).

    :raises InvalidInput: the type is unknown, or its block does not divide the row.
    """
    if kind not in CACHE_TYPES:
        raise InvalidInput(f"The cache type {kind!r} is not known.", f"Known are {', '.join(CACHE_TYPES)}.")
    block, size = CACHE_TYPES[kind]
    if values % block:
        raise InvalidInput(
            f"A cache of type {kind} needs rows that are multiples of {block}; this model's have {values} values.",
            "Use f16.",
        )
    return values // block * size


def check(hp: Hparams, launch: Launch) -> None:
    """Refuse what llama.cpp would refuse at the start: llama_init_from_model, src/llama-context.cpp.

    :raises InvalidInput: names what was asked for, and the remedy.
    """
    if not launch.flash_attn and CACHE_TYPES.get(launch.cache_type_v, (1, 0))[0] > 1:
        raise InvalidInput(
            f"A cache of values of type {launch.cache_type_v} needs flash attention, which is off.",
            "Set flash_attn, or cache_type_v: f16.",
        )
    if (hp.compressed or hp.architecture == "deepseek4") and launch.cache_type_k != launch.cache_type_v:
        raise InvalidInput(
            f"This model keeps keys and values in one row; cache_type_k is {launch.cache_type_k}, cache_type_v is "
            f"{launch.cache_type_v}.",
            "Give both the same type.",
        )
