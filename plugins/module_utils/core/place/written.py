# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A placement as the variables of its hosts, and what stood in them before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidInput
from ..names import check_keys
from ..sizes import human
from .place import Bound, Placement

INSTANCES, RECORDS, WORKERS = "llama_instances__placed", "llama_placement", "llama_rpc_workers__placed"
FIELDS = ("fleet", "replica", "spec", "bytes", "ram", "disk", "rung", "why", "workers", "worker", "devices")


def documents(placement: Placement, hosts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By host what its file of variables holds; a host without a replica has empty dictionaries."""
    found: dict[str, dict[str, Any]] = {host: {INSTANCES: {}, RECORDS: {}} for host in sorted(hosts)}
    for bound in placement.bound:
        own = found[bound.host]
        own[INSTANCES][bound.name] = dict(bound.entry)
        own[RECORDS][bound.name] = _record(bound)
        for worker in bound.workers:
            found[worker.host].setdefault(WORKERS, {})[worker.name] = {"port": worker.port, "devices": [worker.device]}
    return found


def _record(bound: Bound) -> dict[str, Any]:
    record: dict[str, Any] = {
        "fleet": bound.wanted.name,
        "replica": bound.number,
        "spec": bound.wanted.spec,
        "bytes": dict(bound.sizes),
        "ram": bound.ram,
        "disk": bound.disk,
        "rung": bound.rung,
        "why": bound.why,
    }
    if bound.workers:
        record["workers"] = [worker.document() for worker in bound.workers]
    return record


def standing(instances: Mapping[str, Any], records: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """What stands on a host: its records, each with the `entry` that was written with it.

    A record may be written by hand, with `fleet`, `replica` and `devices`: a wish for that place.

    :raises InvalidInput: a record cannot be read.
    """
    found = {}
    for name, given in records.items():
        place = f"{where}: {RECORDS}: {name}"
        if not isinstance(given, Mapping):
            raise InvalidInput(
                f"{place} must be a dictionary, such as {{fleet: chat, replica: 1, devices: [GPU-...]}}."
            )
        check_keys(place, given, FIELDS)
        sizes = given.get("bytes", dict.fromkeys(given.get("devices") or (), 0))
        if not isinstance(sizes, Mapping) or not sizes or not all(isinstance(size, int) for size in sizes.values()):
            raise InvalidInput(f"{place} names no devices.", "Give devices: [GPU-...], or remove the record.")
        entry = instances.get(name)
        complete = isinstance(entry, Mapping) and isinstance(entry.get("port"), int) and "bytes" in given
        found[name] = {
            "fleet": str(given.get("fleet", name)),
            "replica": given.get("replica", 1),
            "spec": given.get("spec") if complete else None,
            "bytes": dict(sizes),
            "ram": int(given.get("ram", 0)),
            "disk": int(given.get("disk", 0)),
            "rung": str(given.get("rung", "")),
            "why": str(given.get("why", "")),
            "workers": list(given.get("workers", ())),
            "entry": dict(entry) if complete and isinstance(entry, Mapping) else None,
        }
    return found


def lines(placement: Placement) -> list[str]:
    """For a terminal: every replica with its place and reason, what moves, and what has no place."""
    rows = [("host", "replica", "devices", "memory", "why")]
    for bound in placement.bound:
        devices = ", ".join([*bound.sizes, *(f"{worker.host}/{worker.device}" for worker in bound.workers)])
        total = sum(bound.sizes.values()) + sum(worker.bytes for worker in bound.workers)
        rows.append((bound.host, bound.name, devices, human(total), ("kept; " if bound.kept else "") + bound.why))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    shown = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]) for row in rows if len(rows) > 1
    ]
    shown += [f"- {sentence}" for sentence in placement.moves]
    for refusal in placement.refusals:
        shown.append(f"NO PLACE for {', '.join(refusal.replicas)}:")
        shown += [f"    {reason}" for reason in refusal.reasons]
        shown.append(f"    {refusal.remedy}")
    return shown or ["Nothing is asked for in llama_fleet."]
