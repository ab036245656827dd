# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a header and a launch to the table of what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..gguf import Header
from . import cache, compute, hparams, kernels, layers, weights
from .compute import Compute
from .hparams import Hparams
from .launch import Context, Launch, check, context
from .layers import HOST, Placement
from .table import BOUND, EXACT, LEARNED, MODEL, Cell, Device, Row, Table, filled

MIB = 1 << 20
# Bytes of a process on a device besides its buffers: 591 MiB on an H100; logs of an RTX 4090, RTX 5090 and RTX PRO 6000
# show 330 to 750 MiB, with what grows later.
_DRIVER_CONTEXT = {"cuda": 600 * MIB, "hip": 600 * MIB, "vulkan": 400 * MIB, "rpc": 600 * MIB, "cpu": 0}
_HEADROOM, _HEADROOM_SHARE = 512 * MIB, 50  # bytes, and one part of so many of the device
_VOCABULARY = 300  # bytes of host memory for one token: text, score, maps
_STAGED = ("cuda", "hip", "vulkan")  # backends that fetch weights of the host for large batches


@dataclass(frozen=True)
class Extras:
    """What a launch takes besides the model.

    :param mmproj: bytes of the projector's file; 0 without.
    :param draft: header of a draft model; None without.
    :param draft_types: types of the keys and values that the draft keeps.
    :param cache_ram: bytes of host memory for cached prompts (`--cache-ram`); None without a limit.
    :param checkpoints: context checkpoints of one slot (`--ctx-checkpoints`).
    :param learned: by device, bytes of the driver's context as seen there.
    """

    mmproj: int = 0
    draft: Header | None = None
    draft_types: tuple[str, str] = ("f16", "f16")
    cache_ram: int | None = 8192 * MIB
    checkpoints: int = 32
    learned: Mapping[str, int] = field(default_factory=dict)


class Model:
    """A model that is planned for: its header and what it says. Reading it once serves many plans."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.hparams = hparams.read(header)
        self._tensors = weights.sort(header, self.hparams)
        self._indexes: dict[str, weights.Index] = {}
        self.costs: dict[Launch, list[int]] = {}  # of split.slot_costs, by launch

    def index(self, backend: str) -> weights.Index:
        """The tensors as a device of this backend holds them."""
        if backend not in self._indexes:
            self._indexes[backend] = weights.Index(self._tensors, self.hparams, backend)
        return self._indexes[backend]

    def weights(self, launch: Launch, placement: Placement, backends: Sequence[str]) -> weights.Weights:
        """The weights of a launch, by device."""
        indexes = [self.index(backend) for backend in backends]
        return weights.place(self.index("cpu"), indexes, self.hparams, launch, placement)


@dataclass(frozen=True)
class _Parts:
    """Bytes of one model by device number."""

    hp: Hparams
    ctx: Context
    placement: Placement
    weights: weights.Weights
    kv: Mapping[int, int]
    state: Mapping[int, int]
    compute: Compute


def _parts(model: Model, launch: Launch, backends: tuple[str, ...]) -> _Parts:
    hp = model.hparams
    check(hp, launch)
    cache.check_types(hp, launch)
    ctx = context(hp, launch)
    placement = layers.place(hp, launch, len(backends))
    return _Parts(
        hp=hp,
        ctx=ctx,
        placement=placement,
        weights=model.weights(launch, placement, backends),
        kv=cache.sizes(hp, launch, ctx, placement),
        state=cache.recurrent_sizes(hp, launch, ctx, placement),
        compute=compute.sizes(hp, launch, ctx, placement, _fetches(launch, backends)),
    )


def _fetches(launch: Launch, backends: Sequence[str]) -> bool:
    """Whether a device fetches weights of the host and computes with them: ggml_backend_sched_backend_id_from_cur,
    ggml/src/ggml-backend.cpp.
    """
    return launch.op_offload and any(backend in _STAGED for backend in backends)


def headroom(total: int) -> int:
    """Bytes that are kept free on a device of this size, of an architecture that was measured."""
    return max(_HEADROOM, total // _HEADROOM_SHARE)


def assemble(model: Model, launch: Launch, devices: Sequence[Device], extras: Extras | None = None) -> Table:
    """The table of a launch on these devices, in the order in which they are given to llama-server.

    :raises InvalidInput: llama.cpp would refuse the launch.
    :raises Untrusted: the header contradicts itself.
    """
    extras = extras or Extras()
    backends = tuple(device.backend for device in devices)
    parts = _parts(model, launch, backends)
    draft = _draft(model, launch, parts, extras, backends)
    rows = tuple(
        Row(device, filled(_cells(number, device, launch, parts, draft, extras)))
        for number, device in enumerate(devices)
    )
    notes = _notes(parts, launch, backends)
    if extras.cache_ram is None:
        notes += ("The prompt cache has no limit and is not counted. Set cache_ram.",)
    confidence = "low" if parts.hp.traits.exotic or not parts.compute.measured else "high"
    return Table(rows, filled(_host(launch, parts, draft, extras, backends)), confidence, notes)


def _cells(
    number: int, device: Device, launch: Launch, parts: _Parts, draft: Mapping[int, int], extras: Extras
) -> dict[str, Cell]:
    count = len(parts.placement.on(number))
    output = " and the output" if parts.placement.output == number else ""
    placed = f"{count} of {len(parts.hp.layers)} layers{output}"
    first = number == 0
    used = bool(count or output or draft[number])
    cuda = device.backend in kernels.BACKENDS
    computed, kept = parts.compute.bytes[number], parts.kv[number]
    entering = None
    if cuda and used:
        entering = compute.entering(parts.hp, launch, parts.ctx, parts.placement, compute.batch(parts.ctx), number)
        computed = kernels.working(parts.hp, launch, parts.ctx, computed, entering)
        kept += kernels.padding(parts.hp, launch, parts.placement.on(number) if launch.kv_offload else ())
    spare = headroom(device.total) + (0 if parts.compute.measured else computed // 4)
    kind = BOUND if parts.compute.bound or (cuda and kernels.bound(parts.hp, launch)) else MODEL
    cells = {
        "weights": Cell(parts.weights.bytes[number], EXACT, placed),
        "kv_cache": Cell(kept, _kind(parts), f"{parts.ctx.cells} cells x {parts.ctx.streams} streams"),
        "recurrent_state": Cell(
            parts.state[number], _kind(parts), f"{parts.ctx.sequences} sequences x {parts.ctx.copies} copies"
        ),
        "compute": Cell(computed, kind, f"a batch of {parts.ctx.ubatch} tokens"),
        "mmproj": Cell(extras.mmproj * 3 // 2 if first else 0, BOUND, "the projector's file and its graph"),
        "draft": Cell(draft[number], MODEL, "the draft's weights, cache and graph"),
        "staging": Cell(
            _staged(launch, parts, computed, entering)
            if first and launch.op_offload and device.backend in _STAGED
            else 0,
            BOUND,
            "weights and caches of the host, fetched for large batches",
        ),
    }
    if used:
        cells["driver_context"] = _driver(device, launch, parts, extras)
        cells["headroom"] = Cell(spare, BOUND, "kept free")
    return cells


def _driver(device: Device, launch: Launch, parts: _Parts, extras: Extras) -> Cell:
    """What a process has on a device before it works, as learned or as a bound, and what kernels allocate later."""
    learned = extras.learned.get(device.id)
    grows = kernels.growth(parts.hp, launch, parts.ctx) if device.backend in kernels.BACKENDS else 0
    if learned is not None:
        return Cell(learned + grows, LEARNED, "the driver's own, seen on this device, and what its kernels allocate")
    own = _DRIVER_CONTEXT.get(device.backend, 600 * MIB)
    return Cell(own + grows, BOUND, "the driver's own for one process, and what its kernels allocate")


def _staged(launch: Launch, parts: _Parts, computed: int, entering: int | None) -> int:
    on_host = parts.placement.on(HOST) if launch.kv_offload else range(len(parts.hp.layers))
    largest, measured = parts.weights.largest_host, parts.compute.measured
    return kernels.staged(parts.hp, launch, parts.ctx, largest, on_host, measured, computed, entering)


def _kind(parts: _Parts) -> str:
    return MODEL if parts.hp.traits.exotic else EXACT


def _draft(model: Model, launch: Launch, parts: _Parts, extras: Extras, backends: tuple[str, ...]) -> dict[int, int]:
    """Bytes by device number of what drafts ahead: a model of its own, or the MTP layers' cache and graph.

    Follows the second context of tools/server/server-context.cpp and common/speculative.cpp.
    """
    found = dict.fromkeys(range(HOST, len(backends)), 0)
    key, value = extras.draft_types
    drafting = replace(launch, cache_type_k=key, cache_type_v=value, n_outputs_max=parts.ctx.sequences, draft_max=0)
    if extras.draft is not None:
        draft = Model(extras.draft)
        shares = launch.tensor_split if len(launch.tensor_split) == len(backends) else (1,) * len(backends)
        other = _parts(
            draft,
            replace(drafting, n_cpu_moe=0, gpu_layers=-1, tensor_split=shares, ctx_size=parts.ctx.tokens),
            backends,
        )
        for device in found:
            found[device] += other.weights.bytes[device] + other.kv[device] + other.state[device]
            found[device] += other.compute.bytes[device]
    elif launch.own_draft and model.hparams.nextn:
        last = parts.placement.layers[-1]
        for device, size in cache.sizes(parts.hp, drafting, parts.ctx, parts.placement, mtp=True).items():
            found[device] += size
        found[last] += compute.sizes(parts.hp, drafting, parts.ctx, parts.placement).bytes[last]
    return found


def _host(
    launch: Launch, parts: _Parts, draft: Mapping[int, int], extras: Extras, backends: tuple[str, ...]
) -> dict[str, Cell]:
    """The host's share; llama_context::output_reserve (src/llama-context.cpp) for the output."""
    hp, ctx = parts.hp, parts.ctx
    on_host = parts.weights.bytes[HOST]
    repack = sum(1 for backend in backends if backend in _STAGED) == 0
    rows = max(ctx.sequences, min(launch.n_outputs_max or ctx.batch, ctx.batch))
    state = 4 * (hp.r_width + hp.s_width) * sum(layer.recurrent for layer in hp.layers)
    window = replace(ctx, sliding_cells=min(ctx.sliding_cells, hp.window), streams=1)
    sliding = sum(
        cache.layer_bytes(hp, launch, window, layer, 0) for layer in hp.layers if layer.sliding and layer.caches
    )
    return {
        "mapped_weights": Cell(on_host, EXACT, "read through the page cache"),
        "repacked_weights": Cell(
            on_host if repack and parts.weights.largest_host else 0, BOUND, "copies laid out for the processor"
        ),
        "kv_cache": Cell(parts.kv[HOST], _kind(parts), "of layers on the host"),
        "recurrent_state": Cell(parts.state[HOST], _kind(parts), "of layers on the host"),
        "compute": Cell(parts.compute.bytes[HOST], MODEL, "inputs, and the graph of what the processor computes"),
        "output": Cell(
            4 * (hp.vocabulary + (hp.width if launch.embeddings else 0)) * rows, EXACT, f"{rows} rows of logits"
        ),
        "draft": Cell(draft[HOST], MODEL, "the draft's share"),
        "vocabulary": Cell(hp.vocabulary * _VOCABULARY, BOUND, "the tokenizer"),
        "prompt_cache": Cell(extras.cache_ram or 0, BOUND, "prompts kept for reuse"),
        "checkpoints": Cell(
            (state + sliding) * extras.checkpoints * ctx.sequences, BOUND, "states kept to go back to, for every slot"
        ),
        "lazy_weights": Cell(parts.weights.lazy, BOUND, "read from disk row by row"),
    }


def _notes(parts: _Parts, launch: Launch, backends: Sequence[str]) -> tuple[str, ...]:
    notes = []
    if parts.hp.traits.exotic:
        notes.append(f"The cache of the architecture {parts.hp.architecture} has parts that are not modelled.")
    if not parts.compute.measured:
        notes.append(
            f"The architecture {parts.hp.architecture!r} is not known: its weights are exact, the rest follows general "
            "rules. Ask for exact, or leave room."
        )
    if launch.flash_attn and set(kernels.BACKENDS) & set(backends) and not kernels.attends(parts.hp):
        notes.append(
            "These GPUs have no flash attention for heads of this width: the processor computes it. Set it off."
        )
    if compute.pipelined(parts.hp, launch, parts.placement):
        notes.append("Batches are pipelined over the devices, which keeps four copies of every input.")
    return tuple(notes)
