# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a host as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..sizes import human

_HEAD = ("id", "name", "free", "total", "chip", "pci", "numa", "link", "busy")


def lines(facts: Mapping[str, Any]) -> list[str]:
    """The host, a row for every GPU and MIG device, the processes, connections, and what is missing or odd."""
    host = facts["host"]
    cpu, memory = host["cpu"], host["memory"]
    inside = f", in {host['container']}" if host.get("container") else ""
    found = [
        f"{host['name']}: {cpu['model']}, {cpu['usable']} CPUs{inside}",
        f"memory: {_size(memory['available'])} of {_size(memory['total'])} free",
    ]
    if host.get("storage"):
        disk = host["storage"]
        found.append(f"disk {disk['path']}: {_size(disk['free'])} of {_size(disk['total'])} free")
    if facts.get("driver"):
        found.append(f"NVIDIA driver {facts['driver']}, CUDA {facts['cuda']}")
    rows = [row for device in facts["devices"] for row in _rows(device)]
    if rows:
        found += ["", *_table([_HEAD, *rows])]
    found += _notes(facts)
    return found


def _rows(device: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    pcie = device.get("pcie") or {}
    link = f"x{pcie['width_max']} gen{pcie['generation_max']}" if pcie.get("generation_max") else "-"
    nvlink = device.get("nvlink")
    load = device.get("utilization_percent")
    yield (
        device["id"],
        str(device["name"]),
        _size(device["free"]),
        _size(device["total"]) + (" shared" if device.get("unified") else ""),
        str(device.get("compute_capability") or "-"),
        device["pci"] or "-",
        "-" if device["numa"] is None else str(device["numa"]),
        f"{link}, {nvlink['active']} NVLinks" if nvlink else link,
        f"{load['gpu']} %" if load else "-",
    )
    for part in device.get("mig_devices") or ():
        name = f"  {part['name']}"
        yield (part["id"], name, _size(part["free"]), _size(part["total"]), "", "", "", "", "")


def _notes(facts: Mapping[str, Any]) -> Iterator[str]:
    for device in facts["devices"]:
        for process in device.get("processes") or ():
            who = process.get("unit") or process.get("command") or process["kind"]
            yield f"- {device['id']}: process {process['pid']} ({who}) holds {_size(process['used'])}"
        rows = device.get("remapped_rows") or {}
        if rows.get("failure") or rows.get("pending"):
            state = "cannot replace damaged memory any more" if rows["failure"] else "will replace memory at its reset"
            yield f"- {device['id']}: {state}"
    for pair in facts.get("topology") or ():
        if pair["links"]:
            yield f"- {' and '.join(pair['devices'])}: {pair['links']} links"
    for sentence in (facts.get("build") or {}).get("differences", ()):
        yield f"- {sentence}"
    if facts.get("reason"):
        yield f"- {facts['reason']}"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _size(count: int | None) -> str:
    return "?" if count is None else human(count)
