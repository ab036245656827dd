# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a managed instance: its unit, process and health, and where its memory lies against the plan."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from ..files import read_json, read_text
from ..tree import Tree
from . import launch, lost, presets, probe, reconcile, speed, unit
from .record import Record
from .residency import HOST
from .service import Manager, Status

_KINDS = {"rpc": "RPC"}  # how shares are named; any other device is a GPU
_PLACED = ("weights", "kv_cache", "recurrent_state", "mapped_weights", "draft", "mmproj")
_WORDS = {probe.READY: "ready", probe.LOADING: "loading"}


def look(tree: Tree, manager: Manager, name: str) -> dict[str, Any]:
    """Everything that is known of an instance. The server is asked for its health and for nothing else."""
    unit_text = read_text(manager.path(name)) or ""
    facts = unit.facts_of(unit_text)
    status = manager.status(name)
    known = read_json(os.path.join(launch.folder(tree, name), "instance.json")) or {}
    plans = presets.plans_of_unit(unit_text)
    record = Record.of(facts)
    health = probe.health(facts["URL"]) if status.active and facts.get("URL") else probe.UNREACHABLE
    gone = "" if record is None or health == probe.READY else lost.look([str(row["id"]) for row in record.local])
    placed = reconcile.standing(tree, manager, name, record, status.pid)
    models = placed.get("models", {})
    slots = record.options.get("parallel") if record else None
    record = presets.together([plans[model] for model in models if model in plans]) if plans else record
    return {
        "kind": facts.get("Kind", "server"),
        "state": state(status, health, gone),
        "active": status.active,
        "enabled": status.enabled,
        "adopted": status.adopted,
        "pid": status.pid,
        "uptime": uptime(status),
        "detail": gone or status.detail,
        "health": health,
        "url": facts.get("URL", "").partition("#")[0],
        "endpoint": endpoint(facts.get("URL", ""), known.get("command") or ()),
        "build_id": facts.get("Build", ""),
        "model": facts.get("Model", ""),
        "unit": manager.path(name),
        "command_line": known.get("command_line", ""),
        "residency": placed["residency"],
        "residency_reasons": placed["residency_reasons"],
        "slots": slots,
        "share": share(record),
        "memory": memory(record, placed["actual"]),
        "devices": devices(record, placed["actual"]),
        "models": {model: one_model(plan, models.get(model)) for model, plan in plans.items()},
        "tokens_per_second": speed.last(tree, name, status.pid, reconcile.start_of(tree, name).get("start", {})),
    }


def state(status: Status, health: str, gone: str = "") -> str:
    """One word: `ready`, `loading`, `silent` (it runs and does not answer), `waiting`, `failed`, `stopped`.

    :param gone: which of its GPUs is lost; then it is `device_lost`, unless nobody wants it to run.
    """
    if gone and (status.active or status.waiting or status.failed):
        return "device_lost"
    if status.active:
        return _WORDS.get(health, "silent")
    if status.failed:
        return "failed"
    return "waiting" if status.waiting else "stopped"


def uptime(status: Status) -> int | None:
    """Seconds since its process began."""
    return max(int(time.time() - status.started), 0) if status.active and status.started else None


def endpoint(url: str, command: tuple[str, ...] | list[str]) -> str:
    """Where clients reach it: the address it listens on, or the name of the host when it listens on all."""
    host = command[command.index("--host") + 1] if "--host" in command[:-1] else ""
    reached = url.partition("#")[0]
    if host not in ("0.0.0.0", "::"):
        return reached
    scheme, _slashes, rest = reached.partition("://")
    return f"{scheme}://{socket.gethostname()}:{rest.rpartition(':')[2]}"


def share(record: Record | None) -> str:
    """Where the model and its cache are planned to lie, as `ollama ps` says it: `100% GPU`, `25%/75% CPU/GPU`."""
    if record is None:
        return ""
    held = {"CPU": _placed(record.host.get("components", {}))}
    for row in record.devices:
        kind = _KINDS.get(row["backend"], "GPU")
        held[kind] = held.get(kind, 0) + _placed(row["components"])
    if record.whole and len(held) > 1:  # the table of tokens, which every model keeps on the host, is no share
        del held["CPU"]
    everything = sum(held.values())
    if not everything:
        return ""
    parts = {kind: round(100 * size / everything) for kind, size in held.items() if size}
    return "/".join(f"{part}%" for part in parts.values()) + " " + "/".join(parts)


def memory(record: Record | None, actual: Mapping[str, Mapping[str, int]]) -> dict[str, int | None]:
    """`{planned, actual}` in bytes, on all devices and on the host; None where unknown."""
    taken = sum(taken_of(cells) for cells in actual.values())
    return {"planned": record.total if record and record.needed else None, "actual": taken or None}


def devices(record: Record | None, actual: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """`[{id, name, planned, actual}]` of the devices in use, the host last."""
    if record is None:
        return []
    rows = [(row["id"], row.get("name") or row["backend"], record.on(row["id"])) for row in record.devices]
    return [
        {"id": name, "name": shown, "planned": planned, "actual": taken_of(actual.get(name, {})) or None}
        for name, shown, planned in [*rows, (HOST, HOST, record.needed)]
    ]


def taken_of(cells: Mapping[str, int]) -> int:
    """Bytes: what the driver or the kernel counts for the process, else the sum of its buffers."""
    return cells.get("process") or sum(size for name, size in cells.items() if name != "process")


def one_model(plan: Record, placed: Mapping[str, Any] | None) -> dict[str, Any]:
    """A model of a router: `{loaded, residency, residency_reasons, share, memory}`."""
    return {
        "loaded": placed is not None,
        "residency": placed["residency"] if placed else "",
        "residency_reasons": placed["residency_reasons"] if placed else [],
        "share": share(plan),
        "memory": memory(plan, placed["actual"] if placed else {}),
    }


def _placed(components: Mapping[str, int]) -> int:
    return sum(components.get(name, 0) for name in _PLACED)
