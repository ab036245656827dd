# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instances of a host against what its inventory wants. Pure."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.fleet import view

from .host import CONNECTED, LOST, Host

SOURCE = re.compile(r"llama_instances(__[a-z0-9_]+)?")
PANEL = "llama_instances__panel"
UNKNOWN = "unknown"  # nothing was heard of it yet


def of(host: Host) -> list[dict[str, Any]]:
    """The rows of `core.fleet.view` with `managed_by` (panel, inventory or nobody) and `host_state`."""
    found = view.rows({host.name: _said(host)})
    mine = _names(host, PANEL)
    others = {name for key in sources(host) if key != PANEL for name in _names(host, key)}
    for row in found:
        row["managed_by"] = (
            "panel" if row["instance"] in mine else "inventory" if row["instance"] in others else "nobody"
        )
        row["host_state"] = host.link.state
        if row["state"] == view.UNREACHABLE and host.link.state != LOST:
            row.update(state=UNKNOWN, reasons=[])
    return found


def sources(host: Host) -> dict[str, Any]:
    """The dictionaries of instances that the inventory has for a host, by variable."""
    return {key: value for key, value in host.variables.items() if SOURCE.fullmatch(key)}


def _names(host: Host, key: str) -> set[str]:
    entries = host.variables.get(key)
    return set(entries) if isinstance(entries, dict) else set()


def _said(host: Host) -> dict[str, Any]:
    """What `view.rows` takes."""
    given = host.variables
    heard = host.link.state == CONNECTED and host.status
    found: dict[str, Any] = dict(host.status) if heard else {"unreachable": True, "msg": host.link.error}
    address = str(given.get("llama_address") or "")
    return {
        "found": found,
        "sources": sources(host),
        "defaults": given.get("llama_instances_defaults") or {},
        "models": given.get("llama_models") or {},
        "address": address,
        "reached": address or str(given.get("ansible_host") or host.name),
    }
