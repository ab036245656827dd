# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compute buffers: the tensors of the largest graph that live at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .coefficients import FLASH, PLAIN, Regime, Table
from .hparams import Hparams
from .launch import Context, Launch, padded
from .layers import HOST, Placement

# Widths of a model whose multiples live at once in a compute buffer; values for one token.
FEATURES = (
    "width",
    "ff",
    "query",
    "kv",
    "routed_width",
    "routed_ff",
    "experts",
    "shared",
    "inner",
    "groups",
    "per_layer",
    "scores",
)
_COPIES = 4  # GGML_SCHED_MAX_COPIES, ggml/src/ggml-backend.cpp
# An architecture that was never measured: what a transformer with gated feed forward and routed experts may hold.
_GENERIC: Table = {
    "flash": ((True, (), (3, 3, 2, 0, 2, 3, 2, 3, 4, 6, 1, 0, 0)), (True, (), (3, 0, 4, 2, 1, 3, 2, 3, 4, 6, 1, 0, 0))),
    "plain": ((True, (), (3, 3, 2, 2, 2, 3, 2, 3, 4, 6, 1, 0, 0)), (True, (), (3, 0, 4, 2, 1, 3, 2, 3, 4, 6, 1, 1, 0))),
}


@dataclass(frozen=True)
class Compute:
    """Bytes by device number; `measured` is False where the architecture was never measured."""

    bytes: dict[int, int]
    measured: bool


def features(hp: Hparams, cells: int) -> dict[str, int]:
    """The features of a model, with `cells` in the cache of one stream."""
    get = hp.number
    ff = max(layer.ff for layer in hp.layers)
    expert_ff = hp.expert_ff or (ff if hp.experts else 0)
    shared = hp.shared_ff or get("expert_shared_count") * expert_ff
    heads = max(layer.heads for layer in hp.layers)
    return {
        "width": hp.width,
        "ff": ff if hp.expert_ff or not hp.experts else 0,
        "query": max(layer.heads * layer.key for layer in hp.layers),
        "kv": max(layer.k_width for layer in hp.layers),
        "routed_width": hp.experts_used * hp.width,
        "routed_ff": hp.experts_used * expert_ff,
        "experts": hp.experts,
        "shared": shared,
        "inner": hp.inner,
        "groups": get("ssm.group_count") * get("ssm.state_size"),
        "per_layer": get("embedding_length_per_layer_input") * len(hp.layers),
        "scores": heads * cells,
    }


def ratios(known: Mapping[str, int]) -> tuple[float, ...]:
    """A geometry whatever its size: every feature but the scores in multiples of the width."""
    width = known["width"] or 1
    return tuple(round(known[key] / width, 2) for key in FEATURES[1:-1])


def largest(regimes: Sequence[Regime], known: Mapping[str, int]) -> float:
    """Values for one token: the sum of the nearest geometry measured, or one that holds everywhere and is larger."""
    here = ratios(known)

    def distance(regime: Regime) -> float:
        return sum(abs(math.log((one + 0.1) / (other + 0.1))) for one, other in zip(here, regime[1]))

    nearest = min(regimes, key=distance)
    return max(
        sum(factor * known[key] for factor, key in zip(plane, FEATURES)) + plane[-1]
        for sure, where, plane in regimes
        if sure or where == nearest[1]
    )


def _mask(cells: int, tokens: int, flash: bool) -> int:
    """Bytes of one attention mask: build_attn_inp_kq_mask, src/llama-graph.cpp; f16 for flash attention, else f32."""
    return cells * tokens * (2 if flash else 4)


def masks(hp: Hparams, launch: Launch, ctx: Context, tokens: int) -> int:
    """Bytes of the masks of all caches, or of the batch itself where there is no cache."""
    flash = launch.flash_attn and hp.traits.flash
    if not hp.traits.cache:
        return _mask(tokens, tokens, flash) * (2 if hp.slides else 1)
    found = 0
    if any(layer.caches and not layer.sliding for layer in hp.layers):
        found += _mask(ctx.cells, tokens, flash)
    if any(layer.caches and layer.sliding for layer in hp.layers):
        found += _mask(ctx.sliding_cells, tokens, flash)
    return found


def _activations(hp: Hparams, launch: Launch, ctx: Context, tokens: int) -> tuple[int, bool]:
    """Bytes of the largest sum of tensors that live at once, besides the masks; whether it was measured."""
    flash = launch.flash_attn and hp.traits.flash
    cells = ctx.cells if hp.traits.cache else tokens
    known = features(hp, cells)
    planes = (FLASH if flash else PLAIN).get(hp.architecture)
    measured = bool(planes)
    planes = planes or _GENERIC["flash" if flash else "plain"]
    return int(4 * tokens * largest(planes, known)), measured


def pipelined(hp: Hparams, launch: Launch, placement: Placement) -> bool:
    """Whether several batches are in flight, which multiplies the inputs: llama_context::llama_context,
    src/llama-context.cpp. Every device must support it; CUDA and RPC do.
    """
    return placement.devices > 1 and placement.everything and launch.kv_offload and not launch.n_cpu_moe


def sizes(hp: Hparams, launch: Launch, ctx: Context, placement: Placement) -> Compute:
    """Bytes of the compute buffer of every device and of the host.

    Follows llama_context::sched_reserve and graph_reserve (src/llama-context.cpp): the graph of one full batch.
    """
    tokens = padded(ctx.ubatch, ctx.sequences) if ctx.sequences > 1 else ctx.ubatch
    live, measured = _activations(hp, launch, ctx, tokens)
    mask = masks(hp, launch, ctx, tokens)
    row = 4 * hp.width * tokens
    logits = 4 * ctx.outputs * (hp.vocabulary + hp.width)
    piped = pipelined(hp, launch, placement)
    found = {}
    used = sorted({device for device in (*placement.layers, placement.output) if device != HOST})
    for device in used:
        inputs = mask
        if piped:
            inputs = _COPIES * mask + row * (4 if device == used[0] else 8)
        elif device != used[0]:
            inputs += 2 * row
        found[device] = inputs + live
        if device == placement.output:
            found[device] = max(found[device], logits + (inputs if piped else 0))
    inputs = _COPIES * mask + 5 * row if piped else mask + 2 * row
    found[HOST] = inputs if placement.everything and not launch.n_cpu_moe else inputs + live
    return Compute({**dict.fromkeys(range(HOST, placement.devices), 0), **found}, measured)
