# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compute buffers: the tensors of the largest graph that live at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .cache import layer_bytes
from .coefficients import APART, EXPERTS, FIRST, FLASH, LAST, MIDDLE, PARTIAL, PLAIN, REST, SOME, Regime, Table
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


def _live(table: Table, hp: Hparams, ctx: Context, tokens: int) -> int | None:
    """Bytes of the largest sum of tensors that live at once, besides the masks; None where it was never measured."""
    planes = table.get(hp.architecture)
    if not planes:
        return None
    return int(4 * tokens * largest(planes, features(hp, ctx.cells if hp.traits.cache else tokens)))


def pipelined(hp: Hparams, launch: Launch, placement: Placement) -> bool:
    """Whether several batches are in flight, which multiplies the inputs: llama_context::llama_context,
    src/llama-context.cpp. Every device must support it; CUDA and RPC do.
    """
    return placement.devices > 1 and placement.everything and launch.kv_offload and not launch.n_cpu_moe


def sizes(hp: Hparams, launch: Launch, ctx: Context, placement: Placement, fetches: bool = False) -> Compute:
    """Bytes of the compute buffer of every device and of the host.

    Follows llama_context::sched_reserve and graph_reserve (src/llama-context.cpp): the graph of one full batch.

    :param fetches: a device fetches experts of the host and computes them (op_offload), else the host does.
    """
    tokens = padded(ctx.ubatch, ctx.sequences) if ctx.sequences > 1 else ctx.ubatch
    flash = launch.flash_attn and hp.traits.flash
    measured = _live(FLASH if flash else PLAIN, hp, ctx, tokens)
    live = measured if measured is not None else _general(hp, flash, ctx, tokens)
    states = 4 * hp.s_width * ctx.sequences * ctx.copies if ctx.copies > 1 else 0  # that a batch goes through
    live += states
    used = sorted({device for device in (*placement.layers, placement.output) if device != HOST})
    piped = pipelined(hp, launch, placement)
    found = (
        _piped(hp, flash, ctx, tokens, used, live)
        if piped
        else _plain(hp, launch, ctx, tokens, placement, used, live, fetches)
    )
    mask = masks(hp, launch, ctx, tokens) * (_COPIES if piped else 1)
    for device in used:
        found[device] += mask + (states if piped else 0) + _borrowed(hp, launch, ctx, placement, device, piped)
    row = 4 * tokens * hp.width
    extra = 4 * tokens * features(hp, 0)["per_layer"]  # inputs of every layer besides the embedding
    rows = 5 if piped else 2 if flash and hp.traits.cache else 3 if flash else 4
    host = mask + rows * row + extra
    if not placement.everything:
        host = max(host, mask + (_live(REST, hp, ctx, tokens) or live + 2 * row) if flash else host + live)
    elif launch.n_cpu_moe and hp.experts and not fetches:
        experts = _live(EXPERTS, hp, ctx, tokens) if flash else None
        host = max(host, mask + (experts if experts is not None else live + 2 * row))
    logits = 4 * ctx.outputs * (hp.vocabulary + hp.width) if hp.traits.cache else 0
    logits += logits // 12  # holes below them
    if placement.output == HOST:
        host = max(host, logits)
    else:
        found[placement.output] = max(
            found[placement.output], logits + (found[placement.output] - live if piped else 0)
        )
    return Compute({**dict.fromkeys(range(HOST, placement.devices), 0), **found, HOST: host}, measured is not None)


def _general(hp: Hparams, flash: bool, ctx: Context, tokens: int) -> int:
    """As for an architecture that was never measured."""
    planes = _GENERIC["flash" if flash else "plain"]
    return int(4 * tokens * largest(planes, features(hp, ctx.cells)))


def _plain(
    hp: Hparams,
    launch: Launch,
    ctx: Context,
    tokens: int,
    placement: Placement,
    used: Sequence[int],
    live: int,
    fetches: bool,
) -> dict[int, int]:
    """Bytes of each device besides the masks, one batch at a time."""
    flash = launch.flash_attn and hp.traits.flash
    apart = bool(launch.n_cpu_moe) and bool(hp.experts) and not fetches
    row, found = 4 * tokens * hp.width, {}
    for device in used:
        size = None
        if flash and apart and min(placement.on(device), default=launch.n_cpu_moe) < launch.n_cpu_moe:
            size = _live(APART if launch.n_cpu_moe >= hp.trunk else SOME, hp, ctx, tokens)
        elif flash and not placement.everything:
            size = _live(PARTIAL, hp, ctx, tokens)
        found[device] = (live if size is None else size) + (0 if device == used[0] else 2 * row)
    return found


def _borrowed(hp: Hparams, launch: Launch, ctx: Context, placement: Placement, device: int, piped: bool) -> int:
    """Bytes of keys and values that layers of a device read from the cache of another one: copies of whole layers.

    Follows the layers that reuse a cache, llama_model::create_memory (src/llama-model.cpp): the last that slides, or
    the last that does not, of those that have their own.
    """
    if not hp.traits.shares:
        return 0
    own = sum(layer.caches for layer in hp.layers)
    found = []
    for index in placement.on(device):
        layer = hp.layers[index]
        if layer.caches or own < 2 or index < own:
            continue
        source = own - (2 if layer.sliding else 1)
        if placement.layers[source] != device:
            found.append(layer_bytes(hp, launch, ctx, hp.layers[source], hp.layers[source].v_width))
    return _COPIES * sum(found) if piped else max(found, default=0)


def _piped(hp: Hparams, flash: bool, ctx: Context, tokens: int, used: Sequence[int], live: int) -> dict[int, int]:
    """Bytes of each device besides the masks, with batches in flight: what crosses to a device is kept four times."""
    row, found = 4 * tokens * hp.width, {}
    for device in used:
        table = FIRST if device == used[0] else LAST if device == used[-1] else MIDDLE
        rows = _COPIES if device == used[0] else 2 * _COPIES
        copied = _live(table, hp, ctx, tokens) if flash else None
        found[device] = max(copied or 0, live) if copied else live + rows * row
    return found
