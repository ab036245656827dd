# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing the flags of a launch: the first rung of a ladder on which it fits.

Every rung gives up a little more than the one before; which may be used is the user's decision. Pure and
deterministic: the same model, options and devices give the same flags.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from . import split
from .launch import Launch, padded
from .plan import Extras, Model, assemble
from .table import Device, Table

# In this order; the first two are always allowed.
FEWEST, MORE, CPU_MOE, CACHE_TYPE, UBATCH, CTX, PARTIAL, RPC = (
    "fewest_devices", "more_devices", "n_cpu_moe", "cache_type", "ubatch_size", "ctx_size", "gpu_layers", "rpc",
)  # fmt: skip
RUNGS = (FEWEST, MORE, CPU_MOE, CACHE_TYPE, UBATCH, CTX, PARTIAL, RPC)
REFUSED = "refused"
_GIB = 1 << 30
_CTX_STEP = 256


@dataclass(frozen=True)
class Wish:
    """What may be changed.

    :param allow: rungs that may be used besides the first two.
    :param ctx_floor: tokens; the context is never smaller.
    :param fixed: options that the user set and that stay: `gpu_layers`, `tensor_split`, `n_cpu_moe`.
    :param devices: exactly so many devices are used, as tensor_split or split_mode say; 0 for any number.
    """

    allow: frozenset[str] = frozenset()
    ctx_floor: int = 4096
    fixed: frozenset[str] = frozenset()
    devices: int = 0


@dataclass(frozen=True)
class Choice:
    """What came out. `launch` has no automatic value left; `devices` are those in use, in their order."""

    rung: str
    launch: Launch
    devices: tuple[Device, ...]
    table: Table
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return self.table.fits and self.rung != REFUSED


@dataclass(frozen=True)
class _Task:
    model: Model
    wish: Wish
    extras: Extras


Try = tuple[Launch, "tuple[Device, ...]"]


def choose(model: Model, launch: Launch, devices: Sequence[Device], wish: Wish, extras: Extras | None = None) -> Choice:
    """The flags for a launch on these devices.

    :raises InvalidInput: llama.cpp would refuse the launch whatever the room.
    """
    task = _Task(model, wish, extras or Extras())
    resolved = replace(launch, ctx_size=launch.ctx_size or model.hparams.context)
    local = tuple(device for device in devices if device.backend not in ("rpc", "cpu"))
    remote = tuple(device for device in devices if device.backend == "rpc")
    if not local and remote:
        local, remote = remote, ()  # nothing but workers was given: they are what there is
    if wish.devices > len(local):
        local, remote = remote + local, ()  # so many are asked for that workers are among them
    if not devices or not local:
        return _on_host(task, resolved)
    reasons: list[str] = []
    best: Choice | None = None
    for rung, tries in _ladder(task, resolved, local, remote):
        if rung not in (FEWEST, MORE) and rung not in wish.allow:
            reasons.append(f"{rung}: not allowed.")
            continue
        found, nearest = _first(task, tries)
        if found is not None:
            reasons.append(f"{rung}: fits with {_flags(found[0], resolved)} on {_names(found[1])}.")
            return Choice(rung, found[0], found[1], found[2], tuple(reasons))
        if nearest is not None:
            reasons.append(f"{rung}: {_size(nearest[2].short)} short with {_flags(nearest[0], resolved)}.")
            if best is None or nearest[2].short < best.table.short:
                best = Choice(REFUSED, nearest[0], nearest[1], nearest[2], ())
    if best is None:
        table = assemble(model, replace(resolved, gpu_layers=0), local[:1], task.extras)
        best = Choice(REFUSED, replace(resolved, gpu_layers=0), local[:1], table, ())
    return replace(best, reasons=tuple(reasons))


def _ladder(
    task: _Task, launch: Launch, local: tuple[Device, ...], remote: tuple[Device, ...]
) -> Iterator[tuple[str, Iterator[Try]]]:
    """The rungs, each with what it tries in order; a rung is computed only when it is reached."""
    everything = _sets(local)
    if 0 < task.wish.devices <= len(local):
        everything = [everything[task.wish.devices - 1]]
    most = everything[-1]
    yield FEWEST, iter([(launch, everything[0])])
    if len(everything) > 1:
        yield MORE, ((launch, some) for some in everything[1:])
    base = launch
    moe = task.model.hparams.experts > 0 and "n_cpu_moe" not in task.wish.fixed
    if moe:
        yield CPU_MOE, _moe(task, base, everything)
    if base.cache_type_k == base.cache_type_v == "f16" and base.flash_attn:
        smaller = replace(base, cache_type_k="q8_0", cache_type_v="q8_0")
        yield CACHE_TYPE, _with_moe(task, smaller, everything, moe)
        if CACHE_TYPE in task.wish.allow:
            base = smaller
    yield (
        UBATCH,
        (
            attempt
            for size in (256, 128)
            if size < base.ubatch_size
            for attempt in _with_moe(task, replace(base, ubatch_size=size), everything, moe)
        ),
    )
    if UBATCH in task.wish.allow:
        base = replace(base, ubatch_size=min(128, base.ubatch_size))
    yield CTX, _contexts(task, base, everything, moe)
    if CTX in task.wish.allow:
        base = replace(base, ctx_size=min(base.ctx_size, max(task.wish.ctx_floor, _CTX_STEP)))
    if "gpu_layers" not in task.wish.fixed:
        yield PARTIAL, _partial(task, base, most)
    if remote:
        yield RPC, ((launch, remote[:count] + local) for count in range(1, len(remote) + 1))


def _sets(devices: tuple[Device, ...]) -> list[tuple[Device, ...]]:
    """For every number of devices the roomiest ones, in their given order."""
    ranked = sorted(range(len(devices)), key=lambda index: (-devices[index].capacity, index))
    return [tuple(devices[index] for index in sorted(ranked[:count])) for count in range(1, len(devices) + 1)]


def _moe(task: _Task, launch: Launch, sets: Sequence[tuple[Device, ...]]) -> Iterator[Try]:
    """The smallest number of layers whose experts stay on the host, for more and more devices."""
    layers = task.model.hparams.trunk
    for devices in sets:
        yield _smallest(task, 1, layers, devices, lambda count: replace(launch, n_cpu_moe=count)), devices


def _with_moe(task: _Task, launch: Launch, sets: Sequence[tuple[Device, ...]], moe: bool) -> Iterator[Try]:
    yield from ((launch, devices) for devices in sets)
    if moe and CPU_MOE in task.wish.allow:
        yield from _moe(task, launch, sets)


def _contexts(task: _Task, launch: Launch, sets: Sequence[tuple[Device, ...]], moe: bool) -> Iterator[Try]:
    """The largest context that fits, in steps that keep streams whole, with the experts on the host if allowed."""
    step = _CTX_STEP * (1 if launch.kv_unified else launch.parallel)
    floor = padded(max(task.wish.ctx_floor, step), step)
    steps = max((launch.ctx_size - floor) // step, 0)
    offload = task.model.hparams.trunk if moe and CPU_MOE in task.wish.allow else launch.n_cpu_moe
    devices = sets[-1]
    if launch.ctx_size < floor:
        return
    wide = replace(launch, n_cpu_moe=offload)
    yield (
        _smallest(
            task, 0, steps, devices, lambda less: replace(wide, ctx_size=max(launch.ctx_size - less * step, floor))
        ),
        devices,
    )


def _partial(task: _Task, launch: Launch, devices: tuple[Device, ...]) -> Iterator[Try]:
    """The most layers on devices."""
    slots = len(task.model.hparams.layers) + 1
    yield _smallest(task, 1, slots - 1, devices, lambda less: replace(launch, gpu_layers=slots - less)), devices


def _smallest(task: _Task, low: int, high: int, devices: tuple[Device, ...], make: Callable[[int], Launch]) -> Launch:
    """The launch for the smallest number that fits, or for the largest number; what fits must only grow with it."""
    while low < high:
        middle = (low + high) // 2
        if _fit(task, make(middle), devices)[1].fits:
            high = middle
        else:
            low = middle + 1
    return make(low)


def _first(
    task: _Task, tries: Iterator[Try]
) -> tuple[tuple[Launch, tuple[Device, ...], Table] | None, tuple[Launch, tuple[Device, ...], Table] | None]:
    """The first try that fits, and of those that do not the one that lacks least."""
    nearest = None
    for launch, devices in tries:
        whole, table = _fit(task, launch, devices)
        if table.fits:
            return (whole, devices, table), nearest
        if nearest is None or table.short < nearest[2].short:
            nearest = (whole, devices, table)
    return None, nearest


def _fit(task: _Task, launch: Launch, devices: tuple[Device, ...]) -> tuple[Launch, Table]:
    """The launch with its layers divided, and its table; divided evenly where there is no room."""
    slots = len(task.model.hparams.layers) + 1
    wanted = slots if launch.gpu_layers < 0 else min(launch.gpu_layers, slots)
    count = len(devices)
    even = tuple(wanted * (index + 1) // count - wanted * index // count for index in range(count))
    keep = "tensor_split" in task.wish.fixed and len(launch.tensor_split) == count
    whole = replace(launch, gpu_layers=wanted, tensor_split=launch.tensor_split if keep else even)
    table = assemble(task.model, whole, devices, task.extras)
    if count == 1 or keep or wanted < count:
        return whole, table
    moving = ("weights", "kv_cache", "recurrent_state")
    fixed = [sum(cell.bytes for name, cell in row.components.items() if name not in moving) for row in table.rows]
    divided = split.divide(task.model, launch, devices, fixed)
    if divided is None:
        return whole, table
    return divided, assemble(task.model, divided, devices, task.extras)


def _on_host(task: _Task, launch: Launch) -> Choice:
    """Without devices everything lies on the host, and nothing is to be chosen."""
    bare = replace(launch, gpu_layers=0, tensor_split=(), n_cpu_moe=0)
    return Choice(FEWEST, bare, (), assemble(task.model, bare, (), task.extras), ("No device: all on the host.",))


def next_gib(
    model: Model, launch: Launch, devices: Sequence[Device], wish: Wish, extras: Extras | None, now: Choice
) -> str:
    """What one more GiB on every device would change, in one sentence."""
    larger = [replace(device, total=device.total + _GIB, free=device.free + _GIB) for device in devices]
    then = choose(model, launch, larger, wish, extras)
    if then.fits and not now.fits:
        return f"One GiB more on every device would make it fit: {_flags(then.launch, now.launch)}."
    changed = _flags(then.launch, now.launch)
    if then.rung == now.rung and changed == "the same flags" and len(then.devices) == len(now.devices):
        return "One GiB more on every device would change nothing."
    return f"One GiB more on every device would give {changed} on {len(then.devices)} devices."


def _flags(launch: Launch, before: Launch) -> str:
    """What differs from before, besides the division of layers."""
    names: Collection[str] = ("ctx_size", "ubatch_size", "cache_type_k", "cache_type_v", "gpu_layers", "n_cpu_moe")
    changed = [
        f"{name} {getattr(launch, name)}"
        for name in names
        if getattr(launch, name) != getattr(before, name) and not (name == "gpu_layers" and before.gpu_layers < 0)
    ]
    return ", ".join(changed) or "the same flags"


def _names(devices: Sequence[Device]) -> str:
    return ", ".join(device.id for device in devices)


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB"
