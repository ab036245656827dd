# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A form for any operation, made of the fields that it says it has, and the way to its preview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ..jobs.fields import Field
from ..jobs.operations import PREVIEWED
from . import change, layout, parts, text
from .layout import View


def button(
    view: View, op: str, hosts: Sequence[str], given: Mapping[str, Any] | None = None, *, title: str = "",
    main: bool = False,
) -> None:  # fmt: skip
    """A button that opens the form of an operation; greyed with the reason where the user may not."""
    known = view.panel.jobs.operations().get(op)
    if known is None:
        return

    async def opened() -> None:
        await form(view, op, hosts, given or {}, title=title)

    made = parts.button(title or known.title, opened, off=view.off(known.needs), main=main)
    if not view.off(known.needs):
        made._props["title"] = known.help


async def form(view: View, op: str, hosts: Sequence[str], given: Mapping[str, Any], *, title: str = "") -> None:
    """Ask for hosts and fields, then show what it would do; an operation without fields on one host asks nothing."""
    known = view.panel.jobs.operations()[op]
    fields = [field for field in known.fields if field.name != PREVIEWED]
    if not fields and len(hosts) == 1:
        await change.offer(view, op, hosts, given, title=title)
        return
    dialog, box = parts.dialog(title or known.title)
    with box:
        parts.note(known.help)
        first = list(hosts) if len(hosts) == 1 else []
        chosen = parts.choice("Hosts", sorted(view.panel.fleet.hosts), first, multiple=True)
        chosen.props("use-chips").classes("w-full")
        with parts.Box(classes="form").style("margin-top: 8px"):
            controls = {field.name: (field, _control(field, given.get(field.name))) for field in fields}
        trouble = parts.Box()

        async def preview() -> None:
            trouble.clear()
            try:
                said = {name: _value(field, control.value) for name, (field, control) in controls.items()}
                if not chosen.value:
                    raise ValueError("Choose at least one host.")
            except ValueError as exc:
                with trouble:
                    parts.notice(layout.explained(exc), "error")
                return
            dialog.close()
            asked = {name: value for name, value in said.items() if value is not None}
            await change.offer(view, op, list(chosen.value), asked, title=title)

        with parts.Box(classes="headline foot"):
            parts.button("Preview", preview, main=True)
    dialog.open()


def _control(field: Field, value: Any) -> Any:
    value = field.default if value is None else value
    label = f"{text.clean(field.title, 60)}{' *' if field.required else ''}"
    if field.kind == "switch":
        made: Any = parts.choice(label, ["yes", "no"], {True: "yes", False: "no"}.get(value), clearable=True)
    elif field.kind == "choice":
        made = parts.choice(label, field.choices, value if value in field.choices else None, clearable=True)
    else:
        made = parts.field(label, _shown(value))
    made._props["hint"] = text.clean(field.help, 200)
    return made


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    return str(yaml.safe_dump(value, default_flow_style=True)).replace("...", "").strip()


def _value(field: Field, raw: Any) -> Any:
    """The value of a field as its kind says, None where nothing is given.

    :raises ValueError: it cannot be one, or a needed one is missing.
    """
    said = str(raw or "").strip()
    if not said:
        if field.required:
            raise ValueError(f"{field.title} is needed.")
        return None
    if field.kind == "switch":
        return said == "yes"
    if field.kind == "number":
        return int(said)
    if field.kind in ("list", "names"):
        return [item.strip() for item in said.split(",") if item.strip()]
    if field.kind == "table":
        found = yaml.safe_load(said)
        if not isinstance(found, dict):
            raise ValueError(f"{field.title}: give it as YAML, such as {{key: value}}.")
        return found
    return said
