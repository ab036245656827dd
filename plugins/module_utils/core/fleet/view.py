# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every instance of a fleet is, against what the inventory wants, and why it is not proven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import LlamaOpsError
from ..instance import definition, loaded
from ..instance.definition import Instance
from ..instance.inventory import merge_instances
from . import lent

UNREACHABLE, ERROR, MISSING, CORDONED, EMPTY = "unreachable", "error", "missing", "cordoned", "empty"
NAMED = ("state", "residency", "build_id", "model", "kind", "uptime", "tokens_per_second")
_BLANK: dict[str, Any] = {
    "host": "",
    "instance": "",
    "kind": "",
    "state": EMPTY,
    "wanted": False,
    "cordoned": "",
    "reasons": [],
    "residency": "",
    "build_id": "",
    "model": "",
    "memory": {"planned": None, "actual": None},
    "tokens_per_second": None,
    "endpoint": "",
    "uptime": None,
    "serves": {},
}


def rows(hosts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row an instance of every host, sorted; a host that has or tells nothing is one row too.

    :param hosts: by name `{found, sources, defaults, models, address, reached, workers}`: the result of
        llama_instance_info, the dictionaries of instances by variable, what the site variables say, the address that
        `bind: private` means, the one under which others reach the host, its workers as `cluster.workers_of` has them.
    :returns: rows with the keys of `_BLANK`. `reasons` is empty where all is as wanted; `serves` is what exports need.
    """
    return [row for host in sorted(hosts) for row in _host(host, hosts[host])]


def _host(host: str, said: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = said.get("found") or {}
    try:
        entries = merge_instances(said.get("sources") or {}, said.get("defaults") or {}, said.get("models") or {})
        wanted = {item.name: item for item in _read(entries, said.get("address")) if item.state != "absent"}
    except LlamaOpsError as exc:
        return [{**_BLANK, "host": host, "state": ERROR, "reasons": [str(exc)]}]
    trouble = _trouble(found)
    cordon = (found.get("cordon") or {}).get("text", "")
    if trouble:
        state, reason = trouble
        blank = {**_BLANK, "host": host, "state": state, "reasons": [reason]}
        return [blank, *[{**blank, **_asked(item, said), "reasons": []} for item in wanted.values()]]
    there = found.get("instances") or {}
    names = sorted({*wanted, *there})
    made = [_instance(host, name, wanted.get(name), there.get(name), cordon, said) for name in names]
    lends = lent.rows(host, said.get("workers") or (), found.get("workers") or {}, cordon)
    made += [{**_BLANK, **row} for row in lends]
    return made or [{**_BLANK, "host": host, "state": CORDONED if cordon else EMPTY, "cordoned": cordon}]


def _read(entries: Sequence[Mapping[str, Any]], address: str | None) -> list[Instance]:
    # a size is read on the host, with its unit
    return definition.read_all([{k: v for k, v in e.items() if k != "memory_max"} for e in entries], address or None)


def _trouble(found: Mapping[str, Any]) -> tuple[str, str] | None:
    """State and reason of a host that tells nothing."""
    message = " ".join(str(found.get("msg") or "it said nothing").split())
    if found.get("unreachable"):
        return UNREACHABLE, f"It cannot be reached: {message}"
    if found.get("failed") or "instances" not in found:
        return ERROR, f"It could not be looked at: {message}"
    return None


def _instance(
    host: str,
    name: str,
    wanted: Instance | None,
    there: Mapping[str, Any] | None,
    cordon: str,
    said: Mapping[str, Any],
) -> dict[str, Any]:
    row = {**_BLANK, "host": host, "instance": name, "cordoned": cordon, "state": MISSING}
    if there is not None:
        row.update({key: there[key] for key in NAMED if key in there})
        row["memory"] = memory(there)
        row["endpoint"] = there.get("endpoint", "")
    if wanted is not None:
        row.update(_asked(wanted, said, there), kind=wanted.kind)
    row["reasons"] = reasons(wanted, there, cordon)
    if cordon and row["state"] in ("stopped", MISSING):
        row["state"] = CORDONED
    return row


def reasons(wanted: Instance | None, there: Mapping[str, Any] | None, cordon: str = "") -> list[str]:
    """Why an instance is not as wanted, one sentence each; none where it is."""
    up = bool(there and (there.get("active") or there.get("enabled") or there.get("state") in ("waiting", "failed")))
    if cordon:
        return ["It is up although the host is cordoned: run cordon again."] if up else []
    if wanted is None:
        remedy = "Have llama_instances_prune stop or remove it, or list it again."
        return [f"The inventory does not list it, and it is up. {remedy}"] if up else []
    if not wanted.wanted:
        return ["It is up, and the inventory wants it stopped."] if up else []
    if there is None:
        return ["It is not there: run deploy."]
    found = []
    if there.get("state") != "ready":
        found.append(f"It is {there.get('state')}: {there.get('detail', '')}".rstrip(": ") + ".")
    if not there.get("enabled", True):
        found.append("It would not start at boot.")
    found += [f"It lies elsewhere than planned: {reason}" for reason in loaded.elsewhere(wanted, there)[:1]]
    if wanted.model and there.get("model", wanted.model) != wanted.model:
        found.append(f"It serves {there['model']}, and the inventory says {wanted.model}: run deploy.")
    return found


def memory(there: Mapping[str, Any]) -> dict[str, int | None]:
    """`{planned, actual}` in bytes: on its GPUs, or on the host where it has none."""
    devices = [item for item in there.get("devices") or () if item.get("id") != "host"]
    if not devices:
        both = there.get("memory") or {}
        return {key: both.get(key) for key in ("planned", "actual")}
    known = [item["actual"] for item in devices if item.get("actual") is not None]
    return {"planned": sum(item["planned"] for item in devices), "actual": sum(known) if known else None}


def _asked(item: Instance, said: Mapping[str, Any], there: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a row says of an instance by the inventory; how many slots it has where that is automatic, by its plan."""
    host, port = (item.front.host, item.front.port) if item.front else (item.host, item.port)
    outside = str(said.get("reached") or "") if host in ("0.0.0.0", "::") else host
    shown = f"[{outside}]" if ":" in outside else outside
    url = "" if item.socket else f"{'https' if item.tls else 'http'}://{shown}:{port}"
    local = item.loopback if item.front is None else host.startswith("127.") or host == "::1"
    return {
        "instance": item.name,
        "kind": item.kind,
        "model": item.model,
        "wanted": item.wanted,
        "endpoint": url or f"unix:{item.socket}",
        "serves": {
            "url": "" if local else url,
            "names": [*item.alias] or [model.name for model in item.models] or [item.name],
            "keys": [*item.keys],
            "slots": item.parallel if isinstance(item.parallel, int) else (there or {}).get("slots") or 0,
            "metrics": bool(item.metrics),
        },
    }
