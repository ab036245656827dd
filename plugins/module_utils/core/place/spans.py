# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replica over several hosts: one head, and workers that lend it the memory of whole GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..memory.choose import RPC
from .hosts import Host
from .needs import Need, Needs
from .search import Fleet, admits, suits
from .wanted import Wanted

_HOSTS = 8  # at most; every further one adds a hop to every token
_PORT = 50052  # upstream's default of ggml-rpc-server; further workers of a host count up


@dataclass(frozen=True)
class Worker:
    """One GPU of another host, lent to one head."""

    host: str
    name: str
    device: str
    port: int
    bytes: int

    def document(self) -> dict[str, Any]:
        return {"host": self.host, "worker": self.name, "device": self.device, "port": self.port, "bytes": self.bytes}


@dataclass(frozen=True)
class Span:
    """GPUs of the head by number and bytes, and those of helpers `(host, GPU, bytes)` in the order of the launch."""

    head: Host
    local: tuple[tuple[int, int], ...]
    remote: tuple[tuple[Host, int, int], ...]
    need: Need

    @property
    def why(self) -> str:
        helpers = sorted({host.name for host, _slot, _size in self.remote})
        return f"{self.need.rung}: no single host has room; {len(self.remote)} workers on {', '.join(helpers)}"


def best(wanted: Wanted, name: str, fleet: Fleet, needs: Needs) -> Span | None:
    """The fewest hosts of one zone that have room together; the head is the one with the most memory."""
    zones: dict[str, list[Host]] = {}
    for host in fleet.hosts:
        if not wanted.hosts or host.labels.intersection(wanted.hosts):
            zones.setdefault(host.zone, []).append(host)
    found = [span for zone in sorted(zones) if (span := _of_zone(wanted, name, zones[zone], needs)) is not None]
    return min(found, key=lambda span: (len({host.name for host, *_rest in span.remote}), span.head.name), default=None)


def _of_zone(wanted: Wanted, name: str, hosts: Sequence[Host], needs: Needs) -> Span | None:
    ranked = sorted(hosts, key=lambda host: (-_room(wanted, host), host.name))
    ranked = [host for host in ranked if _room(wanted, host)]
    for head in ranked[:1]:
        helpers = [host for host in ranked if host is not head][: _HOSTS - 1]
        remote = [(host, slot) for host in helpers for slot, item in enumerate(host.gpus) if _lends(wanted, host, slot)]
        devices = [
            (f"{host.name}/{host.gpus[slot].id}", "rpc", host.gpus[slot].total, host.gpus[slot].room)
            for host, slot in remote
        ]
        devices += [
            (item.id, item.backend, item.total, item.room)
            for item in head.gpus
            if suits(wanted, item) and item.room > 0 and not item.part
        ]
        need = needs.on(replace(wanted, count=0), devices, (*wanted.allow, RPC))
        if need.fits and need.rung == RPC and not admits(wanted, name, head, need, needs.source(wanted).size):
            return _span(head, remote, need)
    return None


def _span(head: Host, remote: Sequence[tuple[Host, int]], need: Need) -> Span:
    by_id = {f"{host.name}/{host.gpus[slot].id}": (host, slot) for host, slot in remote}
    slots = {item.id: slot for slot, item in enumerate(head.gpus)}
    lent = tuple((*by_id[name], size) for name, size in zip(need.ids, need.sizes) if name in by_id)
    own = tuple((slots[name], size) for name, size in zip(need.ids, need.sizes) if name not in by_id)
    return Span(head, own, lent, need)


def _lends(wanted: Wanted, host: Host, slot: int) -> bool:
    """A worker has a GPU to itself."""
    item = host.gpus[slot]
    return suits(wanted, item) and item.empty and item.room > 0 and not item.part


def _room(wanted: Wanted, host: Host) -> int:
    return sum(item.room for slot, item in enumerate(host.gpus) if _lends(wanted, host, slot))


def take(fleet: Fleet, name: str, span: Span) -> tuple[Worker, ...]:
    """Take the GPUs of the helpers; nobody else gets them."""
    found = []
    for number, (host, slot, size) in enumerate(span.remote):
        port = next(port for port in range(_PORT, 65536) if port not in host.ports)
        host.ports.add(port)
        fleet.take(host, [slot], [size], True)
        found.append(Worker(host.name, f"{name[:34]}-w{number}", host.gpus[slot].id, port, size))
    return tuple(found)


def broken(fleet: Fleet, recorded: Iterable[Mapping[str, Any]]) -> str:
    """Why workers that stand cannot stay; empty where they can."""
    for item in recorded:
        index = fleet.number.get(item["host"])
        found = [gpu for gpu in fleet.hosts[index].gpus if gpu.id == item["device"]] if index is not None else []
        if not found:
            return f"the worker {item['worker']} on {item['host']} has lost its GPU"
        if found[0].closed or found[0].users:
            return f"the worker {item['worker']} on {item['host']} has its GPU no longer to itself"
    return ""


def reserve(fleet: Fleet, recorded: Iterable[Mapping[str, Any]]) -> tuple[Worker, ...]:
    """Take the GPUs of workers that stand already."""
    found = []
    for item in recorded:
        worker = Worker(item["host"], item["worker"], item["device"], item["port"], item["bytes"])
        host = fleet.hosts[fleet.number[worker.host]]
        slot = next(slot for slot, gpu in enumerate(host.gpus) if gpu.id == worker.device)
        host.ports.add(worker.port)
        fleet.take(host, [slot], [worker.bytes], True)
        found.append(worker)
    return tuple(found)
