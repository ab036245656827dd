# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fits where: one model with its options against one host or all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nicegui import ui

from .. import planned
from . import fields, layout, parts, plans, tables, text
from .fields import FIELDS
from .grid import Grid, Row, column
from .layout import View

if TYPE_CHECKING:
    from ..panel import Panel

_ASKED = (
    "ctx_size",
    "parallel",
    "cache_type_k",
    "cache_type_v",
    "gpu_layers",
    "n_cpu_moe",
    "plan.allow",
    "plan.ctx_floor",
)
_COLUMNS = (
    column("host", "Host"),
    column("fits", "Fits", "tight"),
    column("rung", "Rung", "tight"),
    column("devices", "On", "wide"),
    column("taken", "Takes", "tight"),
    column("left", "Left", "num"),
    column("ctx", "Context", "num"),
    column("why", "Why", "wide"),
    column("acts", "", "acts"),
)
_AT_ONCE = 16  # hosts that are asked at a time
_PAUSE = 0.5


def build(panel: Panel) -> None:
    @layout.page(panel, "/memory", "Memory")
    async def memory(view: View, host: str = "", model: str = "", ctx: str = "") -> None:
        await Page(view, host if host in view.panel.fleet.hosts else "", model, ctx).fill()


class Page:
    """The question, and an answer for every host."""

    def __init__(self, view: View, host: str, model: str, ctx: str) -> None:
        self.view, self.host, self.model, self.ctx = view, host, model, ctx
        self.answers: dict[str, dict[str, Any]] = {}
        self._soon: asyncio.Task[Any] | None = None
        self.open = ""

    async def fill(self) -> None:
        with parts.headline("What fits where"):
            self.state = parts.Box("span")
        hosts = sorted(self.view.panel.fleet.hosts)
        with parts.sheet("form"):
            known = sorted({text.clean(item.get("name"), 80) for host in self.view.panel.fleet.hosts.values()
                            for item in text.rows_of(host.models, "sets")})  # fmt: skip
            self.field = ui.input("Model: a set, owner/repo:QUANT, or a path", value=self.model, autocomplete=known)
            self.field.props("outlined dense").classes("wide").on_value_change(self._touched)
            self.which = parts.choice("Hosts", {"": "the whole fleet", **{name: name for name in hosts}}, self.host)
            self.which.on_value_change(self._touched)
            self.controls = {name: self._control(name) for name in _ASKED}
        self.grid = Grid(
            _COLUMNS,
            [],
            label="hosts",
            empty="Name a model, and every host says what it would take.",
            on_act=self._show,
        )
        self.detail = parts.Box()
        if self.model:
            self._touched()

    def _control(self, name: str) -> Any:
        field = FIELDS[name]
        if field.values and field.kind == fields.WORDS:
            made: Any = parts.choice(field.label, field.values, [], multiple=True).props("use-chips").classes("wide")
        elif field.values:
            made = parts.choice(field.label, field.values, clearable=True)
        else:
            made = parts.field(field.label, self.ctx if name == "ctx_size" else "")
        made.on_value_change(self._touched)
        return made

    def _entry(self) -> dict[str, Any]:
        found: dict[str, Any] = {"model": str(self.field.value or "").strip(), "port": 8080}
        for name, control in self.controls.items():
            fields.put(found, name, fields.value(FIELDS[name], control.value))
        return found

    def _touched(self) -> None:
        if self._soon:
            self._soon.cancel()
        self._soon = layout.run(self._ask())

    async def _ask(self) -> None:
        await asyncio.sleep(_PAUSE)
        entry = self._entry()
        if not entry["model"]:
            return
        names = [str(self.which.value)] if self.which.value else sorted(self.view.panel.fleet.hosts)
        self.answers = {}
        self._say("asking", "info")
        door = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> None:
            async with door:
                try:
                    said = await planned.plan(self.view.panel.fleet, self.view.user, name, "new", entry)
                except layout.TROUBLE as exc:
                    said = {"error": layout.explained(exc)}
            self.answers[name] = said
            self.grid.show([self._row(name, self.answers[name]) for name in names if name in self.answers])

        await asyncio.gather(*(one(name) for name in names))
        hosts = self.view.panel.fleet.hosts
        fitting = sum(plans.fitting(said, hosts.get(name)) for name, said in self.answers.items())
        self._say(f"fits on {fitting} of {len(names)}", "ok" if fitting else "error")
        if len(names) == 1:
            self._show("detail", names[0])

    def _say(self, said: str, tone: str) -> None:
        if not self.state.is_deleted:
            self.state.clear()
            with self.state:
                parts.tag(said, tone)

    def _row(self, name: str, said: Mapping[str, Any]) -> Row:
        plan = plans.plan_of(said)
        host = {"t": name, "href": tables.where(name)}
        if said.get("error") or not plan:
            why = text.clean(said.get("error") or "It gave no plan.", 600)
            return {
                "id": name,
                "tone": "",
                "cells": {"host": host, "fits": {"t": "no answer", "tone": "off"}, "why": why},
            }
        devices = text.rows_of(plan, "plan", "devices")
        found = self.view.panel.fleet.hosts.get(name)
        fits, free = plans.fitting(said, found), tables.memory_of(found)["available"] if found else None
        needs = parts.host_needs(plan)
        taken = sum(int(item.get("sum") or 0) for item in devices)
        room = sum(min(int(item.get("total") or 0), int(item.get("free") or 0)) for item in devices)
        left = min((int(item.get("left") or 0) for item in devices), default=None if free is None else free - needs)
        reasons = text.dig(plan, "plan", "reasons", default=[])
        cells = {
            "host": host,
            "fits": {"t": "yes" if fits else "no", "tone": "ok" if fits else "error"},
            "rung": text.clean(text.dig(plan, "plan", "rung", default=""), 40),
            "devices": ", ".join(text.clean(item.get("name") or item.get("id"), 60) for item in devices)
            or "the host itself",
            "taken": tables.share(taken, room) if devices else tables.share(needs, free),
            "left": ("–" if left is None else f"{'-' if left < 0 else ''}{text.size(abs(left))}"),
            "ctx": str(text.dig(plan, "plan", "options", "ctx_size", default="")),
            "why": text.clean(reasons[-1] if reasons else "", 300),
            "acts": {"acts": [{"name": "detail", "t": "Ladder and picture"}]},
        }
        return {"id": name, "tone": "", "cells": cells}

    def _show(self, _name: str, host: str) -> None:
        self.detail.clear()
        with self.detail:
            parts.heading(host)
            with parts.sheet():
                plans.answer(self.answers[host], self.view.panel.fleet.hosts.get(host))
                parts.heading("As a terminal shows it")
                parts.code("\n".join(plans.drawn(self.answers[host])), label="Picture")
