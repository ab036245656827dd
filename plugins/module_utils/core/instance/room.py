# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of a host for a new instance: what its devices have, less what is planned for instances that stay and
what belongs to others. What an instance that is stopped or planned anew holds now counts as free.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..files import read_text
from ..host import gpu, process
from ..host.cgroup import limits
from ..worker import known
from . import children, front, naming, presets, unit
from .record import Record
from .service import Manager

HOST = "host"
_HOST_HEADROOM = 50  # one part of so many of the host's memory stays free
# backend of a build -> backends of the facts of devices that it drives
DRIVES = {"cuda": ("cuda",), "hip": ("hip",), "vulkan": ("cuda", "hip", "vulkan")}


@dataclass(frozen=True)
class Left:
    """Bytes that are left by device id, `host` among them, and what others have, one sentence a device."""

    free: Mapping[str, int]
    taken: Mapping[str, str]


def driven(devices: Sequence[Mapping[str, Any]], backend: str) -> list[Mapping[str, Any]]:
    """The devices of the facts that a build with this backend drives, each with its `position` among them."""
    drives = DRIVES[backend]
    found = [
        {**item, "backend": backend, "position": number}
        for number, item in enumerate(item for item in devices if item["backend"] in drives)
    ]
    return [{**item, "backend": backend} for item in gpu.usable(found)]


class Room:
    """What a call knows of the memory of its host; devices and units are read when they are first asked for."""

    def __init__(
        self,
        manager: Manager,
        listed: Collection[str],
        facts: Callable[[], Mapping[str, Any]],
        root: str = "/",
        running: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """
        :param listed: instances that the call is about; each is counted by `keep` when its plan is known.
        :param running: processes that serve instances, also where there is no unit: adopted now, or the unit was lost.
        :param facts: reads the devices of the host, as `gpu.read` does.
        """
        self._manager, self._listed, self._facts, self._root = manager, set(listed), facts, root
        self._running = running
        self._gpus: Mapping[str, Any] | None = None
        self._kept: dict[str, Record] = {}
        self._units: dict[str, tuple[Record | None, int]] | None = None
        self._limits: dict[str, int] = {}

    @property
    def facts(self) -> Mapping[str, Any]:
        """The devices of the host."""
        if self._gpus is None:
            self._gpus = self._facts()
        return self._gpus

    def devices(self, backend: str) -> list[Mapping[str, Any]]:
        """The devices that a build with this backend drives, each with its `position` among them."""
        return driven(self.facts["devices"], backend) if backend in DRIVES else []

    @property
    def host_total(self) -> int:
        """Bytes of memory of this host, or of the control group around it."""
        return host_memory(self._root)[0]

    def known_totals(self) -> dict[str, int]:
        """Bytes of the RPC workers in the plans of this host; a worker that serves answers nobody else."""
        rows = [row for record, _pid in self._all().values() if record for row in record.devices]
        return {row["id"]: row["total"] for row in rows if row["backend"] == "rpc"}

    def users(self, device: str) -> list[str]:
        """The instances of this host that are planned on a device."""
        return [name for name, (record, _pid) in self._all().items() if record and record.on(device)]

    def keep(self, name: str, record: Record) -> None:
        """An instance of the call stays or starts with this plan."""
        self._kept[name] = record

    def limit(self, router: str, models: int) -> None:
        """A router has at most so many models loaded at a time; 0 for any number."""
        self._limits[router] = models

    def left(self, devices: Sequence[Mapping[str, Any]], asking: str = "") -> Left:
        """What is left for one more instance.

        :param asking: its name, where it is a model of a router: some of the others are unloaded for it.
        """
        others = {name: record for name, (record, _pid) in self._others().items() if record is not None}
        kept = {**others, **self._kept}
        lent = known.lent(os.path.dirname(self._manager.path("x")))
        free, taken = {}, {}
        for device in devices:
            name, total = device["id"], int(device["total"])
            planned = self._planned({other: record.on(name) for other, record in kept.items()}, asking)
            unlisted = total if device.get("free") is None else int(device["free"])
            foreign = max(total - unlisted - self._held(device), 0)
            free[name] = max(total - foreign - sum(planned.values()), 0)
            taken[name] = _said(planned, foreign)
            if name in lent:
                free[name], taken[name] = 0, f"the worker {lent[name]} lends it to another host"
        total, available = host_memory(self._root)
        foreign = max(
            total - available - sum(process.resident(pid, "RssAnon", self._proc) for pid in self._pids()),
            0,
        )
        planned = self._planned({other: record.needed for other, record in kept.items()}, asking)
        free[HOST] = max(total - total // _HOST_HEADROOM - foreign - sum(planned.values()), 0)
        taken[HOST] = _said(planned, foreign)
        return Left(free, taken)

    def _planned(self, sizes: Mapping[str, int], asking: str) -> dict[str, int]:
        """Bytes by instance; of the models of a router count the largest that can be loaded at a time."""
        found: dict[str, list[int]] = {}
        for name, size in sizes.items():
            found.setdefault(naming.instance_of(name) if naming.is_of_router(name) else name, []).append(size)
        for name, limit in self._limits.items():
            own = naming.is_of_router(asking) and naming.instance_of(asking) == name
            if limit and name in found:
                found[name] = sorted(found[name], reverse=True)[: limit - own]
        return {name: sum(several) for name, several in found.items() if sum(several)}

    def _held(self, device: Mapping[str, Any]) -> int:
        """Bytes that our own processes hold of a device now: as the driver says, else as was planned."""
        processes = device.get("processes") or ()
        used = {item["pid"]: item["used"] for item in processes if item.get("used") is not None}
        return sum(
            used.get(pid, record.on(device["id"]) if record else 0) for record, pid in self._all().values() if pid
        )

    def _all(self) -> dict[str, tuple[Record | None, int]]:
        """Every managed instance that runs or is to run after a reboot: its plan, and its process or 0."""
        if self._units is None:
            self._units = {}
            for name in self._manager.managed():
                self._look(name, self._units)
                self._look(naming.successor(name), self._units)
            for name, pid in self._running.items():
                record, known = self._units.get(name, (None, 0))
                self._units[name] = (record, known or pid)
        return self._units

    def _look(self, name: str, units: dict[str, tuple[Record | None, int]]) -> None:
        text = read_text(self._manager.path(name))
        if text is None:
            return
        status = self._manager.status(name)
        if not (status.active or status.enabled):
            return
        facts = unit.facts_of(text)
        units[name] = (Record.of(facts), status.pid)
        if facts.get("Kind") != "router":
            return
        self._limits.setdefault(name, presets.most_of_unit(text))
        running, planned = children.processes(status.pid, self._proc), presets.plans_of_unit(text)
        for model in {**running, **planned}:
            units[naming.of_router(name, model)] = (planned.get(model), running.get(model, 0))

    def _others(self) -> dict[str, tuple[Record | None, int]]:
        return {name: found for name, found in self._all().items() if naming.instance_of(name) not in self._listed}

    def _pids(self) -> list[int]:
        """Our processes; the front is one, and grows with the requests that wait while a server is replaced."""
        servers = [pid for _record, pid in self._all().values() if pid]
        return servers + [pid for pid in process.pids(self._proc) if process.unit_of(pid, self._proc) == front.UNIT]

    @property
    def _proc(self) -> str:
        return os.path.join(self._root, "proc")


def host_memory(root: str = "/") -> tuple[int, int]:
    """Total and available bytes of the host, within what the control group allows; proc_meminfo(5)."""
    text = read_text(os.path.join(root, "proc/meminfo")) or ""
    found = {key: int(value) << 10 for key, value in re.findall(r"^(MemTotal|MemAvailable): +(\d+) kB", text, re.M)}
    total = found.get("MemTotal", 0)
    available = found.get("MemAvailable", total)
    allowed = limits(root)
    if allowed.memory is not None and allowed.memory < total:
        total = allowed.memory
    if allowed.memory_left is not None:
        available = min(available, allowed.memory_left)
    return total, min(available, total)


def _said(planned: Mapping[str, int], foreign: int) -> str:
    from ..sizes import human

    parts = [f"{human(size)} are planned for {name}" for name, size in sorted(planned.items())]
    parts += [f"{human(foreign)} belong to others"] if foreign > 1 << 20 else []
    return ", ".join(parts)
