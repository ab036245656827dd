# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a host needs a human, why, and what to do. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from .host import CONNECTED, CONNECTING, LOST, OFF, Host

ERROR, WARNING, INFO = "error", "warning", "info"
ORDER = (ERROR, WARNING, INFO)
_SKEW = 5.0  # seconds
_FULL = 0.05  # of a disk
_HOT = 90  # degrees
_CONNECTING = 30.0


def of(host: Host, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """`{severity, host, instance, what, why, remedy, link}` of each thing, the worst first.

    :param rows: the rows of the host.
    """
    found = [*_link(host), *_rows(rows), *_machine(host)]
    return sorted(found, key=lambda item: ORDER.index(item["severity"]))


def _item(host: str, severity: str, what: str, why: str, remedy: str, instance: str = "") -> dict[str, Any]:
    link = f"/hosts/{quote(host, safe='')}" + (f"/instances/{quote(instance, safe='')}" if instance else "")
    found = {"severity": severity, "host": host, "instance": instance, "what": what, "why": why}
    return {**found, "remedy": remedy, "link": link}


def _link(host: Host) -> list[dict[str, Any]]:
    link = host.link
    if link.state == LOST:
        return [_item(host.name, ERROR, "not connected", link.error, link.remedy)]
    if link.state == OFF and link.error:
        return [_item(host.name, ERROR, "not streamed", link.error, link.remedy)]
    if link.state == CONNECTING and time.time() - link.since > _CONNECTING:
        return [_item(host.name, WARNING, "slow to connect", "It has not answered yet.", "See its network.")]
    return (
        [_item(host.name, WARNING, "odd stream", link.error, "Update the host: run the playbook site.")]
        if (link.state == CONNECTED and link.error)
        else []
    )


def _rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        if row["host_state"] != CONNECTED and row["state"] != "error":
            continue
        for reason in row["reasons"]:
            severity = WARNING if row["state"] in ("ready", "loading", "waiting") else ERROR
            sentence, _colon, remedy = reason.rpartition(": ") if reason.endswith(" deploy.") else (reason, "", "")
            what = row["state"] if row["instance"] else "host"
            remedy = remedy or _REMEDIES.get(row["state"], "Open it and read its log.")
            found.append(_item(row["host"], severity, what, sentence, remedy, row["instance"]))
    return found


_REMEDIES = {
    "missing": "Run deploy.",
    "failed": "Read its log, correct it, and run deploy.",
    "device_lost": "Reset or replace the GPU; the instance starts when it is back.",
    "silent": "Read its log; restart it if it hangs.",
    "loading": "Wait until it is loaded.",
    "waiting": "It is started again by itself; its log says why it ended.",
    "error": "Correct the inventory.",
}


def _machine(host: Host) -> list[dict[str, Any]]:
    if host.link.state != CONNECTED:
        return []
    found = []
    if host.skew is not None and abs(host.skew) > _SKEW:
        why = f"Its clock is {abs(host.skew):.0f} s {'ahead of' if host.skew > 0 else 'behind'} this one."
        found.append(_item(host.name, WARNING, "clock", why, "Synchronise its clock (chrony, systemd-timesyncd)."))
    cordon = host.status.get("cordon")
    if cordon:
        text = str(cordon.get("text", ""))
        found.append(_item(host.name, INFO, "cordoned", text, "Run uncordon when it may serve again."))
    for disk in host.load.get("disks") or ():
        total, free = disk.get("total") or 0, disk.get("free") or 0
        if total and free < _FULL * total:
            why = f"{disk.get('path')} has {free >> 30} GiB of {total >> 30} GiB left."
            found.append(_item(host.name, WARNING, "disk", why, "Collect models and builds that nobody uses."))
    for gpu in host.load.get("gpus") or ():
        heat = gpu.get("temperature_celsius")
        if isinstance(heat, (int, float)) and heat >= _HOT:
            found.append(_item(host.name, WARNING, "GPU", f"{gpu.get('id')} is at {heat} °C.", "See its cooling."))
    for part in ("load", "facts", "status", "builds", "models"):
        error = getattr(host, part).get("error")
        if error:
            why, remedy = error.get("message", ""), error.get("remedy") or "See the host."
            found.append(_item(host.name, ERROR, part, why, remedy))
    for sentence in (host.facts.get("build") or {}).get("differences") or ():
        found.append(_item(host.name, WARNING, "build", str(sentence), "Build for the GPUs of this host."))
    wanted, there = host.variables.get("llama_gpus"), host.facts.get("devices")
    if isinstance(wanted, int) and isinstance(there, list) and len(there) < wanted:
        why = f"It shows {len(there)} of {wanted} expected GPUs."
        found.append(_item(host.name, ERROR, "GPU", why, "Repair it, or correct llama_gpus in the inventory."))
    for item in host.models.get("sets") or ():
        if item.get("missing"):
            why = f"{item.get('name')} lacks {len(item['missing'])} of its files."
            found.append(_item(host.name, WARNING, "model", why, "Run the playbook models."))
    strays = [item for item in host.status.get("unmanaged") or () if item.get("belongs") == "foreign"]
    for item in strays:
        why = f"{item.get('tool')}, process {item.get('pid')} of {item.get('user')}, is managed by nobody."
        found.append(_item(host.name, INFO, "not managed", why, "Adopt it, or stop it."))
    return found


def of_inventory(error: str, sealed: Sequence[str]) -> list[dict[str, Any]]:
    """What is wrong with the inventory itself."""
    common = {"host": "", "instance": "", "link": "/settings"}
    broken = {
        "severity": ERROR,
        "what": "inventory",
        "why": error,
        "remedy": "Correct it, and read it again.",
        **common,
    }
    remedy = "Name its vault password file in ansible.cfg or in the settings of the panel."
    shut = {"severity": INFO, "what": "vault", "remedy": remedy, **common}
    return ([broken] if error else []) + [{**shut, "why": f"{path} is not read."} for path in sealed]
