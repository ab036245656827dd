# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The events of a job as lines for people, and the job itself as it goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from . import text
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
_BATCH = 400  # lines that travel to the browser together


def lines(event: Mapping[str, Any]) -> list[Line]:
    """What an event says, one or more lines."""
    kind, host = str(event.get("kind", "")), text.clean(event.get("host") or "", 60)
    said, at = str(event.get("text") or ""), event.get("at")
    differs = [line(f"    {item}", tone=_DIFF.get(item[:1], "off"))
               for item in str(event.get("diff") or "").splitlines()[:2000]]  # fmt: skip
    if kind == "stdout":
        return [line(item, tone="off") for item in said.splitlines()[:2000]]
    if kind == "task":
        return [line(f"▸ {event.get('task') or said}", at=at, tone="info")]
    head = f"  {kind} {host}: " if host else f"  {kind}: "
    found = said.splitlines()[:200] or [str(event.get("task") or "")]
    return [*(line(head + item, tone=_TONES.get(kind, "")) for item in found), *differs]


def shown(event: Mapping[str, Any]) -> bool:
    """Whether people want to see it: not what was found in order, and not what Ansible printed of it beside."""
    return bool(event.get("diff")) or str(event.get("kind")) not in ("ok", "skipped", "stdout", "play")


class Progress(Box):
    """How far a long step is, by host: its newest progress line and a bar where it says how much."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, tuple[Said, Box]] = {}

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
    async for event in view.panel.jobs.events(job_id):
        if event.get("kind") == "progress" and progress is not None:
            progress.take(event)
            continue
        if shown(event) or all_of_it():
            held += lines(event)
        if len(held) >= _BATCH or event.get("live", True):
            log.append(held)
            held = []
    log.append(held)
    return view.panel.jobs.get(job_id)
