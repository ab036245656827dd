# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models of every host: sets, where they lie, whether they are whole, what may go, and bringing new ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..candidates import look_up, quantisation
from ..fleet.host import Host
from . import ask, jobs, layout, parts, tables, text
from .grid import Grid, Row, column
from .layout import View

if TYPE_CHECKING:
    from ..panel import Panel

_SETS = (
    column("name", "Set"),
    column("host", "Host", "tight"),
    column("state", "State", "tight"),
    column("source", "Source", "mono"),
    column("what", "What"),
    column("quant", "Quantisation", "tight"),
    column("size", "Size", "num"),
    column("files", "Files", "num"),
    column("revision", "Revision", "mono", less=True),
    column("users", "Used by", "wide"),
    column("store", "Store", "mono", less=True),
)
_STORES = (
    column("path", "Store", "mono"),
    column("host", "Host", "tight"),
    column("sets", "Sets", "num"),
    column("used", "They take", "num"),
    column("free", "Free", "num"),
)
_CANDIDATES = (
    column("path", "File", "mono"),
    column("quant", "Quantisation", "tight"),
    column("size", "Size", "num"),
    column("files", "Files", "num"),
    column("acts", "", "acts"),
)


def build(panel: Panel) -> None:
    @layout.page(panel, "/library", "Library")
    async def library(view: View, host: str = "", ref: str = "") -> None:
        names = [host] if host in view.panel.fleet.hosts else sorted(view.panel.fleet.hosts)

        def hosts() -> list[Host]:
            return [view.panel.fleet.hosts[name] for name in names if name in view.panel.fleet.hosts]

        with parts.headline(f"Library of {host}" if host else "Library"):
            parts.gap()
            ask.button(view, "download", names, title="Download a model", main=True)
            ask.button(view, "gc", names, title="Clean up")
        Resolve(view, names, ref).fill()
        parts.heading("Sets")
        grid = Grid(_SETS, sets(hosts()), label="model sets", find=True, empty="No model yet: download one.")
        parts.heading("Stores")
        places = Grid(_STORES, stores(hosts()), label="stores", empty="No host has said where its models lie.")
        parts.heading("History")
        past = Grid(
            jobs.COLUMNS, history(view, host), label="jobs of models", empty="The panel has brought no model yet."
        )

        def draw() -> None:
            grid.show(sets(hosts()))
            places.show(stores(hosts()))
            past.show(history(view, host))

        layout.live(view, draw, [host] if host else None)


def history(view: View, host: str) -> list[Row]:
    found = [
        item
        for op in ("download", "models", "gc")
        for item in view.panel.jobs.list(host=host or None, op=op, limit=20, before=None)
    ]
    return jobs.rows(view, sorted(found, key=lambda item: -item.created)[:20])


def sets(hosts: list[Host]) -> list[Row]:
    return [_set(host, item) for host in hosts for item in text.rows_of(host.models, "sets")]


def _set(host: Host, item: Mapping[str, Any]) -> Row:
    name, files = text.clean(item.get("name"), 80), text.rows_of(item, "files")
    running = text.dig(host.status, "instances", default={})
    users = [
        user for user, seen in running.items() if isinstance(seen, Mapping) and seen.get("model") == item.get("name")
    ]
    whole, lost = item.get("whole", True), item.get("missing") or []
    state = "complete" if whole else "incomplete"
    lacks = f"Not as recorded: {', '.join(map(str, lost))}" if isinstance(lost, list) and lost else ""
    return {
        "id": f"{host.name} {name}",
        "tone": "" if whole else "error",
        "cells": {
            "name": name,
            "host": {"t": host.name, "href": tables.where(host.name)},
            "state": {"t": state, "tone": "ok" if whole else "error", "title": text.clean(lacks)},
            "source": text.clean(item.get("source") or "", 160),
            "what": _what(item),
            "quant": quantisation(str(files[0].get("path", ""))) if files else "",
            "size": {"t": text.size(item.get("size")), "sort": item.get("size") or 0},
            "files": str(len(files) or ""),
            "revision": text.clean(item.get("revision") or "", 40)[:12],
            "users": ", ".join(text.clean(user, 40) for user in users),
            "store": text.clean(item.get("store") or "", 120),
        },
    }


def _what(item: Mapping[str, Any]) -> str:
    """Architecture, parameters and trained context of a set, as far as it says them."""
    count, context = item.get("parameters"), item.get("context_length")
    said = [text.clean(item.get("architecture") or "", 40)]
    said += [f"{count / 1e9:.1f} B" if count >= 1e8 else f"{count / 1e6:.1f} M"] if isinstance(count, int) else []
    said += [f"{context} tokens"] if isinstance(context, int) else []
    return ", ".join(said)


def stores(hosts: list[Host]) -> list[Row]:
    return [_store(host, item) for host in hosts for item in text.rows_of(host.models, "stores")]


def _store(host: Host, item: Mapping[str, Any]) -> Row:
    path = text.clean(item.get("path"), 200)
    held = [item for item in text.rows_of(host.models, "sets") if item.get("store") == path]
    taken = sum(item["size"] for item in held if isinstance(item.get("size"), int))
    cells = {
        "path": path,
        "host": {"t": host.name, "href": tables.where(host.name)},
        "sets": str(len(held)),
        "used": {"t": text.size(taken), "sort": taken},
        "free": {"t": text.size(item.get("free")), "sort": item.get("free") or 0},
    }
    return {"id": f"{host.name} {path}", "tone": "", "cells": cells}


class Resolve:
    """What a reference to a hub means: its models, their sizes, the one that would be chosen."""

    def __init__(self, view: View, hosts: list[str], ref: str) -> None:
        self.view, self.hosts, self.ref = view, hosts, ref

    def fill(self) -> None:
        with parts.sheet("headline"):
            self.field = parts.field("A reference, such as owner/repo:Q4_K_M", self.ref).classes("w-80")
            self.field.on("keydown.enter", self._resolve)
            first = self.hosts[0] if self.hosts else None
            self.host = parts.choice("for the host", self.hosts, first).classes("w-40")
            parts.button("Look it up", self._resolve, off=self.view.off())
        self.answer = parts.Box()

    async def _resolve(self) -> None:
        host = self.view.panel.fleet.hosts.get(str(self.host.value))
        endpoint = str(host.variables.get("llama_models_endpoint") or "") if host else ""
        self.answer.clear()
        with self.answer:
            parts.note("It is asked …")
        try:
            self.view.sure("operator")
            said = await layout.aside(look_up, str(self.field.value or ""), endpoint)
        except layout.TROUBLE as exc:
            said = {"trouble": layout.explained(exc)}
        self.answer.clear()
        with self.answer:
            self._show(said)

    def _show(self, said: Mapping[str, Any]) -> None:
        if said.get("trouble"):
            parts.notice(said["trouble"], "warning" if said.get("candidates") else "error")
        parts.facts([("Commit", said.get("revision"))])
        rows = [self._candidate(item) for item in text.rows_of(said, "candidates")]
        if rows:
            Grid(_CANDIDATES, rows, label="candidates", find=True, on_act=self._take)

    def _candidate(self, item: Mapping[str, Any]) -> Row:
        path = text.clean(item.get("path"), 300)
        tags = [{"t": "chosen", "tone": "ok"}] if item.get("chosen") else []
        cells = {
            "path": {"t": path, "tags": tags},
            "quant": text.clean(item.get("quant") or "", 40),
            "size": {"t": text.size(item.get("size")), "sort": item.get("size") or 0},
            "files": str(item.get("files") or ""),
            "acts": {"acts": [{"name": "take", "t": "Download", "off": self.view.off("operator")}]},
        }
        return {"id": path, "tone": "", "cells": cells}

    async def _take(self, _name: str, path: str) -> None:
        repo = str(self.field.value or "").partition(":")[0].strip()
        await ask.form(self.view, "download", [str(self.host.value)], {"source": repo, "files": [path]})
