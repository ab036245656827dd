# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices that an instance may be placed on, and how a build calls those that it is placed on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..build.builds import Build
from ..command import Result
from ..errors import InvalidInput, NotProven, Prerequisite
from . import logreason
from .definition import Instance
from .record import chosen_by_id, named
from .room import DRIVES

RPC = "rpc"
_SHOWN = re.compile(r"^ +RPC(?P<number>\d+): .*\((?P<total>\d{1,12}) MiB, (?P<free>\d{1,12}) MiB free\)\s*$", re.M)

Device = Mapping[str, Any]


class WorkerSilent(NotProven, Prerequisite):
    """A worker does not tell its memory; in a preview one that a later step would start."""


def choose(instance: Instance, build: Build, backend: str, known: Sequence[Device]) -> tuple[list[Device], int]:
    """The devices that may be used, in order, and how many must be: 0 for as few as it takes.

    :param known: those of this host that the build drives, as the facts describe them.
    :raises InvalidInput: a device is asked for that is not there; lists those that are.
    """
    wanted = instance.devices
    remote = [_worker(instance, item.address, item.worker) for item in instance.rpc]
    if wanted is not None and wanted.none:
        return remote, len(remote)
    where = f"Instance {instance.name!r}"
    if not known and (wanted is not None or backend in DRIVES):
        raise InvalidInput(
            f"{where}: the build {build.id} ({backend}) drives no device of this host, and "
            + ("devices are asked for." if wanted is not None else "would serve from the CPU unasked."),
            "Build for the backend of its GPUs, or set devices: none.",
        )
    if wanted is None:
        return [*remote, *known], len(remote) + len(known) if remote else 0
    if wanted.ids:
        local = [find(where, name, known) for name in wanted.ids]
        return [*remote, *local], len(remote) + len(local)
    local = [item for item in known if wanted.name.lower() in str(item.get("name") or "").lower()]
    if len(local) < wanted.count:
        raise InvalidInput(
            f"{where} asks for {wanted.count} devices{f' named {wanted.name}' if wanted.name else ''}; this host has "
            f"{len(local)}.",
            f"There are: {_listed(known)}.",
        )
    if remote:  # all workers and so many of the local ones, the roomiest first
        local = sorted(local, key=lambda item: -int(item.get("free") or item["total"]))[: wanted.count]
        return [*remote, *local], len(remote) + wanted.count
    return local, wanted.count


def ordered(devices: Sequence[Device]) -> list[dict[str, Any]]:
    """`{flag, buffer}` of devices in use, in their order: what `--device` and the log call each."""
    numbers: dict[str, int] = {}
    found = []
    for device in devices:
        backend = device["backend"]
        seen = [item for item in devices if item["backend"] == backend]
        count = numbers.setdefault(backend, 0)
        numbers[backend] += 1
        flag = named(backend, count if chosen_by_id(seen) or backend == RPC else int(device.get("position", count)))
        found.append({"flag": flag, "buffer": device["id"] if backend == RPC else flag})
    return found


def with_workers(devices: Sequence[Device], server: str, execute: Callable[[Sequence[str]], Result]) -> list[Device]:
    """The devices with the memory of RPC workers, which only a worker itself can tell; one that is in use does not.

    :param execute: runs a command without rights.
    :raises WorkerSilent: a worker does not answer.
    """
    missing = [device["id"] for device in devices if device["backend"] == RPC and not device.get("total")]
    if not missing:
        return list(devices)
    result = execute([server, "--rpc", ",".join(missing), "--list-devices"])
    shown = [int(match["total"]) << 20 for match in _SHOWN.finditer(result.stdout)]
    if result.rc or len(shown) != len(missing):
        reason = logreason.find(result.stdout + result.stderr)
        raise WorkerSilent(
            f"Of the RPC workers {', '.join(missing)} only {len(shown)} tell their memory"
            + (f": {reason.rstrip('.')}." if reason else "."),
            "Make sure that each runs, can be reached from this host, has no other client and is of the same build.",
        )
    totals = dict(zip(missing, shown))
    return [{**device, "total": totals[device["id"]]} if device["id"] in totals else device for device in devices]


def _worker(instance: Instance, address: str, name: str) -> Device:
    if not address:
        raise InvalidInput(
            f"Instance {instance.name!r}: the worker {name!r} has no address.", "Give rpc.address as host:port."
        )
    return {"id": address, "backend": RPC, "name": name, "total": 0, "free": None}


def find(where: str, name: str, usable: Sequence[Device]) -> Device:
    """The device with this id or address on the bus.

    :param where: begins the sentence of the error.
    :raises InvalidInput: there is none; lists those that are.
    """
    for item in usable:
        if name in (item["id"], f"pci:{item.get('pci')}") or name.lower() == f"pci:{item.get('pci')}".lower():
            return item
    raise InvalidInput(f"{where}: this host has no device {name}.", f"There are: {_listed(usable)}.")


def _listed(devices: Sequence[Device]) -> str:
    return ", ".join(f"{item['id']} ({item.get('name') or item['backend']})" for item in devices)
