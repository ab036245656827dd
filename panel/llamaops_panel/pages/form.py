# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of an instance: fields by the capabilities of the build, and the plan and the command as one types."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping
from typing import Any

from nicegui import background_tasks, ui
from nicegui.elements.mixins.disableable_element import DisableableElement

from .. import planned
from ..fleet.host import Host
from . import fields, layout, parts, plans, tables, text
from .fields import CHOICE, FIELDS, GROUPS, SWITCH, WHOLE, WORDS, Field
from .layout import View

_PAUSE = 0.4  # seconds without a key before the plan is asked for again


class Form:
    """The fields of one instance of one host."""

    def __init__(self, view: View, host: Host, name: str, entry: Mapping[str, Any], *, fixed: bool) -> None:
        self.view, self.host, self.fixed = view, host, fixed
        self.first, self.first_name = dict(entry), name
        self.document: dict[str, Any] = {}
        self.controls: dict[str, Any] = {}
        self.lacking: dict[str, str] = {}  # why a field is greyed
        self.options: dict[str, Any] = {}
        self._soon: asyncio.Task[None] | None = None

    def fill(self) -> None:
        """Make the fields on the left, the plan on the right."""
        with parts.columns():
            with parts.Box():
                self._fields()
            with parts.sheet("plan").style("position: sticky; top: 52px"):
                with parts.Box(classes="headline"):
                    parts.heading("Plan")
                    self.verdict = parts.Box("span")
                self.answer = parts.Box()
        self.load(self.first_name, self.first)
        layout.run(self._capabilities())

    def _fields(self) -> None:
        with parts.sheet("form"):
            self.name = parts.field("Name", self.first_name).on_value_change(self._touched)
            if self.fixed:
                self.name.disable()
        for title, held in GROUPS:
            with (
                ui.expansion(title, value=title != "Answers" and title != "Life")
                .props("dense dense-toggle")
                .classes("w-full"),
                parts.Box(classes="form"),
            ):
                if title == "Memory":
                    self._devices()
                for field in held:
                    self.controls[field.name] = self._control(field)
        with ui.expansion("Flags of the build", value=True).props("dense dense-toggle").classes("w-full"):
            self.add = parts.choice("Add a flag", {}, with_input=True, on_change=self._add).classes("w-full")
            self.rows = parts.Box(classes="form")
        with ui.expansion("Everything else, as YAML").props("dense dense-toggle").classes("w-full"):
            self.rest = ui.textarea(value=fields.rest(self.first), on_change=self._touched)
            self.rest.props("outlined dense autogrow").classes("w-full mono")

    def _devices(self) -> None:
        gpus = {
            str(gpu.get("id")): text.clean(f"{gpu.get('name')} · {gpu.get('id')}", 80)
            for gpu in tables.gpus_of(self.host)
        }
        known = {**gpus, "none": "none: on the processor"}
        chosen = _chosen(self.first.get("devices"), known)
        self.devices = parts.choice("GPUs", known, chosen, multiple=True, on_change=self._touched)
        self.devices.props("use-chips hint='the plan chooses where none is named'").classes("wide")

    def _control(self, field: Field) -> Any:
        """A control with the value that it begins with: one that came after it would overwrite what is typed."""
        shown: Any
        first = fields.raw(field, fields.of(self.first, field.name))
        if field.name == "model":
            shown = parts.field(field.label, first, autocomplete=self._models()).classes("wide")
        elif field.kind == SWITCH:
            shown = parts.choice(field.label, ["yes", "no"], first, clearable=True)
        elif field.kind == WORDS and field.values:
            listed = [*field.values, *(item for item in first if item not in field.values)]
            shown = parts.choice(field.label, listed, first, multiple=True).props("use-chips").classes("wide")
        elif field.kind == CHOICE:
            listed = [*field.values, *(self._builds() if field.name == "build" else ())]
            listed += [] if first is None or first in listed else [first]
            shown = parts.choice(field.label, listed, first, clearable=True)
        else:
            shown = parts.field(field.label, first)
            if field.kind == WHOLE:
                shown.props("inputmode=text")
        if field.hint:
            shown._props["hint"] = field.hint
        shown._props["for"] = f"field-{field.name.replace('.', '-')}"
        shown.on_value_change(self._touched)
        return shown

    def _models(self) -> list[str]:
        return [text.clean(item.get("name"), 80) for item in text.rows_of(self.host.models, "sets")]

    def _builds(self) -> list[str]:
        return [text.clean(item.get("id"), 80) for item in text.rows_of(self.host.builds, "builds")]

    def load(self, name: str, entry: Mapping[str, Any]) -> None:
        """Show an entry of an inventory."""
        self.name.value = name
        for key, control in self.controls.items():
            found = fields.raw(FIELDS[key], fields.of(entry, key))
            if (
                isinstance(control, ui.select)
                and not isinstance(found, list)
                and found is not None
                and found not in control.options
            ):
                control.options = [*control.options, found]
                control.update()
            control.value = found
        devices = entry.get("devices")
        known = _chosen(devices, self.devices.options)
        self.devices.value = known
        self.kept = devices if devices not in (None, "none") and not known else None  # {count: 2} and the like
        self.options = dict(entry.get("options") or {})
        self.rest.value = fields.rest(entry)
        self._option_rows()
        self._touched()

    def entry(self) -> tuple[str, dict[str, Any]]:
        """Name and entry as they are now.

        :raises ValueError: the YAML cannot be read.
        """
        found: dict[str, Any] = {}
        for key, control in self.controls.items():
            given = fields.value(FIELDS[key], control.value)
            if given is not None:
                fields.put(found, key, given)
        chosen = list(self.devices.value or [])
        if chosen or self.kept is not None:
            found["devices"] = "none" if "none" in chosen else chosen or self.kept
        if self.options:
            found["options"] = dict(self.options)
        return str(self.name.value or "").strip(), {**found, **fields.read_rest(str(self.rest.value or ""))}

    # flags

    async def _capabilities(self) -> None:
        build = str(self.controls["build"].value or "active")
        try:
            said = await self.view.panel.fleet.ask(self.host.name, "capabilities", build=build)
        except layout.TROUBLE as exc:
            self.add._props["hint"] = text.clean(layout.explained(exc))
            self.add.update()
            return
        self.document = text.dig(said, "document", default=said if "options" in said else {})
        self.build = text.clean(said.get("build") or self.host.builds.get("active") or build, 80)
        self._grey()
        self.add.options = fields.flags(self.document)
        self.add.update()
        self._option_rows()

    def _grey(self) -> None:
        """Grey what the build lacks, and say so. What stays as it was is left alone: with a control its value is sent
        too, over what somebody types into it at this moment.
        """
        for key, control in self.controls.items():
            why = fields.missing(FIELDS[key], self.document, self.build)
            if why == self.lacking.get(key, ""):
                continue
            self.lacking[key] = why
            if isinstance(control, DisableableElement):
                control.set_enabled(not why)
            control._props["hint"] = why or FIELDS[key].hint
            control.classes(add="greyed" if why else "", remove="" if why else "greyed").update()

    def _add(self) -> None:
        key = self.add.value
        if key and key not in self.options:
            held = fields.option_values(self.document, key)
            self.options[key] = fields.option_value(held[0]) if held else ""
            self._option_rows()
            self._touched()
        self.add.value = None

    def _option_rows(self) -> None:
        self.rows.clear()
        with self.rows:
            for key, value in self.options.items():
                self._option(key, value)

    def _option(self, key: str, value: Any) -> None:
        why, held = "", None
        try:
            held = fields.option_values(self.document, key) if self.document else None
        except KeyError:
            why = f"The build {self.build} has no such flag: use a newer build, or take it out."
        said = (
            str(value).lower()
            if isinstance(value, bool)
            else ", ".join(map(str, value))
            if isinstance(value, list)
            else ""
            if value is None
            else str(value)
        )

        def changed(event: Any) -> None:
            self.options[key] = fields.option_value(str(event.value or ""))
            self._touched()

        def dropped() -> None:
            self.options.pop(key, None)
            self._option_rows()
            self._touched()

        with parts.Box(classes="greyed" if why else ""):
            label = text.clean(key, 60)
            if held:
                control: Any = parts.choice(label, [*held, *([said] if said not in held else [])], said)
            else:
                control = parts.field(label, said)
            control.on_value_change(changed)
            control._props["hint"] = why
            parts.button("Remove", dropped)

    # the plan

    def _touched(self) -> None:
        if self._soon:
            self._soon.cancel()
        self._soon = background_tasks.create(self._plan())

    async def _plan(self) -> None:
        await asyncio.sleep(_PAUSE)
        try:
            name, entry = self.entry()
            if not entry.get("model"):
                self._show("no model", "off", None)
                return
            said = await planned.plan(self.view.panel.fleet, self.view.user, self.host.name, name or "new", entry)
        except layout.TROUBLE as exc:
            self._show("no plan", "warning", None, layout.explained(exc))
            return
        fits = plans.fitting(said, self.host)
        self._show("fits" if fits else "does not fit", "ok" if fits else "error", said)

    def _show(self, word: str, tone: str, said: Mapping[str, Any] | None, trouble: str = "") -> None:
        if self.verdict.is_deleted:
            return
        self.verdict.clear()
        with self.verdict:
            parts.tag(word, tone)
        self.answer.clear()
        with self.answer:
            if trouble:
                parts.notice(trouble, "warning")
            if said is not None:
                plans.answer(said, self.host)
            elif not trouble:
                parts.note("Name a model, and the plan appears here as you type.")


def _chosen(devices: Any, known: Container[str]) -> list[str]:
    """What a list of GPUs to choose from has of an entry's."""
    if isinstance(devices, list):
        return [item for item in devices if item in known]
    return ["none"] if devices == "none" else []
