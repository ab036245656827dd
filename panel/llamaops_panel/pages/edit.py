# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making and editing an instance: the form, a pasted command, and the way to the preview."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml
from nicegui import ui

from ..changes.entry import EditedMeanwhile
from ..fleet.host import Host
from . import change, layout, parts, text
from .form import Form
from .layout import View

if TYPE_CHECKING:
    from ..panel import Panel

_FIRST_PORT = 8080


def build(panel: Panel) -> None:
    @layout.page(panel, "/hosts/{host}/new", "New instance", role="operator")
    async def new(view: View, host: str, like: str = "", adopt: str = "") -> None:
        found = view.panel.fleet.hosts.get(host)
        if found is None:
            parts.notice(f"The inventory has no host {text.clean(host, 80)}.", "error")
            return
        name, entry = begun(view, found, like, adopt)
        await Editor(view, found, name, entry, "").fill()

    @layout.page(panel, "/instances/{host}/{name}/edit", "Edit instance", role="operator")
    async def edit(view: View, host: str, name: str) -> None:
        found = view.panel.fleet.hosts.get(host)
        held = await layout.aside(view.panel.changes.instances, host) if found else {}
        if found is None or name not in held:
            parts.notice(f"No inventory lists {text.clean(name, 60)} on {text.clean(host, 80)}.", "error")
            return
        entry = held[name]
        if entry.managed_by != "panel":
            parts.notice(
                f"It stands in {entry.file}, line {entry.line}, which is yours: the panel shows what to change there.",
                "info",
            )
        await Editor(view, found, name, entry.fields, entry.revision).fill()


def begun(view: View, host: Host, like: str, adopt: str) -> tuple[str, Mapping[str, Any]]:
    """What the form of a new instance begins with."""
    if adopt:
        process = next((item for item in text.rows_of(host.status, "unmanaged") if str(item.get("pid")) == adopt), {})
        if not process:
            parts.notice(f"{host.name} no longer has a server {text.clean(adopt, 20)} that nobody manages.", "error")
        for said in text.dig(process, "notes", default=[]):
            parts.notice(said, "warning")
        return text.clean(process.get("name") or "", 40), {**text.dig(process, "definition", default={}), "adopt": True}
    fields: dict[str, Any] = {}
    if like:
        held = view.panel.changes.instances(host.name).get(like)
        fields = dict(held.fields) if held else {}
        fields.pop("alias", None)
    return "", {**fields, "port": free_port(host)}


def free_port(host: Host) -> int:
    """The first port that no instance of the host has, by its inventory and by what runs."""
    taken: set[int] = set()
    for key, value in host.variables.items():
        if key.startswith("llama_instances") and isinstance(value, Mapping):
            taken |= {
                item["port"]
                for item in value.values()
                if isinstance(item, Mapping) and isinstance(item.get("port"), int)
            }
    for item in text.dig(host.status, "instances", default={}).values():
        port = str(item.get("url") or "").rpartition(":")[2]
        taken |= {int(port)} if port.isdigit() else set()
    return next(port for port in range(_FIRST_PORT, 65536) if port not in taken)


class Editor:
    """The form with its buttons."""

    def __init__(self, view: View, host: Host, name: str, entry: Mapping[str, Any], revision: str) -> None:
        self.view, self.host, self.name, self.entry, self.revision = view, host, name, entry, revision

    async def fill(self) -> None:
        with parts.headline(
            f"{self.name} on {self.host.name}" if self.revision else f"New instance on {self.host.name}"
        ):
            if self.host.link.state != "connected":
                parts.tag(self.host.link.state, title=self.host.link.error)
            parts.gap()
            parts.button("Paste a command", self._paste)
            parts.button("Preview", self._preview, main=True)
        self.trouble = parts.Box()
        self.form = Form(self.view, self.host, self.name, self.entry, fixed=bool(self.revision))
        self.form.fill()

    def _say(self, said: str, tone: str = "error") -> None:
        with self.trouble:
            parts.notice(said, tone)

    async def _preview(self) -> None:
        self.trouble.clear()
        try:
            name, entry = self.form.entry()
            proposal = await layout.aside(self.view.panel.changes.propose, self.host.name, name, entry, self.revision)
        except EditedMeanwhile as exc:
            self._conflict(exc)
            return
        except layout.TROUBLE as exc:
            self._say(layout.explained(exc))
            return
        await change.entry(self.view, self.host.name, name, proposal)

    def _conflict(self, exc: EditedMeanwhile) -> None:
        """Somebody else changed it meanwhile: say what, and let the user take theirs into the form."""
        self._say(f"{layout.explained(exc)} Nothing was written.")
        with self.trouble:
            parts.code(yaml.safe_dump(exc.details, sort_keys=False), label="What changed")
            parts.button("Take the newer one into the form", self._newer)

    async def _newer(self) -> None:
        held = (await layout.aside(self.view.panel.changes.instances, self.host.name)).get(self.name)
        if held is not None:
            self.revision = held.revision
            self.form.load(self.name, held.fields)
            self.trouble.clear()

    async def _paste(self) -> None:
        dialog, box = parts.dialog("Paste a command")
        with box:
            parts.note("A command of llama-server, or a systemd unit with one. Nothing is run.")
            area = ui.textarea("Command").props("outlined autogrow autofocus").classes("w-full mono")
            trouble = parts.Box()

            async def understand() -> None:
                trouble.clear()
                try:
                    said = await self.view.panel.fleet.ask(self.host.name, "paste", text=str(area.value or ""))
                except layout.TROUBLE as exc:
                    with trouble:
                        parts.notice(layout.explained(exc), "error")
                    return
                dialog.submit(said)

            parts.button("Fill the form", understand, main=True)
        said = await dialog
        dialog.delete()
        if isinstance(said, Mapping):
            entry = text.dig(said, "definition", default={})
            name = self.name if self.revision else text.clean(said.get("name"), 40)
            self.form.load(name, {"port": free_port(self.host), **entry})
            self.trouble.clear()
            for note in said.get("notes") or ():
                self._say(text.clean(note, 400), "warning")
