# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet should serve: the site variable `llama_fleet`, checked.

An entry is an instance, as in `llama_instances`, and says besides how many of it there are and where they may stand.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from ..instance import definition, values
from ..instance.definition import DEFAULT_CTX_SIZE, Instance
from ..instance.inventory import MERGED, model_name
from ..memory import answer
from ..names import check_keys, check_name

PLACING = ("replicas", "priority", "exclusive", "spread", "hosts", "span")
HOSTS, NONE = "hosts", "none"
_FIELDS = tuple(key for key in definition.FIELDS if key not in ("name", "rpc", "models", "tensor_split", "main_gpu"))
_ANYWHERE = "192.0.2.1"  # what bind: private means while no host is chosen
_KINDS = ("server", "embedding", "rerank")
_MOST = 1000


@dataclass(frozen=True)
class Wanted:
    """One entry. `key` names its model among the headers, `entry` is what an instance of it says.

    :param count: GPUs of each replica; 0 for as few as it fits on. :param gpu: a part of the name of its GPUs.
    :param spread: no two replicas on one host. :param hosts: hosts and groups it may stand on; empty for all.
    :param span: workers on other hosts may help where no single host has room.
    :param options: what decides about its memory, for the planner.
    """

    name: str
    key: str
    entry: Mapping[str, Any]
    options: Mapping[str, Any]
    replicas: int = 1
    priority: int = 0
    exclusive: bool = False
    spread: bool = True
    hosts: tuple[str, ...] = ()
    span: bool = False
    count: int = 0
    gpu: str = ""
    port: int = 0
    allow: tuple[str, ...] = ()
    ctx_floor: int = 4096
    default_ctx: bool = False

    def replica(self, number: int) -> str:
        """The name of the instance of one replica, counted from 1."""
        return self.name if number == 1 else f"{self.name}-{number}"

    @functools.cached_property
    def planned(self) -> str:
        """What the memory of a replica depends on, as text: equal texts have equal plans."""
        asked = [self.key, sorted(self.options.items()), self.allow, self.ctx_floor, self.count, self.default_ctx]
        return json.dumps(asked, sort_keys=True, default=str)

    @functools.cached_property
    def spec(self) -> str:
        """A short hash of what a placed replica must have been placed for to stay as it is."""
        asked = [self.planned, self.entry, self.exclusive, self.gpu, self.span]
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:12]


def read(
    fleet: Mapping[str, Any], defaults: Mapping[str, Any], models: Mapping[str, Any], known: Sequence[str]
) -> list[Wanted]:
    """The entries by name.

    :param defaults: `llama_instances_defaults`. :param models: `llama_models`.
    :param known: names of the hosts and groups there are.
    :raises InvalidInput: names the entry, the key, what was found and what is possible.
    """
    if not isinstance(fleet, Mapping):
        raise InvalidInput("llama_fleet must be a dictionary, such as {chat: {model: ..., port: 8080, replicas: 2}}.")
    found = [_entry(name, fleet[name], defaults, models, known) for name in sorted(fleet, key=str)]
    names: dict[str, str] = {}
    for wanted in found:
        for number in range(1, wanted.replicas + 1):
            replica = check_name("instance", wanted.replica(number))
            if names.setdefault(replica, wanted.name) != wanted.name:
                raise InvalidInput(
                    f"llama_fleet: replica {number} of {wanted.name!r} would be called {replica!r}, as is an entry.",
                    "Give one of them another name.",
                )
    return found


def _entry(
    name: Any, entry: Any, defaults: Mapping[str, Any], models: Mapping[str, Any], known: Sequence[str]
) -> Wanted:
    check_name("instance", name)
    where = f"llama_fleet: {name}"
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"{where} must be a dictionary, such as {{model: ..., port: 8080, replicas: 2}}.")
    check_keys(where, entry, (*PLACING, *_FIELDS))
    own = {key: value for key, value in entry.items() if key not in PLACING and value is not None}
    instance = definition.read({**_inherited(defaults, own), "name": name}, _ANYWHERE)
    _check(where, instance)
    devices, span = instance.devices, values.switch(where, "span", entry.get("span", False))
    if span and devices and devices.count:
        raise InvalidInput(f"{where} wants so many GPUs of one host, and span.", "Leave devices.count or span out.")
    return Wanted(
        name=name,
        key=model_name(own.get("model", defaults.get("model")), models),
        entry={key: value for key, value in own.items() if key not in ("devices", "plan")},
        options=_options(instance),
        replicas=values.number(where, "replicas", entry.get("replicas", 1), 0, _MOST),
        priority=values.number(where, "priority", entry.get("priority", 0), -1000, 1000),
        exclusive=values.switch(where, "exclusive", entry.get("exclusive", False)),
        spread=values.choice(where, "spread", entry.get("spread", HOSTS), (HOSTS, NONE)) == HOSTS,
        hosts=_hosts(where, entry.get("hosts", ()), known),
        span=span,
        count=devices.count if devices else 0,
        gpu=devices.name if devices else "",
        port=instance.port,
        allow=instance.plan.allow,
        ctx_floor=instance.plan.ctx_floor,
        default_ctx=not isinstance(instance.ctx_size, int),
    )


def _inherited(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with the defaults, as the role applies them: some dictionaries are merged key by key."""
    merged = {key: {**defaults[key], **own[key]} for key in MERGED if defaults.get(key) and own.get(key)}
    return {**defaults, **own, **merged}


def _check(where: str, instance: Instance) -> None:
    """:raises InvalidInput: the instance is of a kind, or says something, that cannot be placed."""
    if instance.kind not in _KINDS:
        raise InvalidInput(
            f"{where} is of the kind {instance.kind}, which cannot be placed.", "Put it in llama_instances."
        )
    if instance.devices is not None and (instance.devices.ids or instance.devices.none):
        raise InvalidInput(
            f"{where} names its devices itself.",
            "Leave devices out, or give {count: 2, name: H200}; else use llama_instances.",
        )
    if instance.state == "absent":
        raise InvalidInput(f"{where} is to be absent.", "Leave it out, or give replicas: 0.")
    if instance.socket:
        raise InvalidInput(f"{where} binds to a socket, which other hosts do not reach.", "Give it a port.")


def _hosts(where: str, value: Any, known: Sequence[str]) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else values.listed(where, "hosts", value)
    check_keys(f"{where}: hosts (hosts and groups of the inventory)", [str(item) for item in listed], known)
    return tuple(sorted({str(item) for item in listed}))


def _options(instance: Instance) -> dict[str, Any]:
    """What of an instance decides about its memory, in the words of `memory.answer`."""
    found: dict[str, Any] = {
        "ctx_size": instance.ctx_size if isinstance(instance.ctx_size, int) else DEFAULT_CTX_SIZE,
        "parallel": instance.parallel if isinstance(instance.parallel, int) else 1,
    }
    for key in ("cache_type_k", "cache_type_v", "gpu_layers", "n_cpu_moe", "split_mode"):
        value = getattr(instance, key)
        if value not in (None, values.AUTO):
            found[key] = value
    if instance.cpu_moe:
        found["cpu_moe"] = True
    if instance.kind != "server":
        found["embeddings"] = True
    if instance.spec is not None:
        found["spec_type"] = ",".join(instance.spec.types)
        if "spec-draft-n-max" in instance.spec.tuning:
            found["spec_draft_n_max"] = instance.spec.tuning["spec-draft-n-max"]
    given = {key.lstrip("-").replace("-", "_"): value for key, value in instance.options.items()}
    return {**found, **{key: value for key, value in given.items() if key in answer.OPTIONS}}
