# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the best place for one replica. What is better is compared key by key, never by a weighted sum, so that one
line says why: the rung of the ladder, the number of GPUs, how well they are connected, what stays free on them.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..memory.choose import RUNGS
from .hosts import Class, Gpu, Host
from .needs import Need, Needs
from .wanted import Wanted

_LINKS = ("linked GPUs", "GPUs of one NUMA node", "GPUs of one host")
_ROOMIEST = 8  # signatures of hosts that are tried with what the plan may give up, the roomiest first
_LADDER = tuple(RUNGS[2:7])  # what may be given up on one host, cheapest first


@dataclass(frozen=True)
class Spot:
    """A place: GPUs by number on their host, in the order of the launch. `level` is how they are connected."""

    host: Host
    gpus: tuple[int, ...]
    need: Need
    level: int
    left: int

    @property
    def why(self) -> str:
        """One line that says why here."""
        count = len(self.gpus)
        where = "one GPU" if count == 1 else f"{count} {_LINKS[self.level]}"
        given = ", ".join(f"{name} {value}" for name, value in self.need.changed)
        return f"{self.need.rung}: {where}, {self.left / (1 << 30):.1f} GiB left" + (f"; {given}" if given else "")


class Fleet:
    """The hosts, by name, and where there is room on them."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        self.hosts = sorted(hosts, key=lambda host: host.name)
        self.number = {host.name: index for index, host in enumerate(self.hosts)}
        self._rooms: dict[Class, list[tuple[int, int, int]]] = {}
        self._alike: dict[tuple[Any, ...], list[int]] = {}
        for index, host in enumerate(self.hosts):
            self._alike.setdefault(host.signature, []).append(index)
            for slot, item in enumerate(host.gpus):
                self._rooms.setdefault(item.kind, []).append((item.room, index, slot))
        for rooms in self._rooms.values():
            rooms.sort()
        self.most = {
            kind: 1 if kind[2] else max(sum(item.kind == kind for item in host.gpus) for host in self.hosts)
            for kind in self._rooms
        }

    def classes(self) -> list[Class]:
        return sorted(self._rooms)

    def roomy(self, kind: Class, size: int) -> Iterator[tuple[int, int, int]]:
        """`(room, host, GPU)` of the GPUs of a class with this room, the fullest first."""
        rooms = self._rooms[kind]
        for position in range(bisect.bisect_left(rooms, (size, -1, -1)), len(rooms)):
            yield rooms[position]

    def signatures(self) -> list[list[int]]:
        """Hosts in groups that are alike, each by number."""
        return [self._alike[signature] for signature in self._alike]

    def take(self, host: Host, slots: Sequence[int], sizes: Sequence[int], exclusive: bool) -> None:
        """Plan bytes of GPUs; nobody else may have an exclusive one."""
        index = self.number[host.name]
        self._leave(index, host.signature)
        for slot, size in zip(slots, sizes):
            item = host.gpus[slot]
            rooms = self._rooms[item.kind]
            rooms.pop(bisect.bisect_left(rooms, (item.room, index, slot)))
            item.room -= size
            item.users += 1
            host.ram -= size if item.unified else 0
            item.closed = item.closed or exclusive or item.single or item.part
            if item.closed:
                item.room = min(item.room, -1)
            bisect.insort(rooms, (item.room, index, slot))
        host.sign()
        bisect.insort(self._alike.setdefault(host.signature, []), index)

    def _leave(self, index: int, signature: tuple[Any, ...]) -> None:
        group = self._alike[signature]
        group.remove(index)
        if not group:
            del self._alike[signature]


def suits(wanted: Wanted, item: Gpu) -> bool:
    """Whether a GPU is of the kind that is asked for, and not closed to it."""
    return not item.closed and wanted.gpu.lower() in item.name.lower() and (item.empty or not wanted.exclusive)


def admits(wanted: Wanted, name: str, host: Host, need: Need, size: int) -> str:
    """Why a host cannot have a replica whatever its GPUs; empty where it can."""
    shut = shuts(wanted, name, host)
    if shut:
        return shut
    if need.ram + (sum(need.sizes) if host.unified else 0) > host.ram:
        return "memory of the host"
    if host.disk is not None and wanted.key not in host.models and size > host.disk:
        return "disk"
    return ""


def shuts(wanted: Wanted, name: str, host: Host) -> str:
    """Why a host is closed to a replica whatever it needs; empty where it is open."""
    if wanted.hosts and not host.labels.intersection(wanted.hosts):
        return "not among its hosts"
    if wanted.spread and wanted.name in host.entries:
        return "a replica is there, and spread is hosts"
    if name in host.names:
        return f"another instance is called {name}"
    return "none of its ports is free" if free_port(wanted, host) is None else ""


def free_port(wanted: Wanted, host: Host) -> int | None:
    """The first free port from that of the entry on; as many are tried as there are replicas."""
    last = min(wanted.port + max(wanted.replicas, 1), 65536)
    return next((port for port in range(wanted.port, last) if port not in host.ports), None)


def best(wanted: Wanted, name: str, fleet: Fleet, needs: Needs) -> Spot | None:
    """The best place for a replica: whole on as few GPUs as possible, then what the plan may give up."""
    return _whole(wanted, name, fleet, needs) or _squeezed(wanted, name, fleet, needs)


def _whole(wanted: Wanted, name: str, fleet: Fleet, needs: Needs) -> Spot | None:
    """As asked for, on the fewest GPUs; where some are partly taken, on more of them."""
    offers: dict[int, list[tuple[Class, Need]]] = {}
    for kind in fleet.classes():
        need = needs.alike(wanted, kind[0], kind[1], fleet.most[kind])
        if need.fits:
            offers.setdefault(need.count, []).append((kind, need))
    for count in sorted(offers):
        search = _single if count == 1 else _several
        spots = [search(wanted, name, fleet, needs, kind, need) for kind, need in offers[count]]
        found = [spot for spot in spots if spot is not None]
        if found:
            return min(found, key=lambda spot: (spot.level, spot.left, spot.host.name))
    if not offers:
        return None
    least = min(sum(need.sizes) - sum(need.spare) for group in offers.values() for _kind, need in group)
    return _tight(wanted, name, fleet, needs, (), least)


def _single(wanted: Wanted, name: str, fleet: Fleet, needs: Needs, kind: Class, need: Need) -> Spot | None:
    """The fullest GPU that has room."""
    size = needs.source(wanted).size
    refused: set[int] = set()
    for room, index, slot in fleet.roomy(kind, need.sizes[0]):
        host = fleet.hosts[index]
        if index in refused or not suits(wanted, host.gpus[slot]):
            continue
        if admits(wanted, name, host, need, size):
            refused.add(index)
            continue
        return Spot(host, (slot,), need, 0, room - need.sizes[0])
    return None


def _several(wanted: Wanted, name: str, fleet: Fleet, needs: Needs, kind: Class, need: Need) -> Spot | None:
    """Several GPUs of one host: connected ones first, then the fullest."""
    size = needs.source(wanted).size
    found: Spot | None = None
    for group in fleet.signatures():
        spot = _connected(wanted, fleet.hosts[group[0]], kind, need)
        if spot is None or (found is not None and (spot.level, spot.left) > (found.level, found.left)):
            continue
        index = next((number for number in group if not admits(wanted, name, fleet.hosts[number], need, size)), None)
        if index is None:
            continue
        spot = Spot(fleet.hosts[index], spot.gpus, need, spot.level, spot.left)
        if found is None or (spot.level, spot.left, index) < (found.level, found.left, fleet.number[found.host.name]):
            found = spot
    return found


def _connected(wanted: Wanted, host: Host, kind: Class, need: Need) -> Spot | None:
    """GPUs of this host for a need of several."""
    order = sorted(range(need.count), key=lambda place: (need.sizes[place], place))
    sizes = [need.sizes[place] for place in order]
    for level, islands in enumerate(host.islands):
        spots = [spot for island in islands if (spot := _window(wanted, host, island, kind, need, level, order, sizes))]
        if spots:
            return min(spots, key=lambda spot: (spot.left, spot.gpus))
    return None


def _window(wanted: Wanted, host: Host, island: Sequence[int], kind: Class, need: Need, level: int,
            order: Sequence[int], sizes: Sequence[int]) -> Spot | None:  # fmt: skip
    """The fullest GPUs of an island that have room: the smallest part goes where there is the least."""
    there = [slot for slot in island if host.gpus[slot].kind == kind and suits(wanted, host.gpus[slot])]
    there.sort(key=lambda slot: (host.gpus[slot].room, slot))
    for start in range(len(there) - len(sizes) + 1):
        slots = there[start : start + len(sizes)]
        if all(host.gpus[slot].room >= size for slot, size in zip(slots, sizes)):
            left = sum(host.gpus[slot].room for slot in slots) - sum(sizes)
            by_place = dict(zip(order, slots))
            return Spot(host, tuple(by_place[place] for place in range(need.count)), need, level, left)
    return None


def _squeezed(wanted: Wanted, name: str, fleet: Fleet, needs: Needs) -> Spot | None:
    """Rung by rung what may be given up."""
    for rungs in ladder(wanted):
        spot = _tight(wanted, name, fleet, needs, rungs)
        if spot is not None:
            return spot
    return None


def ladder(wanted: Wanted) -> Iterator[tuple[str, ...]]:
    """The allowed rungs, one more at a time."""
    allowed = tuple(rung for rung in _LADDER if rung in wanted.allow)
    for count in range(1, len(allowed) + 1):
        yield allowed[:count]


def _tight(
    wanted: Wanted, name: str, fleet: Fleet, needs: Needs, rungs: tuple[str, ...], least: int = 0
) -> Spot | None:
    """On the devices as they are, of the roomiest hosts; more room never needs a higher rung.

    :param least: bytes; with less room on all its GPUs a host need not be asked.
    """
    size = needs.source(wanted).size
    rooms = [(_room(fleet.hosts[group[0]]), group) for group in fleet.signatures()]
    ranked = sorted((-room, group[0], group) for room, group in rooms if room >= least)
    found: list[tuple[tuple[int, int, int, int], Spot]] = []
    asked = 0
    for _room_left, _first, group in ranked:
        there = [number for number in group if not shuts(wanted, name, fleet.hosts[number])]
        if not there:
            continue
        asked += 1
        spot = on_host(wanted, fleet.hosts[there[0]], needs, rungs)
        if spot is not None:
            index = next((host for host in there if not admits(wanted, name, fleet.hosts[host], spot.need, size)), None)
            if index is not None:
                spot = Spot(fleet.hosts[index], spot.gpus, spot.need, spot.level, spot.left)
                found.append(((RUNGS.index(spot.need.rung), len(spot.gpus), spot.left, index), spot))
        if asked == _ROOMIEST:
            break
    return min(found, key=lambda pair: pair[0])[1] if found else None


def on_host(wanted: Wanted, host: Host, needs: Needs, rungs: Sequence[str] = ()) -> Spot | None:
    """The plan for the GPUs of one host as they are."""
    slots = [slot for slot, item in enumerate(host.gpus) if suits(wanted, item) and item.room > 0 and not item.part]
    return on_slots(wanted, host, slots, needs, rungs)


def on_slots(wanted: Wanted, host: Host, slots: Sequence[int], needs: Needs, rungs: Sequence[str] = ()) -> Spot | None:
    """The plan for these GPUs of a host as they are; None where it does not fit."""
    if not slots or wanted.count > len(slots):
        return None
    devices = [(str(slot), host.gpus[slot].backend, host.gpus[slot].total, host.gpus[slot].room) for slot in slots]
    need = needs.on(wanted, devices, rungs)
    if not need.fits:
        return None
    gpus = tuple(int(name) for name in need.ids)
    left = sum(host.gpus[slot].room for slot in gpus) - sum(need.sizes)
    return Spot(host, gpus, need, len(host.islands) - 1 if len(gpus) > 1 else 0, left)


def _room(host: Host) -> int:
    return sum(item.room for item in host.gpus if item.room > 0)
