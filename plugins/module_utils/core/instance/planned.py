# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an instance to a plan that stands: asked once, kept in the unit, made again only when what was asked changes.

What is free at the moment, and what was learned of a driver, decide about a new plan and never about one that stands.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..build.builds import Build
from ..build.capabilities import Capabilities
from ..errors import LlamaOpsError
from ..memory import answer, choose
from ..sizes import human
from . import candidates, naming, served
from .definition import DEFAULT_CTX_SIZE, Instance
from .placement import Place
from .record import Record, visible
from .room import Room
from .served import Served
from .values import AUTO

SCHEMA = 1
PLANNED = ("server", "embedding", "rerank", "transformers")  # kinds that serve one model
UNSIZED = "unknown"  # the confidence of a plan without numbers
# field of an instance -> the rung that `auto` allows
_RUNGS = {"n_cpu_moe": choose.CPU_MOE, "ctx_size": choose.CTX, "gpu_layers": choose.PARTIAL}
RESOLVED = (
    *("ctx_size", "parallel", "cache_type_k", "cache_type_v"),
    *("gpu_layers", "tensor_split", "split_mode", "n_cpu_moe"),
)
_GRAIN = 256 << 20  # bytes: totals that differ by less are the same device; drivers and kernels keep a little


class DoesNotFit(LlamaOpsError):
    """A launch takes more than is left for it."""


@dataclass(frozen=True)
class Question:
    """What a plan is asked for.

    :param options: those that decide about memory, as `memory.answer` takes them; what is left out is for the plan.
    :param devices: those that may be used; `exactly`: how many must be, 0 for as few as it takes.
    :param inputs: hash of all that the answer may depend on, but for what is free.
    """

    instance: Instance
    build: Build
    files: Served
    options: Mapping[str, Any]
    allow: tuple[str, ...]
    devices: tuple[Mapping[str, Any], ...]
    exactly: int
    inputs: str

    @property
    def beside(self) -> tuple[int, int]:
        """Bytes of the projector's file and of adapters."""
        mmproj = os.path.getsize(self.files.mmproj) if self.files.mmproj else 0
        return mmproj, sum(os.path.getsize(item.file) for item in self.files.lora)


def ask(instance: Instance, build: Build, files: Served, room: Room) -> Question:
    """The question of an instance; no header is read.

    :raises InvalidInput: a device is asked for that is not there.
    """
    backend = str(build.manifest["recipe"]["backend"])
    needs_none = instance.devices is not None and instance.devices.none
    known = [] if needs_none else room.devices(backend)
    devices, exactly = candidates.choose(instance, build, backend, known)
    if instance.split_mode == "none" and devices:  # then all lies on one, the one that main_gpu numbers
        first = instance.main_gpu
        devices, exactly = (devices if first is None else devices[first : first + 1]), 1
    options, allow = _options(instance, build, files)
    identity = [
        [item["id"], item["backend"], item.get("name"), round((item["total"] or 0) / _GRAIN)] for item in devices
    ]
    asked = [SCHEMA, instance.kind, build.id, files.content, options, allow, instance.plan.ctx_floor, exactly, identity]
    asked += [round(room.host_total / (4 * _GRAIN)), [item.file for item in files.lora], instance.main_gpu]
    return Question(
        instance, build, files, options, allow, tuple(devices), exactly, served.digest([*asked, instance.plan.exact])
    )


def parts(instance: Instance) -> list[tuple[str, Instance]]:
    """What has a plan of its own, by name: an instance, or each model of a router."""
    if instance.kind != "router":
        return [(instance.name, instance)] if instance.kind in PLANNED else []
    return [
        (item.name, replace(item, name=naming.of_router(instance.name, item.name), state=instance.state))
        for item in instance.models
    ]


def standing(question: Question, said: Mapping[str, str], alive: bool) -> Record | None:
    """The plan in a unit, when it answers the same question.

    :param said: what the unit says of it.
    :param alive: it runs, or is to run after a reboot; what stands still is planned
        anew before it starts, for others may have its room by now.
    """
    record = Record.of(said)
    if record is None or record.inputs != question.inputs:
        return None
    wanted = question.instance.wanted
    if wanted and (not alive or (record.forced and not question.instance.plan.force)):
        return None
    return record


def resolved(instance: Instance, build: Build, record: Record) -> Instance:
    """The instance with a number in place of everything that the plan decided.

    What no field of an instance stands for goes to its options, unless they say it already.
    """
    said = record.options
    fields = {name: said[name] for name in RESOLVED if name in said}
    fields["n_cpu_moe"] = said.get("n_cpu_moe") or None
    if "tensor_split" in fields:
        fields["tensor_split"] = tuple(fields["tensor_split"]) if len(record.devices) > 1 else None
    if not record.devices:
        fields["split_mode"] = None
    if len(record.devices) < 2:
        fields["main_gpu"] = None
    known = Capabilities(build.capabilities())
    given = {_flag(known, key) for key in instance.options}
    more = {key: said[key] for key in ("batch_size", "ubatch_size", "flash_attn", "kv_unified") if key in said}
    extra = {key: value for key, value in more.items() if _flag(known, key) not in given}
    if extra.get("kv_unified") is not True:
        extra.pop("kv_unified", None)
    limit = instance.memory_max if instance.memory_max is not None else record.ceiling
    return replace(instance, **fields, cpu_moe=False, options={**extra, **instance.options}, memory_max=limit)


def place(record: Record) -> Place:
    """The devices of a plan as the build calls them, and the variables that make these names mean them."""
    return Place(tuple(str(row["flag"]) for row in record.devices), visible(record.devices))


def _options(instance: Instance, build: Build, files: Served) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the plan is asked, and the rungs that it may use: those allowed, and those that `auto` asks for."""
    allow = set(instance.plan.allow)
    found: dict[str, Any] = {}
    for name in RESOLVED:
        value = getattr(instance, name)
        if value == AUTO:
            allow |= {_RUNGS[name]} if name in _RUNGS else set()
        elif value is not None:
            found[name] = _shares(value) if isinstance(value, tuple) else value
    if AUTO in (instance.cache_type_k, instance.cache_type_v):
        allow.add(choose.CACHE_TYPE)
    if instance.cpu_moe:
        found["cpu_moe"] = True
    if instance.kind in ("embedding", "rerank"):
        found["embeddings"] = True
    known = Capabilities(build.capabilities())
    for key, value in instance.options.items():
        option = known.find(key)
        planned = _planned_name(option[0].names) if option and value is not None else None
        if option and planned:
            found[planned] = value if option[1] or not isinstance(value, bool) else not value
    if instance.spec:
        found["spec_type"] = ",".join(instance.spec.types)
        tuning = {key.replace("-", "_"): value for key, value in instance.spec.tuning.items()}
        found.update({key: value for key, value in tuning.items() if key in answer.OPTIONS})
    return found, tuple(rung for rung in choose.RUNGS if rung in allow)


def _shares(split: Sequence[float]) -> list[int]:
    """Shares of the layers as whole numbers, in thousandths where they were fractions."""
    scale = 1 if all(float(part).is_integer() for part in split) else 1000
    return [round(part * scale) for part in split]


def _planned_name(names: Sequence[str]) -> str | None:
    """The name that a plan has for an option, by any of its long flags."""
    words = [name.lstrip("-").replace("-", "_") for name in names if name.startswith("--")]
    return next((word for word in words if word in answer.OPTIONS), None)


def _flag(known: Capabilities, key: str) -> str:
    found = known.find(key)
    return found[0].name if found else key


def default_context(trained: int) -> int:
    """The context in tokens where none is asked for."""
    return min(DEFAULT_CTX_SIZE, trained) if trained else DEFAULT_CTX_SIZE


def summary(record: Record) -> str:
    """A plan in one line: what it takes where."""
    parts = [f"{human(record.on(row['id']))} on {row['id']}" for row in record.devices]
    return ", ".join([*parts, f"{human(record.needed)} on the host"])


def unsized(question: Question, devices: Sequence[Mapping[str, Any]]) -> Record:
    """What only the build can size: placed on all devices, with the numbers as given."""
    instance = question.instance
    kept = ("id", "name", "vendor", "backend", "total")
    names = [
        {**{key: item.get(key) or "" for key in kept}, "components": {}, **shown}
        for item, shown in zip(devices, candidates.ordered(devices))
    ]
    numbers = {key: value for key, value in question.options.items() if value != AUTO and key in RESOLVED}
    return Record(question.inputs, numbers, tuple(names), {"components": {}, "needed": 0, "ceiling": None},
                  f"split_mode {instance.split_mode}", UNSIZED)  # fmt: skip
