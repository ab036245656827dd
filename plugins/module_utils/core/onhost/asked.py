# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry of an instance as a question about its memory. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import LlamaOpsError
from ..instance.values import AUTO
from ..memory import answer

Given = Mapping[str, Any]


def question(entry: Given, devices: Sequence[Given]) -> tuple[dict[str, Any], list[str]]:
    """What `Answers.plan` takes, and sentences about what it leaves out.

    :param devices: those of the host that can be used.
    """
    options, notes = {}, []
    for key, value in {**_dict(entry.get("options")), **entry}.items():
        if key in ("mmproj", "options") or value is None or value == AUTO:
            continue
        try:
            options.update(answer.canonical({str(key).replace("-", "_").lstrip("_"): value}))
        except LlamaOpsError:  # it does not touch memory
            continue
    if entry.get("rpc"):
        notes.append("Workers on other hosts are not in this plan: playbooks/plan.yml asks them.")
    model = entry.get("model")
    said = dict(model) if isinstance(model, Mapping) else {"ref": model}
    wanted = {"model": said.get("ref"), "revision": said.get("revision"), "options": options}
    rules = _dict(entry.get("plan"))
    wanted.update({"mmproj": entry.get("mmproj"), "allow": rules.get("allow"), "ctx_floor": rules.get("ctx_floor")})
    wanted["devices"] = _chosen(entry.get("devices"), devices)
    return {key: value for key, value in wanted.items() if value is not None}, notes


def _chosen(wanted: Any, devices: Sequence[Given]) -> list[dict[str, Any]]:
    if wanted == "none":
        return []
    found = [dict(item) for item in devices]
    if isinstance(wanted, str):
        wanted = [wanted]
    if isinstance(wanted, list):
        names = {str(name).lower() for name in wanted}
        return [item for item in found if {str(item["id"]).lower(), f"pci:{item.get('pci')}".lower()} & names]
    if isinstance(wanted, Mapping):
        named = [item for item in found if str(wanted.get("name") or "").lower() in str(item.get("name") or "").lower()]
        count = wanted.get("count")
        return named[:count] if isinstance(count, int) else named
    return found


def _dict(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
