# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compute buffers: the tensors of the largest graph that live at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import compressed, shapes
from .architectures import NO_HEADS, NO_HEADS_NO_FF
from .cache import layer_bytes
from .hparams import Hparams
from .launch import Context, Launch, padded
from .layers import HOST, Placement
from .tables import Regime

_COPIES = 4  # GGML_SCHED_MAX_COPIES, ggml/src/ggml-backend.cpp
# An architecture that was never measured: what a transformer with gated feed forward and routed experts may hold.
_GENERIC: dict[str, tuple[Regime, ...]] = {
    "flash": ((True, (), (3, 3, 2, 0, 2, 3, 2, 3, 4, 6, 1, 0, 0)), (True, (), (3, 0, 4, 2, 1, 3, 2, 3, 4, 6, 1, 0, 0))),
    "plain": ((True, (), (3, 3, 2, 2, 2, 3, 2, 3, 4, 6, 1, 0, 0)), (True, (), (3, 0, 4, 2, 1, 3, 2, 3, 4, 6, 1, 1, 0))),
}


@dataclass(frozen=True)
class Compute:
    """Bytes by device number.

    :param measured: the architecture was measured; else the bytes follow from a general rule.
    :param bound: they may be fewer. Where recurrent layers and others lie on several devices in no regular order, their
        mixture on a device decides, and the largest that was measured is taken; of an indexer's scores all are counted.
    """

    bytes: dict[int, int]
    measured: bool
    bound: bool = False


def _mask(cells: int, tokens: int, flash: bool) -> int:
    """Bytes of one attention mask: build_attn_inp_kq_mask, src/llama-graph.cpp; f16 for flash attention, else f32."""
    return cells * tokens * (2 if flash else 4)


def masks(hp: Hparams, launch: Launch, ctx: Context, tokens: int, on: Sequence[int] | None = None) -> int:
    """Bytes of the masks of all caches, or of the batch itself where there is no cache.

    :param on: only those that these layers look at.
    """
    flash = launch.flash_attn and hp.traits.flash
    if not hp.traits.cache:
        return _mask(tokens, tokens, flash) * (2 if hp.slides else 1)
    if hp.architecture == compressed.ARCHITECTURE:
        return _mask(compressed.mask_cells(hp, launch, ctx), tokens, flash)
    looking = [hp.layers[index] for index in (range(len(hp.layers)) if on is None else on)]
    # a layer that reads another one's cache looks at the same mask
    looking = [layer for layer in looking if layer.caches or hp.traits.shares]
    found = 0
    if any(not layer.sliding for layer in looking):
        found += _mask(ctx.cells, tokens, flash)
    if hp.compressed and any(layer.index_key for layer in looking):
        found += _mask(ctx.cells, tokens, flash)  # the indexer has one of its own
    if any(layer.sliding for layer in looking):
        found += _mask(ctx.sliding_cells, tokens, flash)
    return found


def _live(table: str, hp: Hparams, ctx: Context, tokens: int, freed: bool = True) -> int | None:
    """Bytes of the largest sum of tensors that live at once, besides the masks; None where it was never measured.

    :param freed: the masks make room for others once they are used; False where a further device waits for them.
    """
    found = shapes.live(table, hp, ctx.cells if hp.traits.cache else tokens, freed)
    return None if found is None else int(4 * tokens * found)


def batch(ctx: Context) -> int:
    """Tokens of the largest graph that is made."""
    return padded(ctx.ubatch, ctx.sequences) if ctx.sequences > 1 else ctx.ubatch


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
    tokens = batch(ctx)
    flash = launch.flash_attn and hp.traits.flash
    measured = _live("FLASH" if flash else "PLAIN", hp, ctx, tokens)
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
    if piped and measured is None:
        for device in used[1:]:
            found[device] += (_COPIES - 1) * _scores(hp, ctx, tokens)
    inputs = {device: entering(hp, launch, ctx, placement, tokens, device) for device in used}
    for device in used:
        found[device] += inputs[device] + (states if piped else 0)
    host = _host(hp, launch, ctx, tokens, placement, live, fetches)
    logits = _logits("OUTPUT", hp, ctx, tokens, live) if hp.traits.cache else 0
    if launch.embeddings and logits:
        logits += masks(hp, launch, ctx, tokens)  # pooling keeps them to the end
    if placement.output == HOST:
        host = max(host, logits)
    elif piped:
        last = _logits("TAIL", hp, ctx, tokens, live) + inputs[placement.output] if hp.traits.cache else 0
        found[placement.output] = max(found[placement.output], last)
    else:
        found[placement.output] = max(found[placement.output], logits)
    bound = measured is None or (piped and hp.traits.recurrent in (NO_HEADS, NO_HEADS_NO_FF)) or _chooses(hp)
    found = {**dict.fromkeys(range(HOST, placement.devices), 0), **found, HOST: host}
    return Compute(found, measured is not None, bound)


def entering(hp: Hparams, launch: Launch, ctx: Context, placement: Placement, tokens: int, device: int) -> int:
    """Bytes of what enters the graph of a device: masks that its layers look at, caches that it reads elsewhere."""
    piped = pipelined(hp, launch, placement)
    mask = masks(hp, launch, ctx, tokens, placement.on(device)) * (_COPIES if piped else 1)
    return mask + _borrowed(hp, launch, ctx, placement, device, piped)


def _host(
    hp: Hparams, launch: Launch, ctx: Context, tokens: int, placement: Placement, live: int, fetches: bool
) -> int:
    """Bytes of the host's buffer: the inputs, and the graph of what it computes itself."""
    flash = launch.flash_attn and hp.traits.flash
    piped = pipelined(hp, launch, placement)
    row = 4 * tokens * hp.width
    mask = masks(hp, launch, ctx, tokens) * (_COPIES if piped else 1)
    extra = 4 * tokens * shapes.features(hp, 0)["per_layer"]  # inputs of every layer besides the embedding
    if hp.traits.cache:
        host = mask + (5 if piped else 2) * row + extra + (0 if flash else _places(hp, tokens))
    else:
        host = mask + (5 if piped else 3 if flash else 4) * row + extra
    if not placement.everything:
        if fetches and not hp.traits.recurrent:
            return host + row
        if not flash:
            return host + 2 * row + live
        rest = _live("REST", hp, ctx, tokens)
        return max(host, mask + (live + 2 * row if rest is None else rest))
    if launch.n_cpu_moe and hp.experts and not fetches:
        experts = _live("EXPERTS", hp, ctx, tokens, placement.devices == 1)
        return max(host, mask + (live + 2 * row if experts is None else experts))
    return host


def _places(hp: Hparams, tokens: int) -> int:
    """Bytes of the places of values in a transposed cache, eight each: llama_kv_cache::build_input_v_idxs,
    src/llama-kv-cache.cpp.
    """
    widest = max(layer.v_width for layer in hp.layers)
    return 8 * tokens * widest * len({layer.sliding for layer in hp.layers if layer.caches})


def _logits(table: str, hp: Hparams, ctx: Context, tokens: int, live: int) -> int:
    """Bytes when the rows of logits are made: they, and the rows of the batch that keep them from the room before."""
    logits = 4 * ctx.outputs * hp.vocabulary
    rows = shapes.beside(table, hp, ctx.cells)
    if rows is None:
        copies = 2 * _COPIES if table == "TAIL" else 0
        return (logits + 4 * ctx.outputs * hp.width) * 13 // 12 + 4 * tokens * hp.width * copies
    # few logits find room among what is live anyway
    beside = tokens if logits >= live else ctx.outputs
    return logits + int(4 * beside * hp.width * rows)


def _chooses(hp: Hparams) -> bool:
    """Whether an indexer chooses what is attended to."""
    return hp.architecture == compressed.ARCHITECTURE or any(layer.index_key for layer in hp.layers)


def _general(hp: Hparams, flash: bool, ctx: Context, tokens: int) -> int:
    """As for an architecture that was never measured."""
    planes = _GENERIC["flash" if flash else "plain"]
    found = int(4 * tokens * shapes.largest(planes, shapes.features(hp, ctx.cells)))
    return found + _scores(hp, ctx, tokens)


def _scores(hp: Hparams, ctx: Context, tokens: int) -> int:
    """A bound for the scores of an indexer's heads and what is sorted out of them, where no graph was measured; several
    sequences in one cache do without: src/models/minimax-m3.cpp.
    """
    if not hp.traits.indexer or (ctx.sequences > 1 and ctx.streams == 1):
        return 0
    return (3 * hp.number("attention.indexer.head_count") + 2) * 4 * ctx.cells * tokens


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
        if flash and apart and device != used[0] and min(placement.on(device), default=0) >= launch.n_cpu_moe:
            found[device] = live + 2 * row if (size := _live("BEHIND", hp, ctx, tokens)) is None else size
            continue
        if flash and apart and min(placement.on(device), default=launch.n_cpu_moe) < launch.n_cpu_moe:
            size = _live("APART" if launch.n_cpu_moe >= hp.trunk else "SOME", hp, ctx, tokens)
        elif flash and not placement.everything:
            size = _live("PARTIAL", hp, ctx, tokens)
            size = max(size, live) if size is not None and fetches else size  # then it computes every layer
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
        table = "FIRST" if device == used[0] else "LAST" if device == used[-1] else "MIDDLE"
        rows = _COPIES if device == used[0] else 2 * _COPIES
        copied = _live(table, hp, ctx, tokens) if flash else None
        found[device] = max(copied or 0, live) if copied else live + rows * row
    return found
