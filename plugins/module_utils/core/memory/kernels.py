# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ggml's code for CUDA and ROCm takes besides what a graph holds on any device.

Compared with 1,059 launches whose first device was a GPU: tests/gpu/README.md. Sources: ggml/src/ggml-cuda/ggml-cuda.cu
(ggml_backend_cuda_graph_optimize, ggml_backend_cuda_buffer_type_get_alloc_size), fattn.cu
(ggml_cuda_flash_attn_ext_get_alloc_size) and ggml/src/ggml-backend.cpp (ggml_backend_sched_split_graph).
"""

from __future__ import annotations

from collections.abc import Sequence

from . import compute, shapes
from .architectures import INTERVAL
from .hparams import Hparams, Layer
from .launch import CACHE_TYPES, Context, Launch, padded, row_bytes

MIB = 1 << 20
BACKENDS = ("cuda", "hip")
# Attention and feed forward of a layer read the same input, so one waits while the other is computed: src/models/
_SIDE_BY_SIDE = ("cohere2", "cohere2moe", "command-r", "falcon", "gptj", "gptneox", "phi2", "plamo", "stablelm")
# Architectures that were seen to hold two fetched tensors at a time: of experts, of whole layers
_TWO_OF_EXPERTS = (
    "afmoe",
    "deepseek4",
    "granitehybrid",
    "jamba",
    "kimi-linear",
    "llama4",
    "mimo2",
    "qwen35moe",
    "qwen3next",
)
_TWO_OF_LAYERS = ("apertus", "dots1", "falcon", "phi2", "phi3", "qwen2", "qwen2moe", "starcoder2")
# Values for a token that a layer of experts holds beside what these make, in widths of the model: 2 to 5 were seen.
_BESIDE_EXPERTS = 6
# Architectures that hold more
_MORE_THAN_EXPERTS = ("deepseek32", "deepseek4", "glm-dsa", "granitehybrid", "nemotron_h_moe", "smallthinker")
# Widths of keys that flash attention takes: with values as wide, or with these where so many heads share one
_AS_VALUES = (40, 64, 72, 80, 96, 112, 128, 256, 512)
_WITH_VALUES = {192: (128, 8), 320: (256, 32), 576: (512, 2)}
_ROW = 512  # values to which quantised rows are padded: MATRIX_ROW_PADDING, common.cuh
_ALIGNMENT = 128
# What grew on an H100 with a prompt of 6,000 tokens, besides the scores: 12 to 30 MiB, with experts 108 to 112.
_GROWTH, _GROWTH_EXPERTS = 40 * MIB, 128 * MIB


def working(hp: Hparams, launch: Launch, ctx: Context, computed: int, entering: int) -> int:
    """Bytes of the compute buffer of a device with layers, from those of a device that neither fuses nor copies.

    What experts gave is kept until their weighted sum is made, and flash attention has f16 copies of a quantised cache
    beside its result. The copies go with the attention's own tensors, unless others wait meanwhile.

    :param entering: bytes of masks and the like, see `compute.entering`.
    """
    tokens = compute.batch(ctx)
    kept = 4 * tokens * hp.width * hp.experts_used if hp.experts_used > 1 else 0
    found = computed + kept * (2 if ctx.outputs >= tokens > 1 else 1)
    copies = _f16_copies(hp, launch, ctx)
    if not copies:
        return found
    if hp.shared_ff or hp.number("expert_shared_count") or hp.traits.shares or hp.architecture in _SIDE_BY_SIDE:
        return found + copies
    queries = max(layer.heads * layer.key for layer in hp.layers) * (6 if hp.traits.recurrent == INTERVAL else 4)
    beside = hp.width + queries + shapes.features(hp, 0)["per_layer"]
    return max(found, copies + entering + int(4 * tokens * beside))


def attends(hp: Hparams) -> bool:
    """Whether there is flash attention for the heads of all layers; else the processor computes it, if it is asked for.

    Follows ggml_cuda_get_best_fattn_kernel.
    """
    return all(_attends(layer, hp.compressed) for layer in hp.layers if layer.caches and layer.kv_heads)


def _attends(layer: Layer, compressed: bool) -> bool:
    shared = layer.heads // (1 if compressed else layer.kv_heads)
    if layer.key in _WITH_VALUES:
        value, heads = _WITH_VALUES[layer.key]
        return shared % heads == 0 and (compressed or layer.value == value)
    return layer.key in _AS_VALUES and layer.value == layer.key and (layer.key < 512 or shared >= 2)


def bound(hp: Hparams, launch: Launch) -> bool:
    """Whether the compute buffer may be smaller than `working` says."""
    return hp.experts_used > 1 or _quantised(launch)


def _quantised(launch: Launch) -> bool:
    """Whether a side of the cache needs copies for flash attention."""
    return launch.flash_attn and (launch.cache_type_k, launch.cache_type_v) != ("f16", "f16")


def padding(hp: Hparams, launch: Launch, layers: Sequence[int]) -> int:
    """Bytes by which the quantised rows of the cache of these layers are longer, once for each tensor."""
    found = 0
    for index in layers:
        layer = hp.layers[index]
        if not layer.caches or index >= hp.trunk:
            continue
        keys = (layer.k_width, layer.index_key)
        values = () if hp.compressed else (layer.v_width, layer.index_value)
        found += sum(_row_padding(launch.cache_type_k, width) for width in keys)
        found += sum(_row_padding(launch.cache_type_v, width) for width in values)
    return found


def staged(
    hp: Hparams,
    launch: Launch,
    ctx: Context,
    largest: int,
    on_host: Sequence[int],
    measured: bool,
    computed: int,
    entering: int | None,
) -> int:
    """A bound for the bytes by which a compute buffer grows as a device computes large batches of the layers of the
    host: it fetches weights, one after the other, and the keys and values of one layer.

    Where experts are computed, little else is held meanwhile, and what is held otherwise may be less or more than that.

    :param largest: bytes of the largest tensor on the host. :param on_host: layers whose cache lies there.
    :param measured: the architecture was measured; else two tensors may be there at a time.
    :param computed: bytes of the compute buffer without. :param entering: see `working`; None for other backends.
    """
    if not largest:
        return 0
    kept = _largest_cache(hp, launch, ctx, on_host)
    two = not measured or hp.architecture in (_TWO_OF_LAYERS if on_host else _TWO_OF_EXPERTS)
    pair = largest + max(largest, kept)
    if not measured or entering is None or hp.experts_used < 2 or hp.architecture in _MORE_THAN_EXPERTS:
        return (pair if two else max(largest, kept)) + 8 * ctx.ubatch * hp.width
    known = shapes.features(hp, 0)
    values = known["routed_ff"] + known["routed_width"] + _BESIDE_EXPERTS * hp.width
    held = (pair if two else largest + kept) + entering + 4 * compute.batch(ctx) * values
    return max(0, held - computed)


def _largest_cache(hp: Hparams, launch: Launch, ctx: Context, layers: Sequence[int]) -> int:
    """Bytes of the keys and values of the layer that keeps most of these."""
    return max(
        (
            ctx.streams
            * (ctx.sliding_cells if layer.sliding else ctx.cells)
            * (row_bytes(launch.cache_type_k, layer.k_width) + row_bytes(launch.cache_type_v, layer.v_width))
            for layer in (hp.layers[index] for index in layers)
            if layer.caches
        ),
        default=0,
    )


def growth(hp: Hparams, launch: Launch, ctx: Context) -> int:
    """A bound for the bytes that kernels allocate while they work; without flash attention also f16 scores."""
    found = _GROWTH_EXPERTS if hp.experts_used > 1 else _GROWTH
    if launch.flash_attn and hp.traits.flash:
        return found
    heads = max(layer.heads for layer in hp.layers)
    return found + 2 * ctx.cells * ctx.ubatch * heads + _GROWTH_EXPERTS


def _f16_copies(hp: Hparams, launch: Launch, ctx: Context) -> int:
    """Bytes of f16 copies of one layer's keys and values, for sides of the cache that are not f16."""
    if not _quantised(launch) or not hp.traits.flash:
        return 0
    found = 0
    for layer in hp.layers:
        if layer.caches:
            keys = layer.k_width if launch.cache_type_k != "f16" else 0
            values = layer.v_width if launch.cache_type_v != "f16" and not hp.compressed else 0
            found = max(found, (ctx.sliding_cells if layer.sliding else ctx.cells) * ctx.streams * (keys + values))
    return 2 * found


def _row_padding(kind: str, width: int) -> int:
    if CACHE_TYPES[kind][0] == 1 or width % _ROW == 0:
        return 0
    return padded(row_bytes(kind, _ROW - width % _ROW), _ALIGNMENT)
