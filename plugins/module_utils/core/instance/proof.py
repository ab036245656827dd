# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance must answer to count as started, and whether it is at work."""

from __future__ import annotations

import urllib.parse
from typing import Any

from . import probe, ranking, router, speculation
from .definition import Instance


def prove(instance: Instance, key: str | None, seconds: float) -> dict[str, Any]:
    """A real answer of the kind of work an instance does.

    :raises probe.ProbeError: none came, or not the one that its definition asks for.
    """
    if instance.kind == "router":
        return router.prove(instance.url, instance, key, seconds)
    if instance.kind == "rerank":
        return ranking.prove(instance.url, key, seconds, insist=instance.proof == "ranks")
    answer = probe.prove(instance.kind, instance.url, key, seconds)
    return {**answer, "speculation": speculation.measure(instance, key, seconds)} if instance.spec else answer


def busy_slots(url: str, key: str | None = None) -> int:
    """How many requests a server works on now; 0 where it does not say (no `/slots`, no answer)."""
    try:
        status, answer = probe.request(url, "/slots", key=key, timeout=5.0)
        answers = [answer]
        if status == 400:  # a router wants to know of which model
            loaded = [name for name, item in probe.models(url, key).items() if item["state"] == "loaded"]
            paths = [f"/slots?model={urllib.parse.quote(name)}" for name in loaded]
            answers = [probe.request(url, path, key=key, timeout=5.0)[1] for path in paths]
    except probe.ProbeError:
        return 0
    slots = [slot for answer in answers if isinstance(answer, list) for slot in answer]
    return sum(1 for slot in slots if isinstance(slot, dict) and slot.get("is_processing"))
