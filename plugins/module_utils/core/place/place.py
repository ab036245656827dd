# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing a whole fleet: what stands stays, the rest goes where it fits best, the hardest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput
from . import search, spans
from .hosts import Host
from .needs import Needs
from .refusals import Refusal, refuse
from .search import Fleet, Spot
from .wanted import Wanted

_TOLERANCE, _TOLERANCE_SHARE = 512 << 20, 50  # what may be lacking where something stands already

_HELPED = 16  # entries without a place for which the change that would help is computed


@dataclass(frozen=True)
class Bound:
    """A replica and its place. `entry` is the instance to run; `workers` are GPUs of other hosts that help it."""

    wanted: Wanted
    number: int
    host: str
    entry: Mapping[str, Any]
    sizes: Mapping[str, int]
    ram: int
    rung: str
    why: str
    kept: bool = False
    moved: str = ""
    workers: tuple[spans.Worker, ...] = ()
    disk: int = 0

    @property
    def name(self) -> str:
        return self.wanted.replica(self.number)


@dataclass
class Placement:
    """What came out. `moves` are sentences about replicas that stood elsewhere or stand no more."""

    bound: list[Bound] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)


def place(
    wanted: Sequence[Wanted], hosts: Iterable[Host], placed: Mapping[str, Mapping[str, Any]], needs: Needs
) -> Placement:
    """A place for every replica that has one.

    :param placed: by host and instance, what stands, as `written` wrote it.
    :raises InvalidInput: what stands cannot be read, or a model was not found.
    """
    fleet, found = Fleet(hosts), Placement()
    gone, again = _settle(wanted, fleet, placed, found)
    _replan(again, fleet, needs, found, gone)
    standing = {bound.name for bound in found.bound}
    missing = [
        (entry, number)
        for entry in wanted
        for number in range(1, entry.replicas + 1)
        if entry.replica(number) not in standing
    ]
    order = {
        entry.name: _hardness(entry, fleet, needs)
        for entry in {entry.name: entry for entry, _number in missing}.values()
    }
    missing.sort(key=lambda item: (order[item[0].name], item[1]))
    refused: dict[str, list[str]] = {}
    for entry, number in missing:
        name = entry.replica(number)
        spot = None if entry.name in refused else search.best(entry, name, fleet, needs)
        if spot is not None:
            found.bound.append(_bind(entry, number, spot, fleet, needs, moved=gone.get(name, "")))
            continue
        span = spans.best(entry, name, fleet, needs) if entry.span and entry.name not in refused else None
        if span is not None:
            found.bound.append(_bind_span(entry, number, span, fleet, needs, moved=gone.get(name, "")))
        else:
            refused.setdefault(entry.name, []).append(name)
    for entry in wanted:
        if entry.name in refused:
            helped = len(found.refusals) < _HELPED
            found.refusals.append(refuse(entry, refused[entry.name], fleet, needs, helped))
    _tell_moves(found, gone)
    found.bound.sort(key=lambda bound: (bound.host, bound.name))
    return found


def _hardness(entry: Wanted, fleet: Fleet, needs: Needs) -> tuple[Any, ...]:
    """Priority first, then what needs the most GPUs, then the most bytes."""
    wants = [needs.alike(entry, kind[0], kind[1], fleet.most[kind]) for kind in fleet.classes()]
    fitting = [need for need in wants if need.fits]
    count = min((need.count for need in fitting), default=1 << 20)
    size = min((sum(need.sizes) for need in fitting), default=1 << 60)
    return -entry.priority, -count, -size, entry.name


def unsettled(wanted: Sequence[Wanted], hosts: Iterable[Host], placed: Mapping[str, Mapping[str, Any]]) -> list[Wanted]:
    """The entries of which a replica must be planned; nobody needs the models of the others."""
    found = Placement()
    _settle(wanted, Fleet(hosts), placed, found)
    standing = {bound.name for bound in found.bound}
    return [
        entry
        for entry in wanted
        if any(entry.replica(number) not in standing for number in range(1, entry.replicas + 1))
    ]


_Again = tuple[Host, str, Wanted, Mapping[str, Any], "list[int]"]


def _settle(
    wanted: Sequence[Wanted], fleet: Fleet, placed: Mapping[str, Mapping[str, Any]], found: Placement
) -> tuple[dict[str, str], list[_Again]]:
    """Bind what stands and may stay as it is. Returns where others stood and why they cannot stay, by name, and those
    that may stay but are asked for something else now.
    """
    by_name = {entry.name: entry for entry in wanted}
    gone: dict[str, str] = {}
    again: list[_Again] = []
    for host_name in sorted(placed):
        for name in sorted(placed[host_name]):
            record = placed[host_name][name]
            entry, number = by_name.get(record["fleet"]), record["replica"]
            if entry is None or not 1 <= number <= entry.replicas or entry.replica(number) != name:
                gone[name] = f"{host_name}: no longer asked for"
                continue
            index = fleet.number.get(host_name)
            if index is None:
                gone[name] = f"{host_name}: the host is gone"
                continue
            problem, slots = _stays(entry, fleet, fleet.hosts[index], name, record)
            if problem:
                gone[name] = f"{host_name}: {problem}"
            elif record["spec"] == entry.spec:
                _rebind(entry, name, record, fleet, fleet.hosts[index], slots, found)
            else:
                again.append((fleet.hosts[index], name, entry, record, slots))
    return gone, again


def _replan(again: Sequence[_Again], fleet: Fleet, needs: Needs, found: Placement, gone: dict[str, str]) -> None:
    """Plan what is asked for now on the devices where it stands; where it does not fit, say so in `gone`."""
    for host, name, entry, record, slots in again:
        spot = search.on_slots(entry, host, slots, needs)
        for rungs in search.ladder(entry):
            spot = spot or search.on_slots(entry, host, slots, needs, rungs)
        refused = "" if spot is None else search.admits(entry, name, host, spot.need, needs.source(entry).size)
        if spot is None or refused:
            gone[name] = f"{host.name}: what is asked now does not fit there" + (f" ({refused})" if refused else "")
        else:
            found.bound.append(_bind(entry, record["replica"], spot, fleet, needs, kept=True))


def _stays(entry: Wanted, fleet: Fleet, host: Host, name: str, record: Mapping[str, Any]) -> tuple[str, list[int]]:
    """Why a standing replica cannot stay (empty: it can), and its GPUs by number."""
    numbers = {item.id: slot for slot, item in enumerate(host.gpus)}
    missing = [device for device in record["bytes"] if device not in numbers]
    if missing:
        return f"{missing[0]} is not there any more", []
    slots = [numbers[device] for device in record["bytes"]]
    if entry.hosts and not host.labels.intersection(entry.hosts):
        return "not among its hosts any more", slots
    if entry.spread and entry.name in host.entries:
        return "another replica is there, and spread is hosts", slots
    if name in host.names:
        return f"another instance is called {name}", slots
    if record["entry"] and record["entry"]["port"] in host.ports:
        return f"another instance has the port {record['entry']['port']}", slots
    for slot, size in zip(slots, record["bytes"].values()):
        item = host.gpus[slot]
        if item.closed or (entry.exclusive and not item.empty):
            return f"{item.id} is not its own any more" if entry.exclusive else f"{item.id} is exclusive now", slots
        if size > item.room + max(_TOLERANCE, item.total // _TOLERANCE_SHARE):
            return f"{item.id} has no room for it any more", slots
    return spans.broken(fleet, record["workers"]), slots


def _rebind(entry: Wanted, name: str, record: Mapping[str, Any], fleet: Fleet, host: Host, slots: Sequence[int],
            found: Placement) -> None:  # fmt: skip
    """Keep a replica as it is written."""
    _occupy(entry, name, host, int(record["entry"]["port"]), int(record["ram"]), int(record["disk"]))
    fleet.take(host, slots, list(record["bytes"].values()), entry.exclusive)
    workers = spans.reserve(fleet, record["workers"])
    found.bound.append(
        Bound(
            entry,
            record["replica"],
            host.name,
            record["entry"],
            record["bytes"],
            record["ram"],
            record["rung"],
            record["why"],
            kept=True,
            workers=workers,
            disk=record["disk"],
        )
    )


def _bind(
    entry: Wanted, number: int, spot: Spot, fleet: Fleet, needs: Needs, kept: bool = False, moved: str = ""
) -> Bound:
    """Take the place for a replica."""
    host, name = spot.host, entry.replica(number)
    port = search.free_port(entry, host)
    if port is None:
        raise InvalidInput(f"llama_fleet: {name} has no free port on {host.name}.")
    ids, disk = [host.gpus[slot].id for slot in spot.gpus], needs.source(entry).size
    _occupy(entry, name, host, port, spot.need.ram, disk)
    fleet.take(host, spot.gpus, spot.need.sizes, entry.exclusive)
    written = {**entry.entry, "port": port, "devices": ids, **dict(spot.need.changed)}
    if spot.need.split:
        written["tensor_split"] = list(spot.need.split)
    sizes = dict(zip(ids, spot.need.sizes))
    need = spot.need
    return Bound(entry, number, host.name, written, sizes, need.ram, need.rung, spot.why, kept, moved, disk=disk)


def _bind_span(entry: Wanted, number: int, span: spans.Span, fleet: Fleet, needs: Needs, moved: str = "") -> Bound:
    """Take the places of a head and its workers."""
    host, name, disk = span.head, entry.replica(number), needs.source(entry).size
    port = search.free_port(entry, host)
    if port is None:
        raise InvalidInput(f"llama_fleet: {name} has no free port on {host.name}.")
    _occupy(entry, name, host, port, span.need.ram, disk)
    fleet.take(host, [slot for slot, _size in span.local], [size for _slot, size in span.local], entry.exclusive)
    workers = spans.take(fleet, name, span)
    ids = [host.gpus[slot].id for slot, _size in span.local]
    written = {
        **entry.entry,
        "port": port,
        "devices": ids,
        "rpc": [{"host": worker.host, "worker": worker.name} for worker in workers],
        **dict(span.need.changed),
        "tensor_split": list(span.need.split),
    }
    sizes = {host.gpus[slot].id: size for slot, size in span.local}
    ram, rung = span.need.ram, span.need.rung
    return Bound(entry, number, host.name, written, sizes, ram, rung, span.why, False, moved, workers, disk)


def _occupy(entry: Wanted, name: str, host: Host, port: int, ram: int, disk: int) -> None:
    host.entries.add(entry.name)
    host.names.add(name)
    host.ports.add(port)
    host.ram -= ram
    if host.disk is not None and entry.key not in host.models and name not in host.running:
        host.disk -= disk
    host.models.add(entry.key)


def _tell_moves(found: Placement, gone: Mapping[str, str]) -> None:
    where = {bound.name: bound.host for bound in found.bound}
    for name, problem in sorted(gone.items()):
        target = f"moves to {where[name]}" if name in where else "is removed"
        found.moves.append(f"{name} {target} from {problem}.")
