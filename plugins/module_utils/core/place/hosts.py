# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a fleet while models are put on them. Sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput
from ..host import gpu
from ..instance.placement import DEVICE
from ..sizes import human

_GIB = 1 << 30
_HOST_SHARE, _HOST_LEAST = 20, 2 * _GIB  # kept free of a host's memory: one part of so many, and at least so much
_IDLE = _GIB  # what a driver and a desktop hold of a GPU that nobody computes on
_OURS = ("llama-server", "ggml-rpc-server")

Class = tuple[str, int, bool]  # backend, total memory, is a part of a GPU


@dataclass
class Gpu:
    """A device. `room` is what can still be planned; `users` are the replicas on it."""

    id: str
    backend: str
    name: str
    total: int
    part: bool
    numa: int | None
    single: bool  # one process only
    unified: bool  # its memory is that of the host
    foreign: int
    room: int
    users: int = 0
    closed: bool = False

    @property
    def kind(self) -> Class:
        return self.backend, self.total, self.part

    @property
    def empty(self) -> bool:
        """Whether nobody computes on it."""
        return not self.users and self.foreign <= _IDLE + self.total // 50


@dataclass
class Host:
    """A host. `ram` and `disk` are what can still be planned (None: not known), `islands` its GPUs in groups: connected
    by links of their own, on one NUMA node, on one host. `running` are replicas seen on a GPU."""

    name: str
    gpus: list[Gpu]
    ram: int
    disk: int | None
    labels: frozenset[str]
    zone: str = ""
    ports: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    entries: set[str] = field(default_factory=set)
    islands: list[list[list[int]]] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    signature: tuple[Any, ...] = ()

    @property
    def unified(self) -> bool:
        """Whether what its GPUs take is taken of its own memory."""
        return any(item.unified for item in self.gpus)

    def sign(self) -> None:
        """Hosts with equal signatures have the same room for whatever needs several GPUs."""
        self.signature = (
            tuple((item.kind, item.name, item.room, item.closed, item.empty) for item in self.gpus),
            tuple(tuple(map(tuple, level)) for level in self.islands),
        )


def read(
    name: str,
    facts: Mapping[str, Any],
    labels: Sequence[str] = (),
    others: Sequence[Mapping[str, Any]] = (),
    placed: Mapping[str, Any] | None = None,
    zone: str = "",
) -> Host:
    """A host from the facts of `gpu_facts`.

    :param labels: its groups. :param others: dictionaries of instances that are not placed by us.
    :param placed: what was placed here before, by instance, for what its processes use is not somebody else's.
    """
    devices = [device for device in gpu.usable(facts["devices"]) if healthy(device)]
    for device in devices:
        if not DEVICE.fullmatch(str(device["id"])):  # it will stand in a file that Ansible reads as a template
            raise InvalidInput(f"The host {name} reports a device whose id cannot be one: {str(device['id'])[:40]!r}.")
    gpus = [_gpu(device, placed or {}) for device in devices]
    memory = facts["host"]["memory"]["total"]
    storage = facts["host"].get("storage")
    found = Host(
        name=name,
        gpus=gpus,
        ram=memory - max(_HOST_LEAST, memory // _HOST_SHARE),
        disk=storage["free"] if storage else None,
        labels=frozenset([name, *labels]),
        zone=zone,
        ports={entry["port"] for entry in _listed(others) if isinstance(entry.get("port"), int)},
        names={instance for variable in others for instance in variable},
        islands=islands(devices, facts.get("topology") or ()),
    )
    units = {process.get("unit") for device in devices for process in device.get("processes") or ()}
    found.running = {instance for instance in placed or {} if f"llama-{instance}.service" in units}
    found.sign()
    return found


def healthy(device: Mapping[str, Any]) -> bool:
    """Whether a device may get something new: not forbidden by its mode, and able to replace damaged memory."""
    rows = device.get("remapped_rows") or {}
    return device.get("compute_mode") != "prohibited" and not rows.get("failure")


def islands(devices: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> list[list[list[int]]]:
    """Groups of device numbers, best connected first: `[by links, by NUMA node, all]`; a level may be empty."""
    whole = [number for number, device in enumerate(devices) if not device.get("parent")]
    numbers = {devices[number]["id"]: number for number in whole}
    parents = {number: number for number in whole}

    def top(number: int) -> int:
        while parents[number] != number:
            number = parents[number]
        return number

    for pair in pairs:
        one, other = (numbers.get(device) for device in pair["devices"])
        if pair.get("links") and one is not None and other is not None:
            parents[max(top(one), top(other))] = min(top(one), top(other))
    linked: dict[int, list[int]] = {}
    nodes: dict[Any, list[int]] = {}
    for number in whole:
        linked.setdefault(top(number), []).append(number)
        nodes.setdefault(devices[number].get("numa"), []).append(number)
    by_link = [group for group in linked.values() if len(group) > 1]
    by_node = [group for group in nodes.values() if len(group) > 1]
    return [by_link, by_node, [whole] if len(whole) > 1 else []]


def _gpu(device: Mapping[str, Any], placed: Mapping[str, Any]) -> Gpu:
    own, counted = 0, False
    names = {f"llama-{name}.service" for name in placed}
    for process in device.get("processes") or ():
        mine = process.get("unit") in names if process.get("unit") else process.get("command") in _OURS
        if mine and placed:
            own, counted = own + (process["used"] or 0), counted or process["used"] is not None
    planned = sum(entry["bytes"].get(device["id"], 0) for entry in placed.values())
    if not counted and device.get("processes") is None:
        own = planned  # who uses it is hidden; what we planned is not counted twice
    foreign = max((device.get("used") or 0) - own, 0)
    return Gpu(
        id=device["id"],
        backend=device["backend"],
        name=str(device.get("name") or ""),
        total=device["total"],
        part=bool(device.get("parent")),
        numa=device.get("numa"),
        unified=bool(device.get("unified")),
        single=str(device.get("compute_mode")).startswith("exclusive"),
        foreign=foreign,
        room=max(device["total"] - foreign, 0),
    )


def _listed(variables: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [entry for variable in variables for entry in variable.values() if isinstance(entry, Mapping)]


def describe(host: Host) -> str:
    """`alpha: 8 GPUs, 12.0 GiB free on the roomiest`."""
    if not host.gpus:
        return f"{host.name}: no GPU"
    return f"{host.name}: {len(host.gpus)} GPUs, {human(max(item.room for item in host.gpus))} free on the roomiest"
