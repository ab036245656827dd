# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds: what every host has, which is active, what a new one needs, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..fleet.host import Host
from . import ask, change, jobs, layout, parts, tables, text
from .grid import Grid, Row, column
from .layout import View

if TYPE_CHECKING:
    from ..panel import Panel

_COLUMNS = (
    column("host", "Host"),
    column("id", "Build", "mono"),
    column("state", "State", "tight"),
    column("source", "Source", "mono"),
    column("commit", "Commit", "mono", less=True),
    column("size", "Size", "num"),
    column("users", "Used by", "wide"),
    column("acts", "", "acts"),
)
_DISK = (
    column("host", "Host"),
    column("active", "Active", "mono"),
    column("previous", "Previous", "mono"),
    column("builds", "Builds take", "num"),
    column("work", "Work", "num", less=True),
    column("cache", "Cache", "num", less=True),
    column("free", "Free", "num"),
    column("acts", "", "acts"),
)


def build(panel: Panel) -> None:
    @layout.page(panel, "/builds", "Builds")
    async def builds(view: View, host: str = "") -> None:
        names = [host] if host in view.panel.fleet.hosts else sorted(view.panel.fleet.hosts)

        def hosts() -> list[Host]:
            return [view.panel.fleet.hosts[name] for name in names if name in view.panel.fleet.hosts]

        with parts.headline(f"Builds on {host}" if host else "Builds"):
            parts.gap()
            ask.button(view, "build", names, title="New build", main=True)
            ask.button(view, "update", names)
        parts.heading("Hosts")

        async def back(_name: str, row: str) -> None:
            await change.offer(view, "rollback", [row], {}, title=f"Roll {row} back")

        async def activate(_name: str, row: str) -> None:
            name, _blank, identity = row.partition(" ")
            await change.offer(view, "activate", [name], {"build": identity}, title=f"Activate {identity}")

        disks = Grid(_DISK, [_disk(view, item) for item in hosts()], label="hosts", on_act=back)
        parts.heading("Builds")
        grid = Grid(
            _COLUMNS, rows(view, hosts()), label="builds", find=True, on_act=activate, empty="No build yet: make one."
        )
        parts.heading("History")
        past = Grid(jobs.COLUMNS, history(view, host), label="jobs of builds", empty="The panel has built nothing yet.")

        def draw() -> None:
            disks.show([_disk(view, item) for item in hosts()])
            grid.show(rows(view, hosts()))
            past.show(history(view, host))

        layout.live(view, draw, [host] if host else None)


def history(view: View, host: str) -> list[Row]:
    """The newest jobs that made or chose a build."""
    found = [item for op in ("build", "activate", "rollback", "update")
             for item in view.panel.jobs.list(host=host or None, op=op, limit=20, before=None)]  # fmt: skip
    return jobs.rows(view, sorted(found, key=lambda item: -item.created)[:20])


def rows(view: View, hosts: list[Host]) -> list[Row]:
    return [_build(view, host, item) for host in hosts for item in text.rows_of(host.builds, "builds")]


def _build(view: View, host: Host, item: Mapping[str, Any]) -> Row:
    identity, state = text.clean(item.get("id"), 80), _state(host, item)
    off = view.off("operator") or ("It is active already." if state == "active" else "")
    recipe = item.get("recipe") if isinstance(item.get("recipe"), Mapping) else {}
    source = item.get("source") or text.dig(recipe, "source")
    shown = (
        " ".join(str(source.get(key)) for key in ("type", "ref", "version") if source.get(key))
        if isinstance(source, Mapping)
        else source
    )
    users = item.get("users") or item.get("used_by") or []
    return {
        "id": f"{host.name} {identity}",
        "tone": "",
        "cells": {
            "host": {"t": host.name, "href": tables.where(host.name)},
            "id": identity,
            "state": {"t": state, "tone": {"active": "ok", "previous": "info"}.get(state, "off")} if state else "",
            "source": text.clean(shown or "", 120),
            "commit": text.clean(item.get("commit") or "", 40)[:12],
            "size": {"t": text.size(item.get("size")), "sort": item.get("size") or 0},
            "users": ", ".join(text.clean(user, 40) for user in users) if isinstance(users, list) else "",
            "acts": {"acts": [{"name": "activate", "t": "Activate", "off": off}]},
        },
    }


def _state(host: Host, item: Mapping[str, Any]) -> str:
    return next((word for word in ("active", "previous") if host.builds.get(word) == item.get("id")), "")


def _disk(view: View, host: Host) -> Row:
    disk = text.dig(host.builds, "disk", default={})
    off = view.off("operator") or ("" if host.builds.get("previous") else "There is no previous build.")
    sizes = {
        key: {"t": text.size(disk.get(key)), "sort": disk.get(key) or 0} for key in ("builds", "work", "cache", "free")
    }
    marks = {key: text.clean(host.builds.get(key) or "–", 80) for key in ("active", "previous")}
    acts = {"acts": [{"name": "rollback", "t": "Roll back", "off": off, "tone": "error"}]}
    return {
        "id": host.name,
        "tone": "",
        "cells": {"host": {"t": host.name, "href": tables.where(host.name)}, **marks, **sizes, "acts": acts},
    }
