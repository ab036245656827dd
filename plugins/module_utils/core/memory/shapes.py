# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of a model's graph, and what was measured for the nearest shape.

Compute buffers grow in proportion: two geometries with equal ratios of their widths, and equal ratios of mask and
width, differ by the width alone. So what was measured at one geometry is true for all of its shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .hparams import Hparams
from .tables import Curve, Regime, curves, regimes

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


def share(hp: Hparams, cells: int) -> float:
    """How large a mask is beside a row of the batch: both grow with its tokens, two bytes a cell, four a value."""
    return cells / (2 * hp.width or 1)


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(abs(math.log((left + 0.1) / (right + 0.1))) for left, right in zip(one, other))


def largest(measured: Sequence[Regime], known: Mapping[str, int]) -> float:
    """Values for one token: the sum of the nearest geometry measured, or one that holds everywhere and is larger."""
    here = ratios(known)
    nearest = min(measured, key=lambda regime: _distance(here, regime[1]))
    return max(
        sum(factor * known[key] for factor, key in zip(plane, FEATURES)) + plane[-1]
        for sure, where, plane in measured
        if sure or where == nearest[1]
    )


def live(table: str, hp: Hparams, cells: int, freed: bool = True) -> float | None:
    """Values for one token in the largest sum of tensors that live at once besides masks; None where never measured.

    :param freed: whether tensors may take the place of masks that were used.
    """
    measured = regimes(table, hp.architecture)
    if not measured:
        return None
    known = features(hp, cells)
    rows = beside(table, hp, cells) or 0.0
    return largest(measured, known) + hp.width * (rows if freed else max(rows, 0.0))


def beside(table: str, hp: Hparams, cells: int) -> float | None:
    """Rows of the batch that a mask of this size moves; None where that was never measured."""
    measured = curves(table, hp.architecture)
    if not measured:
        return None
    here = ratios(features(hp, 0))
    curve = min(measured, key=lambda entry: _distance(here, entry[0]))[1]
    # logits may come to lie behind the masks; scores of an indexer are as many as its mask has cells
    return between(curve, share(hp, cells), grows=table in ("OUTPUT", "TAIL") or bool(hp.traits.indexer))


def between(curve: Curve, at: float, grows: bool) -> float:
    """A curve at a point that was not measured: the larger neighbour, or where it grows with the mask the line
    between them, and on behind the last.
    """
    behind = next((number for number, point in enumerate(curve) if point[0] >= at), len(curve))
    if behind == 0:
        return curve[0][1]
    before, rows = curve[behind - 1]
    if behind == len(curve):
        slope = (rows - curve[-2][1]) / (before - curve[-2][0]) if grows and len(curve) > 1 else 0.0
        return rows + (slope * (at - before) if slope > 0.25 else 0.0)
    further, more = curve[behind]
    if grows and more > rows:
        return rows + (more - rows) * (at - before) / (further - before)
    return max(rows, more)
