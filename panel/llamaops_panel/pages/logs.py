# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of an instance as it is written, from any moment on; nothing between the old and the new lines is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from nicegui import ui

from ..fleet.host import HostError
from . import layout, parts, text
from .layout import View
from .logview import Line, LogView, line

if TYPE_CHECKING:
    from ..panel import Panel

SINCE = {"": "the last 500 lines", "10m": "10 minutes", "1h": "1 hour", "6h": "6 hours", "1d": "1 day", "7d": "7 days"}
_TONES = {"error": "error", "warning": "warning", "warn": "warning", "debug": "off", "trace": "off", "note": "info"}
_AGAIN = 3.0  # seconds until a stream that broke is asked for again
_LINES = 500


def build(panel: Panel) -> None:
    @layout.page(panel, "/logs", "Logs")
    async def logs(view: View, host: str = "", instance: str = "", since: str = "", level: str = "") -> None:
        Page(view, host, instance, since if since in SINCE else "", level).fill()


class Page:
    """One log. `cursor` is where it was read to, so that a broken stream goes on there."""

    def __init__(self, view: View, host: str, instance: str, since: str, level: str) -> None:
        self.view, self.host, self.instance, self.since, self.level = view, host, instance, since, level
        self.cursor = ""

    def fill(self) -> None:
        names = {f"{row['host']}/{row['instance']}": f"{row['instance']} on {row['host']}"
                 for row in self.view.panel.fleet.rows() if row["instance"]}  # fmt: skip
        with parts.headline("Logs"):
            chosen = f"{self.host}/{self.instance}"
            which = parts.choice("Instance", names, chosen if chosen in names else None, with_input=True)
            which.classes("w-72").on_value_change(lambda event: self._go(which=event.value))
            when = parts.choice("Since", SINCE, self.since).classes("w-44")
            when.on_value_change(lambda event: self._go(since=event.value or ""))
            self.tags = parts.Box("span")
            parts.gap()
            parts.link("Jobs", "/jobs", "act")
            if self.host:
                parts.link("Host", f"/hosts/{self.host}", "act")
        if not self.instance:
            parts.note("Choose an instance. The log of a build or of any other job is on the page of that job.")
            return
        self.log = LogView(f"{self.host}-{self.instance}", tall=True, whole=self._whole)
        layout.run(self._follow())

    def _go(self, which: str | None = None, since: str | None = None) -> None:
        host, _slash, instance = (which or f"{self.host}/{self.instance}").partition("/")
        ui.navigate.to(f"/logs?host={host}&instance={instance}&since={self.since if since is None else since}")

    async def _follow(self) -> None:
        with self.view.panel.fleet.look(self.host):
            while True:
                try:
                    await self._stream()
                    self._state("ended", "off")
                except asyncio.CancelledError:
                    raise
                except layout.TROUBLE as exc:
                    self._state("interrupted", "warning", layout.explained(exc))
                await asyncio.sleep(_AGAIN)

    async def _stream(self) -> None:
        asked: dict[str, Any] = {"name": self.instance, "follow": True, "lines": _LINES}
        if self.cursor:
            asked["after"] = self.cursor
        elif self.since:
            asked["since"] = f"{self.since} ago"
        async for said in self.view.panel.fleet.follow(self.host, "logs", **asked):
            self._state("live", "ok")
            found = text.rows_of(said, "lines")
            self.log.append([shown(item) for item in found])
            if found and found[-1].get("cursor"):
                self.cursor = str(found[-1]["cursor"])

    async def _whole(self) -> AsyncIterator[list[Line]]:
        """All lines that the host keeps; a stream that breaks is asked for the rest."""
        cursor, before = "", None
        while cursor != before:
            asked = {"name": self.instance, "follow": False, "lines": -1} | ({"after": cursor} if cursor else {})
            before = cursor
            try:
                async for said in self.view.panel.fleet.follow(self.host, "logs", **asked):
                    found = text.rows_of(said, "lines")
                    yield [shown(item) for item in found]
                    cursor = str(found[-1].get("cursor") or "") if found else cursor
                return
            except HostError:
                if cursor == before:
                    raise

    def _state(self, word: str, tone: str, title: str = "") -> None:
        if self.tags.is_deleted:
            return
        self.tags.clear()
        with self.tags:
            parts.tag(word, tone, title)


def shown(item: dict[str, Any]) -> Line:
    level = str(item.get("level") or "").lower()
    return line(item.get("text"), at=item.get("at"), tone=_TONES.get(level, ""))
