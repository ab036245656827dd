# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of one host as a table for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..fleet.show import aligned, size, span

COLUMNS = ("instance", "state", "residency", "build", "model", "memory", "tok/s", "endpoint", "age")


def lines(said: Mapping[str, Any]) -> list[str]:
    """What `Sections.status` found: instances, workers, and what a person should know."""
    instances = said.get("instances") or {}
    shown = aligned([COLUMNS, *[_row(name, instances[name]) for name in sorted(instances)]]) if instances else []
    found = shown or ["No instance is managed here."]
    for name, worker in sorted((said.get("workers") or {}).items()):
        state = "runs" if worker["active"] else "does not run"
        found.append(f"worker {name} {state} at {worker['address']} for {worker['client'] or 'nobody'}")
    for name, item in sorted(instances.items()):
        if item["state"] not in ("ready", "stopped"):
            found.append(f"{name}: {item['detail']}")
        found += [f"{name}: {reason}" for reason in item.get("residency_reasons") or ()]
    for item in said.get("unmanaged") or ():
        found.append(f"not managed: {item['tool']}, process {item['pid']} of {item['user']}")
    if said.get("cordon"):
        found.append(f"cordoned {said['cordon']['text']}")
    return [printable(line) for line in found]


def printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _row(name: str, item: Mapping[str, Any]) -> tuple[str, ...]:
    memory, speed = item["memory"], item["tokens_per_second"]
    return (
        name,
        item["state"],
        item["residency"],
        item["build_id"] or "-",
        item["model"] or "-",
        f"{size(memory['actual'])} of {size(memory['planned'])}" if any(memory.values()) else "-",
        "-" if speed is None else f"{speed:.1f}",
        item["endpoint"] or "-",
        span(item["uptime"]),
    )
