# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs: what was done, by whom, with which command, and what happens now."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from nicegui import ui

from . import events, layout, parts, text
from .grid import Grid, Row, column
from .layout import View
from .logview import Line, LogView

if TYPE_CHECKING:
    from ..panel import Panel

STATES = ("queued", "running", "succeeded", "failed", "cancelled", "lost")
COLUMNS = (
    column("op", "Job"),
    column("hosts", "Hosts"),
    column("state", "State", "tight"),
    column("by", "By", "tight"),
    column("created", "When", "tight"),
    column("took", "Took", "num"),
    column("summary", "Result", "wide"),
)
_PAGE = 100
_SO_FAR = 0.2  # seconds without an event, after which a download has what there is


def build(panel: Panel) -> None:
    @layout.page(panel, "/jobs", "Jobs")
    async def jobs(view: View, host: str = "", op: str = "", state: str = "", before: str = "") -> None:
        with parts.headline("Jobs"):
            filters(view, host, op, state)
        asked = {"host": host or None, "op": op or None, "state": state or None}

        def found() -> list[Row]:
            return rows(view, view.panel.jobs.list(**asked, limit=_PAGE, before=before or None))

        held = found()
        grid = Grid(COLUMNS, held, label="jobs", empty="No job yet.", find=True)
        if len(held) == _PAGE:
            parts.link("Older", f"/jobs?host={host}&op={op}&state={state}&before={held[-1]['id']}", "act")
        ui.timer(2.0, lambda: grid.show(found()))

    @layout.page(panel, "/jobs/{job_id}", "Job")
    async def job(view: View, job_id: str) -> None:
        try:
            found = view.panel.jobs.get(job_id)
        except layout.TROUBLE:
            parts.notice(f"There is no job {text.clean(job_id, 60)}: only the newest are kept.", "error")
            return
        Page(view, found.id).fill()


def filters(view: View, host: str, op: str, state: str) -> None:
    """Choices that lead to the same page with other jobs."""
    chosen = {"host": host, "op": op, "state": state}
    titles = {name: item.title for name, item in view.panel.jobs.operations().items()}
    values: tuple[tuple[str, dict[str, str]], ...] = (
        ("host", {name: name for name in sorted(view.panel.fleet.hosts)}),
        ("op", titles),
        ("state", {name: name for name in STATES}),
    )

    def go(name: str, value: Any) -> None:
        asked = {**chosen, name: value or ""}
        ui.navigate.to("/jobs?" + "&".join(f"{key}={item}" for key, item in asked.items() if item))

    for name, options in values:
        value = chosen[name] if chosen[name] in options else None
        field = parts.choice({"host": "Host", "op": "Kind", "state": "State"}[name], options, value, clearable=True)
        field.classes("w-40").on_value_change(lambda event, name=name: go(name, event.value))


def rows(view: View, jobs: list[Any]) -> list[Row]:
    titles = view.panel.jobs.operations()
    return [_row(job, titles[job.op].title if job.op in titles else job.op) for job in jobs]


def _row(job: Any, title: str) -> Row:
    return {
        "id": job.id,
        "tone": "error" if job.state in ("failed", "lost") else "",
        "cells": {
            "op": {
                "t": title,
                "href": f"/jobs/{job.id}",
                "tags": [{"t": "preview", "tone": "off"}] if job.check else [],
            },
            "hosts": text.clean(", ".join(job.hosts), 120),
            "state": {"t": job.state, "tone": text.tone(job.state)},
            "by": text.clean(job.by, 40),
            "created": {"t": text.clock(job.created), "sort": job.created},
            "took": text.span(job.ended - job.started) if job.ended and job.started else "",
            "summary": text.clean(job.summary or "", 300),
        },
    }


class Page:
    """One job, live."""

    def __init__(self, view: View, job_id: str) -> None:
        self.view, self.id = view, job_id

    def fill(self) -> None:
        job = self.view.panel.jobs.get(self.id)
        known = self.view.panel.jobs.operations().get(job.op)
        with parts.headline(f"{known.title if known else job.op}{' (preview)' if job.check else ''}"):
            self.tags = parts.Box("span")
            parts.gap()
            self.stop = parts.button("Cancel", self._cancel, tone="error")
            parts.link("All jobs", "/jobs", "act")
        self.about = parts.Box()
        parts.heading("The command")
        parts.code(layout.shell(job.command), label="Command")
        self.progress = events.Progress()
        with parts.Box(classes="headline").style("margin: 14px 0 4px"):
            parts.heading("What happens")
            self.whole = ui.checkbox("everything that Ansible says", on_change=self._again)
        self.log = LogView(f"job-{self.id}", tall=True, whole=self._whole)
        self._head()
        layout.run(self._follow())

    def _head(self) -> None:
        job = self.view.panel.jobs.get(self.id)
        running = job.state in ("queued", "running")
        parts.enable(self.stop, self.view.off("operator") or ("" if running else "It is over."))
        self.tags.clear()
        with self.tags:
            parts.tag(job.state)
        self.about.clear()
        with self.about:
            parts.facts(
                [
                    ("Hosts", ", ".join(job.hosts)),
                    ("By", job.by),
                    ("Created", text.clock(job.created)),
                    ("Started", text.clock(job.started)),
                    ("Ended", text.clock(job.ended)),
                    ("Exit code", job.rc),
                    ("Result", job.summary),
                ]
            )

    async def _follow(self) -> None:
        self._head()
        ticking = ui.timer(1.0, self._head)
        await events.follow(self.view, self.id, self.log, self.progress, all_of_it=lambda: bool(self.whole.value))
        ticking.cancel()
        self._head()

    async def _whole(self) -> AsyncIterator[list[Line]]:
        """All that Ansible has said so far."""
        found = self.view.panel.jobs.events(self.id)
        with contextlib.suppress(TimeoutError, StopAsyncIteration):  # of one that runs no more is there
            while True:
                async with asyncio.timeout(_SO_FAR):
                    event = await anext(found)
                yield events.lines(event)

    def _again(self) -> None:
        self.log.reset()
        layout.run(events.follow(self.view, self.id, self.log, None, all_of_it=lambda: bool(self.whole.value)))

    async def _cancel(self) -> None:
        job = self.view.panel.jobs.get(self.id)
        if (
            await parts.confirm("Cancel this job", "What is done stays done; the job says what was left.", "Cancel it")
            is not None
        ):
            await self.view.panel.jobs.cancel(job.id, self.view.user.name)
            parts.tell("It is being cancelled.")
