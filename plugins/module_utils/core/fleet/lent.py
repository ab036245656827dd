# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The RPC workers of a host in the view of a fleet: what each is, against what the inventory wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..worker.known import MARK

KIND = "rpc"


def rows(
    host: str, wanted: Sequence[Mapping[str, Any]], there: Mapping[str, Mapping[str, Any]], cordon: str
) -> list[dict[str, Any]]:
    """One row a worker, sorted by name, with those keys of a row that say something of it.

    :param wanted: those of the inventory, each with its `client`: the address of its head, empty where it has none.
    :param there: those of the host by name, as llama_instance_info says.
    """
    listed = {str(item["name"]): item for item in wanted}
    return [_row(host, name, listed.get(name), there.get(name), cordon) for name in sorted({*listed, *there})]


def _row(
    host: str, name: str, wanted: Mapping[str, Any] | None, there: Mapping[str, Any] | None, cordon: str
) -> dict[str, Any]:
    found = there or {}
    state = str(found.get("state", "missing" if _runs(wanted) else "stopped"))
    return {
        "host": host,
        "instance": MARK + name,
        "kind": KIND,
        "state": "cordoned" if cordon and state in ("stopped", "missing") else state,
        "wanted": _runs(wanted),
        "cordoned": cordon,
        "reasons": _reasons(wanted, there, cordon),
        "build_id": found.get("build_id", ""),
        "endpoint": found.get("address", ""),
        "uptime": found.get("uptime"),
        "serves": {} if wanted is None else {"client": wanted.get("client", "")},
    }


def _runs(wanted: Mapping[str, Any] | None) -> bool:
    """Is it to run? One that no instance names stands still."""
    return bool(wanted and wanted.get("client") and (wanted.get("state") or "started") == "started")


def _reasons(wanted: Mapping[str, Any] | None, there: Mapping[str, Any] | None, cordon: str) -> list[str]:
    """Why a worker is not as wanted, one sentence each."""
    up = bool(there and (there.get("active") or there.get("enabled")))
    if cordon:
        return ["It is up although the host is cordoned: run cordon again."] if up else []
    if wanted is None:
        return ["The inventory does not list it, and it is up. llama_rpc_prune=remove removes it."] if up else []
    if not _runs(wanted):
        return ["It is up, and no instance of the inventory uses it: run deploy."] if up else []
    if there is None:
        return ["It is not there: run deploy."]
    found = [] if there.get("state") == "ready" else [f"It is {there.get('state')}: {there.get('detail', '')}."]
    found += [] if there.get("enabled", True) else ["It would not start at boot."]
    if there.get("client") != wanted["client"]:
        found.append(f"It serves {there.get('client')}, and the inventory says {wanted['client']}: run deploy.")
    return found
