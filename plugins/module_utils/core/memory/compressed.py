# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of models that keep a window of keys and, of all before it, compressed ones: DeepSeek V4.

Follows llama_kv_cache_dsv4::llama_kv_cache_dsv4 and llama_dsv4_comp_state (src/llama-kv-cache-dsv4.cpp). Every sequence
has a stream of its own, whatever is asked; values are not kept.
"""

from __future__ import annotations

from .hparams import Hparams
from .launch import Context, Launch, padded, row_bytes
from .layers import HOST, Placement

ARCHITECTURE = "deepseek4"
_NEAR, _FAR = 4, 128  # tokens in one compressed key: DSV4_CSA_RATIO, DSV4_HCA_RATIO
_PAD = 256


def _window(hp: Hparams, launch: Launch, ctx: Context) -> int:
    """Cells of one stream of the window."""
    return padded(ctx.cells if launch.swa_full else min(ctx.cells, hp.window + ctx.ubatch), _PAD)


def _compressed(ctx: Context, ratio: int) -> int:
    return padded(max(1, -(-ctx.cells // ratio)), _PAD)


def mask_cells(hp: Hparams, launch: Launch, ctx: Context) -> int:
    """Cells of all masks of one batch: of the window, of both compressions, and of the indexer."""
    return _window(hp, launch, ctx) + 2 * _compressed(ctx, _NEAR) + _compressed(ctx, _FAR)


def sizes(hp: Hparams, launch: Launch, ctx: Context, placement: Placement) -> dict[int, int]:
    """Bytes by device number, with the state of what is being compressed (f32).

    :raises Untrusted: the header does not say how every layer compresses.
    """
    found = dict.fromkeys(range(HOST, placement.devices), 0)
    index = hp.number("attention.indexer.key_length")
    streams, planes = ctx.sequences, ctx.sequences * ctx.copies
    ratios = hp.metadata.per_layer("attention.compress_ratios", len(hp.layers))
    for number, (layer, ratio) in enumerate(zip(hp.layers, ratios)):
        row = row_bytes(launch.cache_type_k, layer.k_width)
        size = row * _window(hp, launch, ctx) * streams
        if ratio == _NEAR:
            rows = row + row_bytes(launch.cache_type_k, index)
            size += rows * _compressed(ctx, _NEAR) * streams
            size += 4 * 2 * 2 * (layer.key + index) * 2 * _NEAR * planes
        elif ratio == _FAR:
            size += row * _compressed(ctx, _FAR) * streams + 4 * 2 * layer.key * _FAR * planes
        found[placement.layers[number] if launch.kv_offload else HOST] += size
    return found
