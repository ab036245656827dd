# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as a host answers it: whether it fits, its bars and reasons, the command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.memory import picture

from ..fleet.host import Host
from . import parts, tables, text


def answer(said: Mapping[str, Any], host: Host | None) -> None:
    """A plan as a host answers it: bars, reasons, the command."""
    plan = plan_of(said)
    if not plan:
        parts.notice(said.get("error") or "The host gave no plan.", "warning")
        return
    parts.plan_bars(plan, None if host is None else tables.memory_of(host)["available"])
    rung = text.dig(plan, "plan", "rung", default="–")
    parts.note(f"{plan.get('architecture', '')}: rung {rung}, confidence {plan.get('confidence', '–')}.")
    for reason in [*(text.dig(plan, "plan", "reasons", default=[]) or []), plan.get("next_gib_buys")]:
        if reason:
            parts.note(f"– {reason}")
    for warning in said.get("warnings") or []:
        parts.notice(warning, "warning")
    line = said.get("command_line") or text.dig(said, "command", "line")
    if line:
        parts.heading("The exact command")
        parts.code(str(line), label="The exact command")


def fitting(said: Mapping[str, Any], host: Host | None) -> bool:
    """Whether a plan fits on its devices, and on what the host has free now."""
    plan, free = plan_of(said), None if host is None else tables.memory_of(host)["available"]
    return bool(plan.get("fits")) and (free is None or parts.host_needs(plan) <= free)


def plan_of(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document of `core.memory.answer` in what a host answered; empty where there is none."""
    for found in (text.dig(said, "plan"), said):
        if isinstance(found, Mapping) and isinstance(text.dig(found, "plan", "devices"), list):
            return found
    return {}


def drawn(said: Mapping[str, Any]) -> list[str]:
    """A plan as lines for a terminal."""
    plan = plan_of(said)
    return picture.text(plan) if plan else []
