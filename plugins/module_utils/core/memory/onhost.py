# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of the host: what a launch needs to run and may grow to, and what fits where it is all there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from .choose import CACHE_TYPE, CTX, FEWEST, REFUSED, UBATCH, Choice, Wish
from .launch import Launch, padded
from .plan import Extras, Model, assemble
from .table import Cell, Table

# taken while requests are served and bounded by options of their own; nothing fails at the start for lack of them
GROWING = ("prompt_cache", "checkpoints")
_LAZY = "lazy_weights"
_COPIES = ("mapped_weights", "repacked_weights")
_STEP = 256
_GIB = 1 << 30
_PROCESS = 512 << 20  # bytes: program, threads and their stacks, and what a driver keeps on the host


def needed(cells: Mapping[str, Cell]) -> int:
    """Bytes that a server works with from its start: weights once, for the pages of a file that was laid out anew are
    not read again.
    """
    sizes = {name: cell.bytes for name, cell in cells.items()}
    weights = max(sizes.get(name, 0) for name in _COPIES)
    beside = (*_COPIES, *GROWING, _LAZY)
    return weights + sum(size for name, size in sizes.items() if name not in beside)


def ceiling(cells: Mapping[str, Cell], devices: int) -> int:
    """Bytes that a server may never need more of, its mapped weights included: a limit for its memory.

    :param devices: how many devices it uses; a driver keeps memory on the host for each.
    """
    everything = sum(cell.bytes for name, cell in cells.items() if name != _LAZY)
    return everything + everything // 10 + _PROCESS * (1 + devices)


def choose(model: Model, launch: Launch, limit: int, wish: Wish, extras: Extras) -> Choice:
    """The launch on a host without devices that needs at most `limit` bytes; the first rung that helps is taken.

    :raises InvalidInput: llama.cpp would refuse the launch.
    """
    bare = replace(launch, gpu_layers=0, tensor_split=(), n_cpu_moe=0)
    reasons: list[str] = []
    nearest: tuple[Launch, Table] | None = None
    for rung, tries in _ladder(model, bare, limit, wish, extras):
        if rung != FEWEST and rung not in wish.allow:
            reasons.append(f"{rung}: not allowed.")
            continue
        for attempt in tries:
            table = assemble(model, attempt, (), extras)
            short = needed(table.host) - limit
            if short <= 0:
                reasons.append(f"{rung}: fits on the host with {_changes(attempt, bare)}.")
                return Choice(rung, attempt, (), table, tuple(reasons))
            reasons.append(f"{rung}: {short / _GIB:.1f} GiB short with {_changes(attempt, bare)}.")
            if nearest is None or needed(table.host) < needed(nearest[1].host):
                nearest = (attempt, table)
    attempt, table = nearest or (bare, assemble(model, bare, (), extras))
    return Choice(REFUSED, attempt, (), table, tuple(reasons))


def _ladder(
    model: Model, launch: Launch, limit: int, wish: Wish, extras: Extras
) -> Iterator[tuple[str, Iterator[Launch]]]:
    yield FEWEST, iter([launch])
    base = launch
    if base.cache_type_k == base.cache_type_v == "f16" and base.flash_attn:
        smaller = replace(base, cache_type_k="q8_0", cache_type_v="q8_0")
        yield CACHE_TYPE, iter([smaller])
        base = smaller if CACHE_TYPE in wish.allow else base
    sizes = [size for size in (256, 128) if size < base.ubatch_size]
    yield UBATCH, iter([replace(base, ubatch_size=size) for size in sizes])
    if UBATCH in wish.allow and sizes:
        base = replace(base, ubatch_size=sizes[-1])
    yield CTX, _contexts(model, base, limit, wish, extras)


def _contexts(model: Model, launch: Launch, limit: int, wish: Wish, extras: Extras) -> Iterator[Launch]:
    """The largest context that fits, in steps that keep streams whole, or the floor."""
    step = _STEP * (1 if launch.kv_unified else launch.parallel)
    floor = padded(max(wish.ctx_floor, step), step)
    if launch.ctx_size <= floor:
        return
    low, high = 1, -(-(launch.ctx_size - floor) // step)
    while low < high:
        middle = (low + high) // 2
        tried = replace(launch, ctx_size=max(launch.ctx_size - middle * step, floor))
        if needed(assemble(model, tried, (), extras).host) <= limit:
            high = middle
        else:
            low = middle + 1
    yield replace(launch, ctx_size=max(launch.ctx_size - low * step, floor))


def _changes(launch: Launch, before: Launch) -> str:
    names = ("ctx_size", "ubatch_size", "cache_type_k", "cache_type_v")
    changed = [f"{name} {getattr(launch, name)}" for name in names if getattr(launch, name) != getattr(before, name)]
    return ", ".join(changed) or "the flags as asked"
