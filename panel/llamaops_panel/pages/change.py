# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way of changing something: what it is, what it would do (a run with --check --diff), then the run itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from ..fleet.host import Host
from . import events, layout, parts, text
from .grid import Row, column
from .layout import View
from .logview import LogView

STRANGERS = (
    column("tool", "Server"),
    column("pid", "PID", "num"),
    column("who", "User", "tight"),
    column("port", "Port", "num"),
    column("model", "Model", "mono"),
    column("unit", "Unit", "mono"),
    column("notes", "To know", "wide"),
    column("acts", "", "acts"),
)


def button(
    view: View,
    op: str,
    hosts: Sequence[str],
    given: Mapping[str, Any] | None = None,
    *,
    title: str = "",
    off: str = "",
    tone: str = "",
) -> parts.Said:
    """A button for an operation; greyed with the reason where the user or the state does not allow it."""
    known = view.panel.jobs.operations()[op]
    off = view.off(known.needs) or off

    async def offered() -> None:
        await offer(view, op, hosts, given or {}, title=title)

    return parts.button(title or known.title, offered, off=off, tone=tone or ("error" if known.disruptive else ""))


async def offer(
    view: View, op: str, hosts: Sequence[str], given: Mapping[str, Any], *, title: str = "", proposal: Any = None
) -> None:
    """Show what a change would do, and do it when the user wants it."""
    await Offer(view, op, list(hosts), dict(given), title, proposal).show()


class Offer:
    """A change that is looked at before it is made."""

    def __init__(self, view: View, op: str, hosts: list[str], given: dict[str, Any], title: str, proposal: Any) -> None:
        self.view, self.op, self.hosts, self.given, self.proposal = view, op, hosts, given, proposal
        self.operation = view.panel.jobs.operations()[op]
        self.title = title or self.operation.title

    async def show(self) -> None:
        self.dialog, box = parts.dialog(f"{self.title} · {', '.join(self.hosts)[:80]}")
        self.dialog.props("persistent")
        with box:
            if self.proposal is not None:
                self._inventory()
            parts.heading("The command")
            parts.code(
                layout.shell(self.view.panel.jobs.command(self.op, self.hosts, self.given, False)), label="Command"
            )
            parts.heading("What it would do")
            self.state = parts.Box()
            self.progress = events.Progress()
            self.log = LogView(f"preview-{self.op}")
            with parts.Box(classes="headline foot"):
                self.apply = parts.button("Apply", self._apply, main=True, off="The preview is not finished.")
                parts.button("Preview again", self._preview)
                parts.gap()
                parts.button("Discard", self.dialog.close)
        self.dialog.open()
        self.dialog.on("hide", self._hidden)
        await self._preview()

    def _inventory(self) -> None:
        """What is written where; an operator's own file is theirs to change."""
        written = self.proposal.writable
        parts.heading(
            f"To be written to {self.proposal.file}" if written else f"For you to change in {self.proposal.file}"
        )
        parts.diff(self.proposal.diff or "Nothing changes in the inventory.")
        if not written:
            parts.notice("The panel never writes your files: change it there, then deploy.", "warning")
        for conflict in self.proposal.conflicts:
            parts.notice(conflict, "error")

    async def _preview(self) -> None:
        panel = self.view.panel
        self.log.reset()
        parts.enable(self.apply, "The preview is not finished.")
        self._say("It runs with --check --diff: nothing is changed.", "info")
        try:
            self.view.sure(self.operation.needs)
            job = await panel.jobs.submit(self.op, self.hosts, self._checked(), check=True, by=self.view.user.name)
            self.job = await events.follow(self.view, job.id, self.log, self.progress)
        except layout.TROUBLE as exc:
            self._say(layout.explained(exc), "error")
            return
        good = self.job.state == "succeeded"
        mine = self.proposal is None or (self.proposal.writable and not self.proposal.conflicts)
        off = "" if good else "The preview failed: see why, mend it, and preview again."
        parts.enable(self.apply, off if mine else off or "It stands in a file that is yours to change.")
        self._say(self.job.summary or self.job.state, "ok" if good else "error")

    def _checked(self) -> dict[str, Any]:
        """What the preview is given: the entry that is not written yet, too."""
        return self.given if self.proposal is None else {**self.given, **self.proposal.preview}

    def _say(self, said: str, tone: str) -> None:
        self.state.clear()
        with self.state:
            parts.notice(said, tone)

    async def _apply(self) -> None:
        panel = self.view.panel
        parts.enable(self.apply, "It begins.")
        try:
            self.view.sure(self.operation.needs)
            if self.proposal is not None:
                await layout.aside(panel.changes.write, self.proposal, self.view.user.name)
                await panel.fleet.reload()
            job = await panel.jobs.submit(self.op, self.hosts, self.given, check=False, by=self.view.user.name)
        except layout.TROUBLE as exc:
            self._say(layout.explained(exc), "error")
            return
        ui.navigate.to(f"/jobs/{job.id}")

    def _hidden(self) -> None:
        self.dialog.delete()


def strangers(host: Host, view: View) -> list[Row]:
    """The servers of a host that nobody manages, as rows."""
    return [_stranger(item, view.off("operator")) for item in text.rows_of(host.status, "unmanaged")]


def _stranger(item: Mapping[str, Any], off: str) -> Row:
    entry, notes = text.dig(item, "definition", default={}), text.dig(item, "notes", default=[])
    keeper = text.clean(item.get("unit") or item.get("container") or "", 120)
    kept = f"{keeper or 'A container'} has it and starts it again: end it there first."
    why = off or (kept if item.get("belongs") == "external" else "")
    why = why or ("" if entry else "The active build does not take its command.")
    cells = {
        "tool": {"t": text.clean(item.get("tool"), 40), "title": text.clean(item.get("exe") or "", 300)},
        "pid": str(item.get("pid") or ""),
        "who": text.clean(item.get("user") or "", 40),
        "port": text.clean(text.dig(entry, "port", default=""), 10),
        "model": text.clean(text.dig(entry, "model", default=""), 200),
        "unit": keeper,
        "notes": text.clean(" ".join(str(note) for note in notes) if isinstance(notes, list) else "", 400),
        "acts": {"acts": [{"name": "adopt", "t": "Adopt", "off": why}]},
    }
    return {"id": str(item.get("pid")), "tone": "warning", "cells": cells}


async def adopt(view: View, host: Host, pid: str) -> None:
    """Take a running server over: its command fills the form of a new instance, which says `adopt`."""
    ui.navigate.to(f"/hosts/{host.name}/new?adopt={pid}")


def named(instance: str) -> dict[str, Any]:
    """What an operation on one instance is given."""
    return {"instance": [instance]}


async def entry(view: View, host: str, name: str, proposal: Any) -> None:
    """Write an entry and deploy it, after a look at both."""
    await offer(view, "deploy", [host], named(name), title=f"Deploy {name}", proposal=proposal)


async def delete(view: View, host: str, name: str, reason: str) -> None:
    """Remove an instance, and its entry where it is the panel's."""
    await view.panel.store.audit.write(view.user.name, "asks to delete", f"{host}/{name}", result=reason or "ok")
    held = (await layout.aside(view.panel.changes.instances, host)).get(name)
    proposal = None
    if held is not None:
        try:
            proposal = await layout.aside(view.panel.changes.propose, host, name, None, held.revision)
        except layout.TROUBLE as exc:
            parts.tell(layout.explained(exc), "error")
            return
    await offer(view, "delete", [host], named(name), title=f"Delete {name}", proposal=proposal)
