# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host: how busy it is, who owns its memory, its GPUs, instances, processes, builds and disks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..fleet.host import Host
from . import ask, change, layout, parts, tables, text
from .grid import Grid, Row, column
from .layout import View

if TYPE_CHECKING:
    from ..panel import Panel

_GPUS = (
    column("id", "GPU", "mono"),
    column("name", "Name"),
    column("busy", "Busy", "tight"),
    column("memory", "Memory", "tight"),
    column("heat", "°C", "num"),
    column("power", "Power limit", "num"),
    column("link", "PCI", "mono", less=True),
    column("notes", "Notes", "wide"),
)
_OWNERS = (
    column("who", "Who"),
    column("pid", "PID", "num"),
    column("where", "Where", "mono"),
    column("size", "Memory", "tight"),
    column("what", "What", "mono"),
)
_ACTIONS = ("deploy", "recover", "cordon", "uncordon", "support", "workers")


def build(panel: Panel) -> None:
    @layout.page(panel, "/hosts/{name}", "Host")
    async def host(view: View, name: str) -> None:
        found = view.panel.fleet.hosts.get(name)
        if found is None:
            parts.notice(f"The inventory has no host {name}.", "error")
            return
        Page(view, found).fill()


class Page:
    """What is shown of a host, and drawn again as it changes."""

    def __init__(self, view: View, host: Host) -> None:
        self.view, self.name = view, host.name

    @property
    def host(self) -> Host:
        return self.view.panel.fleet.hosts.get(self.name) or Host(self.name)

    def fill(self) -> None:
        with parts.headline(self.name):
            self.tags = parts.Box("span")
            parts.gap()
            parts.link("New instance", f"/hosts/{self.name}/new", "act main")
            for op in _ACTIONS:
                ask.button(self.view, op, [self.name])
        self.trouble = parts.Box()
        with parts.columns():
            with parts.sheet():
                self.facts = parts.Box()
            with parts.sheet():
                self.software = parts.Box()
        parts.heading("Instances")
        self.instances = Grid(tables.INSTANCES, self._instances(), label="instances", empty="No instance yet.")
        parts.heading("GPUs")
        self.gpus = Grid(_GPUS, gpus(self.host), label="GPUs", empty="It has no GPU: models run on its processor.")
        parts.heading("Who owns the memory")
        self.owners = Grid(_OWNERS, owners(self.host), label="owners of memory", empty="Nobody holds GPU memory.")
        parts.heading("Servers that are not managed")
        self.strangers = Grid(change.STRANGERS, change.strangers(self.host, self.view), empty="None.",
                              label="unmanaged servers", on_act=self._adopt)  # fmt: skip
        self._texts()
        layout.live(self.view, self.draw, [self.name])

    def draw(self) -> None:
        self.instances.show(self._instances())
        self.gpus.show(gpus(self.host))
        self.owners.show(owners(self.host))
        self.strangers.show(change.strangers(self.host, self.view))
        self._texts()

    def _instances(self) -> list[Row]:
        return tables.instances(self.view.panel.fleet.rows(), host=self.name)

    async def _adopt(self, _name: str, pid: str) -> None:
        await change.adopt(self.view, self.host, pid)

    def _texts(self) -> None:
        for box, fill in (
            (self.tags, self._tags),
            (self.trouble, self._trouble),
            (self.facts, self._facts),
            (self.software, self._software),
        ):
            box.clear()
            with box:
                fill()

    def _tags(self) -> None:
        host = self.host
        parts.tag(host.link.state, title=host.link.error)
        for group in host.groups:
            parts.tag(group, "off")

    def _trouble(self) -> None:
        host, cordon = self.host, text.dig(self.host.status, "cordon", "text")
        if host.link.state != "connected":
            seen = f" It was heard last {text.clock(host.seen)}." if host.seen else ""
            parts.notice(
                f"{host.link.error or 'Not connected yet.'} {host.link.remedy}{seen}", text.tone(host.link.state)
            )
        if cordon:
            parts.notice(f"Cordoned: {cordon}", "warning")
        if host.skew is not None and abs(host.skew) > 5:
            parts.notice(f"Its clock is {abs(host.skew):.0f} s {'ahead' if host.skew > 0 else 'behind'}.", "warning")
        reason = host.facts.get("reason")
        if reason:
            parts.notice(reason, "warning" if host.variables.get("llama_gpus") else "info")

    def _facts(self) -> None:
        host, facts = self.host, text.dig(self.host.facts, "host", default={})
        memory, busy = tables.memory_of(host), tables.cpu_of(host)
        loads = host.load.get("load")
        numbers = (
            " ".join(f"{value:.2f}" for value in loads if isinstance(value, (int, float)))
            if isinstance(loads, list)
            else ""
        )
        parts.facts(
            [
                ("Processor", text.dig(facts, "cpu", "model")),
                ("Cores usable", text.dig(facts, "cpu", "usable")),
                ("Busy", f"{busy:.0f} %" if busy is not None else ""),
                ("Load", numbers),
                ("Memory free", f"{text.size(memory['available'])} of {text.size(memory['total'])}"),
                *(
                    (
                        f"Disk {text.clean(disk.get('path'), 80)}",
                        f"{text.size(disk.get('free'))} free of {text.size(disk.get('total'))}",
                    )
                    for disk in disks(host)
                ),
                ("Clock", f"{host.skew:+.1f} s" if host.skew is not None else ""),
                ("Answers in", f"{1000 * host.link.latency:.0f} ms" if host.link.latency is not None else ""),
            ]
        )

    def _software(self) -> None:
        host = self.host
        kept = text.dig(host.builds, "disk", default={})
        parts.facts(
            [
                ("Active build", host.builds.get("active")),
                ("Previous build", host.builds.get("previous")),
                ("Builds take", text.size(kept.get("builds"))),
                ("Driver", host.facts.get("driver")),
                ("CUDA", host.facts.get("cuda")),
                ("System", text.dig(host.facts, "host", "os", "name")),
                ("Root", host.hello.get("root")),
                ("Scope", host.hello.get("scope")),
                ("llama-host", host.hello.get("version")),
            ]
        )
        with parts.Box(classes="headline"):
            parts.link("Builds", f"/builds?host={self.name}")
            parts.link("Models", f"/library?host={self.name}")
            parts.link("What fits here", f"/memory?host={self.name}")
            parts.link("Jobs", f"/jobs?host={self.name}")


def disks(host: Host) -> list[dict[str, Any]]:
    """Its disks; where it does not list them, the one of its root."""
    found = text.rows_of(host.load, "disks")
    storage = text.dig(host.facts, "host", "storage")
    return found or ([storage] if isinstance(storage, dict) else [])


def gpus(host: Host) -> list[Row]:
    return [_gpu(gpu) for gpu in tables.gpus_of(host)]


def _gpu(gpu: Mapping[str, Any]) -> Row:
    total, free, busy = gpu.get("total"), gpu.get("free"), tables.busy_of(gpu)
    used = total - free if isinstance(total, int) and isinstance(free, int) else None
    power, heat = gpu.get("power_limit_watts"), gpu.get("temperature_celsius")
    rows = gpu.get("remapped_rows") if isinstance(gpu.get("remapped_rows"), Mapping) else {}
    notes = ["damaged memory that cannot be replaced"] if rows and rows.get("failure") else []
    notes += ["shares the memory of the host"] if gpu.get("unified") else []
    notes += [text.clean(gpu.get("problem"))] if gpu.get("problem") else []
    return {
        "id": text.clean(gpu.get("id"), 80),
        "tone": "error" if notes and rows else "",
        "cells": {
            "id": text.clean(gpu.get("id"), 80),
            "name": text.clean(gpu.get("name"), 80),
            "busy": tables.percent(busy, hot=101),
            "memory": tables.share(used, total),
            "heat": {"t": f"{heat:.0f}", "tone": "warning"}
            if isinstance(heat, (int, float)) and heat >= 85
            else f"{heat:.0f}"
            if isinstance(heat, (int, float))
            else "",
            "power": f"{power:.0f} W" if isinstance(power, (int, float)) else "",
            "link": text.clean(gpu.get("pci"), 40),
            "notes": ", ".join(notes),
        },
    }


def owners(host: Host) -> list[Row]:
    """Every process that holds memory of a GPU, and what instances hold of the host."""
    known = {
        key: name
        for name, item in text.dig(host.status, "instances", default={}).items()
        for key in (f"llama-{name}.service", item.get("pid"))
    }
    found = [
        _owner(host, gpu, process, known) for gpu in tables.gpus_of(host) for process in text.rows_of(gpu, "processes")
    ]
    for name, item in text.dig(host.status, "instances", default={}).items():
        for device in text.rows_of(item, "devices"):
            if device.get("id") == "host" and device.get("actual"):
                cells = {
                    "who": _instance(host, name),
                    "pid": str(item.get("pid") or ""),
                    "where": "RAM",
                    "size": text.size(device["actual"]),
                    "what": text.clean(item.get("model")),
                }
                found.append({"id": f"host {name}", "tone": "", "cells": cells})
    return found


def _instance(host: Host, name: str) -> dict[str, str]:
    return {"t": text.clean(name, 60), "href": tables.where(host.name, name)}


def _owner(host: Host, gpu: Mapping[str, Any], process: Mapping[str, Any], known: Mapping[Any, str]) -> Row:
    """`known` has instances by unit and by main process."""
    unit, pid = text.clean(process.get("unit") or "", 80), process.get("pid")
    name = known.get(unit) or known.get(pid if isinstance(pid, int) else None)
    who = _instance(host, name) if name else unit or text.clean(process.get("user") or process.get("kind"))
    return {
        "id": f"{gpu.get('id')} {process.get('pid')}",
        "tone": "",
        "cells": {
            "who": who,
            "pid": str(process.get("pid") or ""),
            "where": text.clean(gpu.get("id"), 80),
            "size": tables.share(process.get("used"), gpu.get("total")),
            "what": text.clean(process.get("command") or process.get("name") or "", 200),
        },
    }
