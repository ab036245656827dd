# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances: all of the fleet, and one with what it is, where its memory lies, its command and its entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from nicegui import ui

from . import change, layout, parts, tables, text
from .grid import Grid, Row, column
from .layout import View

if TYPE_CHECKING:
    from ..panel import Panel

_ACTS = {"start": "Start", "stop": "Stop", "restart": "Restart"}
_DEVICES = (
    column("id", "Where", "mono"),
    column("name", "Name"),
    column("size", "Taken of planned", "tight"),
)


def build(panel: Panel) -> None:
    @layout.page(panel, "/instances", "Instances")
    async def instances(view: View) -> None:
        with parts.headline("Instances"):
            parts.gap()
            new_on(view)
            change.button(view, "recover", sorted(view.panel.fleet.hosts), title="Recover all")

        async def act(name: str, row: str) -> None:
            host, _slash, instance = row.partition("/")
            if name == "log":
                ui.navigate.to(f"/logs?host={host}&instance={instance}")
            else:
                await change.offer(view, name, [host], change.named(instance), title=f"{_ACTS[name]} {instance}")

        columns = (*tables.INSTANCES, column("acts", "", "acts"))
        grid = Grid(columns, rows(view), label="instances", find=True, on_act=act,
                    empty="No instance yet: choose a host above and make one.")  # fmt: skip
        layout.live(view, lambda: grid.show(rows(view)))

    @layout.page(panel, "/instances/{host}/{name}", "Instance")
    async def instance(view: View, host: str, name: str) -> None:
        if host not in view.panel.fleet.hosts:
            parts.notice(f"The inventory has no host {text.clean(host, 80)}.", "error")
            return
        Page(view, host, name).fill()


def new_on(view: View) -> None:
    """Where a new instance shall be."""
    hosts = sorted(view.panel.fleet.hosts)
    field = parts.choice("New instance on", hosts, with_input=True)
    field.classes("w-44").on_value_change(
        lambda event: ui.navigate.to(f"/hosts/{event.value}/new") if event.value else None
    )
    field.set_enabled(not view.off("operator"))


def rows(view: View) -> list[Row]:
    """Every instance, with what may be done."""
    off = view.off("operator")
    found = tables.instances(view.panel.fleet.rows())
    for row in found:
        state = row["cells"]["state"]["t"]
        names = ("restart", "stop") if runs(state) else ("start",)
        acts = [
            {"name": name, "t": _ACTS[name], "off": off, "tone": "error" if name == "stop" else ""} for name in names
        ]
        row["cells"]["acts"] = {"acts": [*acts, {"name": "log", "t": "Log"}]}
    return found


def runs(state: str) -> bool:
    """Whether there is something to stop; a server that is started again and again is."""
    return state not in ("stopped", "missing", "cordoned", "failed")


class Page:
    """One instance, live."""

    def __init__(self, view: View, host: str, name: str) -> None:
        self.view, self.host, self.name = view, host, name

    @property
    def row(self) -> dict[str, Any]:
        rows = self.view.panel.fleet.rows()
        return next((row for row in rows if row["host"] == self.host and row["instance"] == self.name), {})

    @property
    def seen(self) -> dict[str, Any]:
        """What the host says of it."""
        host = self.view.panel.fleet.hosts[self.host]
        found = text.dig(host.status, "instances", self.name, default={})
        return found if isinstance(found, dict) else {}

    def fill(self) -> None:
        if not self.row:
            parts.notice(
                f"{self.host} has no instance {text.clean(self.name, 60)}, and no inventory lists it.", "error"
            )
            return
        with parts.headline(self.name):
            parts.link(self.host, tables.where(self.host))
            self.tags = parts.Box("span")
            parts.gap()
            self._buttons()
        self.reasons = parts.Box()
        with parts.columns():
            with parts.sheet():
                self.facts = parts.Box()
            with parts.sheet():
                parts.heading("Memory")
                self.share = parts.Box()
                self.devices = Grid(
                    _DEVICES, devices(self.seen), label="memory by device", empty="Not known: it is not placed yet."
                )
        parts.heading("The exact command")
        self.command = parts.code(self.seen.get("command_line") or "It is not deployed yet.", label="The exact command")
        self._entry()
        self.draw()
        layout.live(self.view, self.draw, [self.host])

    def _buttons(self) -> None:
        off, page = self.view.off("operator"), f"/instances/{self.host}/{self.name}"
        given = change.named(self.name)
        self.acts = {op: change.button(self.view, op, [self.host], given, title=title) for op, title in _ACTS.items()}
        parts.link("Log", f"/logs?host={self.host}&instance={self.name}", "act")
        parts.link("Clone", f"/hosts/{self.host}/new?like={self.name}", "act")
        parts.link("Edit", f"{page}/edit", "act main")
        parts.button("Delete", self._delete, tone="error", off=off)

    def draw(self) -> None:
        row, seen = self.row, self.seen
        self.devices.show(devices(seen))
        said = str(seen.get("command_line") or "It is not deployed yet.")
        if self.command.text != text.lines(said):
            self.command.text = text.lines(said)
        up = runs(str(row.get("state")))
        for op, made in self.acts.items():
            why = ("It runs already." if up else "") if op == "start" else "" if up else "It does not run."
            parts.enable(made, self.view.off("operator") or why)
        for box, fill in (
            (self.tags, self._tags),
            (self.reasons, self._reasons),
            (self.facts, self._facts),
            (self.share, self._share),
        ):
            box.clear()
            with box:
                fill(row, seen)

    def _tags(self, row: dict[str, Any], seen: dict[str, Any]) -> None:
        parts.tag(row.get("state", "gone"), title=str(seen.get("detail") or ""))
        if row.get("residency"):
            parts.tag(row["residency"])
        if seen.get("adopted"):
            parts.tag("adopted", "info")

    def _reasons(self, row: dict[str, Any], _seen: dict[str, Any]) -> None:
        for reason in row.get("reasons", ()):
            parts.notice(reason, "warning")
        if row.get("host_state") != "connected":
            parts.notice("The host is not connected: this is what it said last.", "warning")

    def _facts(self, row: dict[str, Any], seen: dict[str, Any]) -> None:
        parts.facts(
            [
                ("Kind", row.get("kind")),
                ("Model", row.get("model")),
                ("Build", row.get("build_id")),
                ("Endpoint", row.get("endpoint")),
                (
                    "Speed",
                    f"{text.rate(row.get('tokens_per_second'))} tokens/s" if row.get("tokens_per_second") else "",
                ),
                ("Up", text.span(row.get("uptime"))),
                ("PID", seen.get("pid") or ""),
                ("Service", seen.get("detail")),
                ("Starts at boot", {True: "yes", False: "no"}.get(seen.get("enabled"), "")),  # type: ignore[arg-type]
                ("Unit", seen.get("unit")),
                ("Managed by", row.get("managed_by")),
            ]
        )

    def _share(self, _row: dict[str, Any], seen: dict[str, Any]) -> None:
        if seen.get("share"):
            parts.note(seen["share"])
        for reason in seen.get("residency_reasons") or ():
            parts.notice(reason, "warning")

    def _entry(self) -> None:
        found = self.view.panel.changes.instances(self.host).get(self.name)
        parts.heading("Its entry in the inventory")
        if found is None:
            parts.note("No inventory lists it.")
            return
        parts.note(f"From {found.file}, line {found.line} ({found.variable}).")
        parts.code(yaml.safe_dump({self.name: dict(found.fields)}, sort_keys=False), label="Entry")

    async def _delete(self) -> None:
        reason = await parts.confirm(
            f"Delete {self.name} on {self.host}",
            "Its service ends after its requests are done; its unit and entry are removed. Models and builds stay.",
            "Preview the deletion", reason=True,
        )  # fmt: skip
        if reason is not None:
            await change.delete(self.view, self.host, self.name, reason)


def devices(seen: dict[str, Any]) -> list[Row]:
    return [
        {
            "id": text.clean(item.get("id"), 80),
            "tone": "",
            "cells": {
                "id": text.clean(item.get("id"), 80),
                "name": text.clean(item.get("name"), 80),
                "size": tables.share(item.get("actual"), item.get("planned"), planned=True),
            },
        }
        for item in text.rows_of(seen, "devices")
    ]
