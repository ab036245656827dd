# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The events of a job as lines for people, and the job itself as it goes on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

from . import text
from .grid import Grid, Row, column
from .layout import View
from .logview import Line, LogView, line
from .parts import Box, Said

_TONES = {
    "task": "info",
    "unreachable": "error",
    "skipped": "off",
    "ok": "off",
    "changed": "ok",
    "failed": "error",
    "end": "info",
    "progress": "info",
}
_DIFF = {"+": "ok", "-": "error", "@": "info"}
_PERCENT = re.compile(r"\b([0-9]{1,3}) ?%")
_QUIET = ("ok", "skipped", "stdout", "play")


def lines(event: Mapping[str, Any]) -> list[Line]:
    """What an event says, one or more lines."""
    kind, host = str(event.get("kind", "")), text.clean(event.get("host") or "", 60)
    said, at = str(event.get("text") or ""), event.get("at")
    differs = [line(f"    {item}", tone=_DIFF.get(item[:1], "off"))
               for item in str(event.get("diff") or "").splitlines()[:2000]]  # fmt: skip
    if kind == "stdout":
        tone = "warning" if warns(event) else "off"
        return [line(item, tone=tone) for item in said.splitlines()[:2000]]
    if kind == "task":
        return [line(f"▸ {event.get('task') or said}", at=at, tone="info")]
    head = f"  {kind} {host}: " if host else f"  {kind}: "
    found = said.splitlines()[:200] or [str(event.get("task") or "")]
    return [*(line(head + item, tone=_TONES.get(kind, "")) for item in found), *differs]


def warns(event: Mapping[str, Any]) -> bool:
    return str(event.get("text") or "").lstrip().startswith(("[WARNING]", "[ERROR]"))


def shown(event: Mapping[str, Any]) -> bool:
    """Whether people want to see it: not what was found in order, and not what Ansible printed of it beside."""
    return bool(event.get("diff")) or warns(event) or str(event.get("kind")) not in _QUIET


_PREFLIGHT = (
    column("host", "Host"),
    column("name", "Need"),
    column("ok", "", "tight"),
    column("needed", "Needed", "wide"),
    column("found", "Found", "wide"),
    column("remedy", "What to do", "wide"),
)


def preflight(event: Mapping[str, Any]) -> list[Row]:
    """The rows of a build's preflight table in what a module returned."""
    host = text.clean(event.get("host") or "", 60)
    found = []
    for item in text.rows_of(event, "data", "preflight"):
        cells = {key: text.clean(item.get(key) or "", 400) for key in ("name", "needed", "found", "remedy")}
        good = {"t": "ok" if item.get("ok") else "missing", "tone": "ok" if item.get("ok") else "error"}
        found.append({"id": f"{host} {cells['name']}", "tone": "", "cells": {"host": host, **cells, "ok": good}})
    return found


class Progress(Box):
    """How far a long step is, by host: its newest progress line, a bar where it says how much, its preflight table."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, tuple[Said, Box]] = {}
        with self:
            self._task = Said("", "p", "soft")
        self._rows: list[Row] = []
        self._table: Grid | None = None

    def found(self, event: Mapping[str, Any]) -> None:
        """Show what a build needs of a host, once it said so."""
        rows = preflight(event)
        if not rows:
            return
        self._rows = [row for row in self._rows if row["id"] not in {item["id"] for item in rows}] + rows
        if self._table is None:
            with self:
                self._table = Grid(_PREFLIGHT, self._rows, label="preflight")
        else:
            self._table.show(self._rows)

    def at_work(self, event: Mapping[str, Any]) -> None:
        self._task.text = "" if event.get("kind") == "end" else f"At work: {text.clean(event.get('task') or '')}"

    def take(self, event: Mapping[str, Any]) -> None:
        host, said = text.clean(event.get("host") or "", 60), text.clean(event.get("text") or "", 300)
        if host not in self._held:
            with self, Box(classes="headline").style("margin: 2px 0"):
                with Box("span", "bar"):
                    fill = Box("span", "fill tone-info").style("width: 0")
                self._held[host] = (Said(""), fill)
        words, fill = self._held[host]
        words.text = f"{host}: {said}"
        share = _PERCENT.search(said)
        if share:
            fill.style(f"width: {min(100, int(share[1]))}%")


async def follow(
    view: View,
    job_id: str,
    log: LogView,
    progress: Progress | None = None,
    *,
    all_of_it: Callable[[], bool] = lambda: False,
) -> Any:
    """Show the events of a job, from the first to the last, as they come.

    :returns: the job as it ended.
    """
    held: list[Line] = []
    task: list[Line] = []  # shown once something happens in it that people want to see
    async for event in view.panel.jobs.events(job_id):
        everything = all_of_it()
        if event.get("kind") == "progress" and progress is not None:
            progress.take(event)
            continue
        if event.get("kind") == "task" and not everything:
            task = lines(event)
            if progress is not None:
                progress.at_work(event)
        elif everything or shown(event):
            task = [] if event.get("kind") == "end" else task
            held += [*task, *lines(event)]
            task = []
        if progress is not None:
            progress.found(event)
            if event.get("kind") == "end":
                progress.at_work(event)
        if held:
            log.append(held)
            held = []
    return await ended(view, job_id)


async def ended(view: View, job_id: str) -> Any:
    """The job, once its end is known to the panel too: the last event comes a moment before."""
    for _turn in range(100):
        if not view.panel.jobs.get(job_id).open:
            break
        await asyncio.sleep(0.1)
    return view.panel.jobs.get(job_id)
