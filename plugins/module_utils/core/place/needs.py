# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a replica needs of GPUs, by the memory model; every question is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InvalidInput
from ..gguf import Header
from ..memory import answer, choose
from ..memory.choose import Choice, Wish
from ..memory.launch import Launch
from ..memory.plan import Extras, Model, headroom
from ..memory.table import Device
from .wanted import Wanted

_ENDLESS = 1 << 48  # bytes of a GPU on which everything fits
_CHANGES = ("ctx_size", "ubatch_size", "cache_type_k", "cache_type_v", "n_cpu_moe", "gpu_layers")


@dataclass(frozen=True)
class Source:
    """The header of a model as far as memory depends on it; bytes of its projector, its draft, and of all its files."""

    header: Header
    mmproj: int = 0
    draft: Header | None = None
    size: int = 0


@dataclass(frozen=True)
class Need:
    """Bytes of each device in the order of the launch, of which `spare` may be lacking where something runs already.

    `short` is what is missing where it does not fit; `ids` are the devices, where they were named; `changed` are
    the options that the plan set to fit.
    """

    fits: bool
    rung: str
    sizes: tuple[int, ...]
    spare: tuple[int, ...]
    ram: int
    short: int
    ids: tuple[str, ...]
    changed: tuple[tuple[str, Any], ...]
    split: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.sizes)


class Needs:
    """Answers by the memory model for the models of these sources."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._models: dict[str, Model] = {}
        self._asked: dict[str, tuple[Model, Launch, Wish, Extras]] = {}
        self._known: dict[Any, Need] = {}
        self.computed = 0

    def source(self, wanted: Wanted) -> Source:
        """:raises InvalidInput: the header of its model was not found."""
        if wanted.key not in self._sources:
            raise InvalidInput(
                f"llama_fleet: the model {wanted.key!r} of {wanted.name} was found neither here nor on a host.",
                "Name a reference of the hub, a set of llama_models, or a path that this or one of the hosts has.",
            )
        return self._sources[wanted.key]

    def alike(self, wanted: Wanted, backend: str, total: int, most: int) -> Need:
        """On as few empty GPUs of one size as it fits on, or exactly as many as were asked for."""
        key = (wanted.planned, backend, total, most)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._alike(wanted, backend, total, most)
        return found

    def _alike(self, wanted: Wanted, backend: str, total: int, most: int) -> Need:
        """One plan on a GPU without end serves every size: besides what it keeps free, nothing depends on the size."""
        endless = self._need(wanted, (("gpu0", backend, _ENDLESS, _ENDLESS),), (), 1)
        size = endless.sizes[0] - headroom(_ENDLESS) + headroom(total)
        one = replace(endless, sizes=(size,), spare=(endless.spare[0] - headroom(_ENDLESS) + headroom(total),))
        if wanted.count <= 1 and size <= total:
            return one
        need = replace(one, fits=False, short=max(size - total, 1))
        counts = [wanted.count] if wanted.count else range(max(2, -(-size // total)), most + 1)
        for count in counts:
            devices = tuple((f"gpu{number}", backend, total, total) for number in range(count))
            need = self._need(wanted, devices, (), count)
            if need.fits:
                break
        return need

    def on(self, wanted: Wanted, devices: Sequence[tuple[str, str, int, int]], rungs: Sequence[str] = ()) -> Need:
        """On these devices `(id, backend, total, room)`, by these rungs of the ladder."""
        return self._need(wanted, tuple(devices), tuple(rungs), wanted.count)

    def _need(
        self, wanted: Wanted, devices: tuple[tuple[str, str, int, int], ...], rungs: tuple[str, ...], count: int
    ) -> Need:
        """:param count: exactly so many of the devices; 0 for as few as it fits on."""
        key = (wanted.planned, devices, rungs, count)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._compute(wanted, devices, rungs, count)
        return found

    def _compute(self, wanted: Wanted, devices: Sequence[Any], rungs: tuple[str, ...], count: int) -> Need:
        self.computed += 1
        if wanted.planned not in self._asked:
            self._asked[wanted.planned] = self._question(wanted)
        model, launch, wish, extras = self._asked[wanted.planned]
        listed = [Device(name, backend, total, room) for name, backend, total, room in devices]
        wish = replace(wish, allow=frozenset(rungs), devices=count or wish.devices)
        return _of(choose.choose(model, launch, listed, wish, extras), launch)

    def _question(self, wanted: Wanted) -> tuple[Model, Launch, Wish, Extras]:
        source = self.source(wanted)
        if wanted.key not in self._models:
            self._models[wanted.key] = Model(source.header)
        model, options = self._models[wanted.key], dict(wanted.options)
        if wanted.default_ctx and model.hparams.context:
            options["ctx_size"] = min(options["ctx_size"], model.hparams.context)
        launch = answer.launch(model, options, source.draft is not None)
        wish = answer.wish(options, (), wanted.ctx_floor)
        return model, launch, wish, answer.extras(options, source.mmproj, source.draft)


def _of(choice: Choice, asked: Launch) -> Need:
    rows = choice.table.rows
    host = choice.table.host_document()
    changed = tuple(
        (name, getattr(choice.launch, name))
        for name in _CHANGES
        if getattr(choice.launch, name) != getattr(asked, name)
        and not (name == "gpu_layers" and asked.gpu_layers < 0 and choice.rung != choose.PARTIAL)
    )
    return Need(
        fits=choice.fits,
        rung=choice.rung,
        sizes=tuple(row.sum for row in rows),
        spare=tuple(row.components["headroom"].bytes if "headroom" in row.components else 0 for row in rows),
        ram=int(host["resident"]),
        short=choice.table.short,
        ids=tuple(device.id for device in choice.devices),
        changed=changed,
        split=choice.launch.tensor_split if len(rows) > 1 else (),
    )
