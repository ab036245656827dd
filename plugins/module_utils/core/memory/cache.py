# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of keys and values."""

from __future__ import annotations

from ..errors import InvalidInput
from . import compressed
from .hparams import Hparams, Layer
from .launch import Context, Launch, row_bytes
from .layers import HOST, Placement


def sizes(hp: Hparams, launch: Launch, ctx: Context, placement: Placement, mtp: bool = False) -> dict[int, int]:
    """Bytes by device number.

    Follows llama_kv_cache::llama_kv_cache (src/llama-kv-cache.cpp), the filters of llama_model::create_memory
    (src/llama-model.cpp): the trunk's layers, or with `mtp` those of MTP alone.

    :raises InvalidInput: a type of the cache does not fit the model.
    """
    if hp.architecture == compressed.ARCHITECTURE and not mtp:
        return compressed.sizes(hp, launch, ctx, placement)
    found = dict.fromkeys(range(HOST, placement.devices), 0)
    widest = max(layer.v_width for layer in hp.layers)
    for index, layer in enumerate(hp.layers):
        if not layer.caches or (index >= hp.trunk) != mtp:
            continue
        device = placement.layers[index] if launch.kv_offload else HOST
        found[device] += layer_bytes(hp, launch, ctx, layer, widest)
        if layer.index_key and not mtp:
            # a cache of one head beside the other: llama_kv_cache_dsa, llama_kv_cache_msa, llama_memory_hybrid_idx
            row = row_bytes(launch.cache_type_k, layer.index_key)
            row += row_bytes(launch.cache_type_v, layer.index_value) if layer.index_value else 0
            found[device] += row * ctx.cells * ctx.streams
    return found


def layer_bytes(hp: Hparams, launch: Launch, ctx: Context, layer: Layer, widest: int) -> int:
    """Bytes of one layer. Without flash attention values are transposed and as wide as the widest layer's."""
    cells = ctx.sliding_cells if layer.sliding else ctx.cells
    row = row_bytes(launch.cache_type_k, layer.k_width)
    if not hp.compressed:
        row += row_bytes(launch.cache_type_v, layer.v_width if launch.flash_attn else widest)
    return row * cells * ctx.streams


def recurrent_sizes(hp: Hparams, launch: Launch, ctx: Context, placement: Placement) -> dict[int, int]:
    """Bytes of the recurrent state by device number, always f32 and whatever the context.

    Follows llama_memory_recurrent::llama_memory_recurrent (src/llama-memory-recurrent.cpp).
    """
    found = dict.fromkeys(range(HOST, placement.devices), 0)
    each = 4 * (hp.r_width + hp.s_width) * ctx.sequences * ctx.copies
    for index, layer in enumerate(hp.layers[: hp.trunk]):
        if layer.recurrent:
            found[placement.layers[index] if launch.kv_offload else HOST] += each
    return found


def check_types(hp: Hparams, launch: Launch) -> None:
    """:raises InvalidInput: the block of a quantised type does not divide the width of a head."""
    for layer in hp.layers:
        if layer.caches and layer.kv_heads:
            for kind, width in ((launch.cache_type_k, layer.key), (launch.cache_type_v, layer.value)):
                try:
                    row_bytes(kind, width)
                except InvalidInput as exc:
                    raise InvalidInput(f"{exc.problem} (width of one head)", exc.remedy) from None
