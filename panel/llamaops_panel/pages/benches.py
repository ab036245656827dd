# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmarks: measured on chosen hosts, kept, and compared with regard to their noise."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nicegui import ui

from .. import benches
from . import ask, layout, parts, tables, text
from .grid import Grid, Row, column
from .layout import View

if TYPE_CHECKING:
    from ..panel import Panel

_COLUMNS = (
    column("when", "When", "tight"),
    column("host", "Host"),
    column("model", "Model", "mono"),
    column("build", "Build", "mono"),
    column("devices", "On", "wide"),
    column("best", "Tokens/s", "wide"),
)
_COMPARED = (
    column("test", "Test"),
    column("first", "First", "num"),
    column("second", "Second", "num"),
    column("change", "Change", "num"),
    column("band", "Noise", "num"),
    column("verdict", "Verdict", "tight"),
)


def build(panel: Panel) -> None:
    @layout.page(panel, "/benchmarks", "Benchmarks")
    async def benchmarks(view: View, host: str = "", model: str = "", build: str = "") -> None:
        with parts.headline("Benchmarks"):
            parts.gap()
            ask.button(view, "bench", sorted(view.panel.fleet.hosts), title="Measure", main=True)
            ask.button(view, "compare", sorted(view.panel.fleet.hosts))
        by_id: dict[str, dict[str, Any]] = {}

        async def found() -> list[Row]:
            """All that is kept now: what was measured meanwhile may have been taken in by somebody else's page."""
            await gather(view)
            held = await view.panel.store.benches.list(
                host=host or None, model=model or None, build=build or None, limit=300
            )
            by_id.update({str(item["id"]): item for item in held})
            return [_row(item) for item in held]

        parts.note("Choose two to compare them: two builds on one host, or two hosts.")
        grid = Grid(_COLUMNS, await found(), label="results", find=True, empty="Nothing was measured yet.",
                    on_chosen=lambda chosen: compared([by_id[name] for name in chosen if name in by_id]))  # fmt: skip
        box = parts.Box()

        def compared(chosen: list[dict[str, Any]]) -> None:
            box.clear()
            if len(chosen) == 2:
                with box:
                    first, second = sorted(chosen, key=lambda item: item["at"])
                    parts.heading(f"{_name(first)}  against  {_name(second)}")
                    Grid(
                        _COMPARED,
                        compare(first["record"], second["record"]),
                        label="comparison",
                        empty="They have no test in common.",
                    )

        async def fresh() -> None:
            grid.show(await found())

        ui.timer(5.0, fresh)


async def gather(view: View) -> None:
    """Keep what hosts have measured."""
    known = {(item["host"], item["key"], item["at"]) for item in await view.panel.store.benches.list(limit=5000)}
    for host in list(view.panel.fleet.hosts.values()):
        for record in results(host.benches):
            at, key = moment(record), str(record.get("key") or "")
            if key and (host.name, key, at) not in known:
                await view.panel.store.benches.add(
                    host.name, key, at, text.clean(record.get("build_id"), 80), model_of(record), dict(record)
                )


def results(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    return text.rows_of(said, "results") or text.rows_of(said, "benches")


def moment(record: Mapping[str, Any]) -> float:
    """When it was measured, in Unix seconds; 0 where it does not say."""

    try:
        return float(calendar.timegm(time.strptime(str(record.get("time")), "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return 0.0


def model_of(record: Mapping[str, Any]) -> str:
    found = record.get("model")
    if isinstance(found, Mapping):
        files = text.rows_of(found, "files")
        return text.clean(found.get("name") or (files[0].get("path", "").rpartition("/")[2] if files else ""), 120)
    return text.clean(found, 120)


def _name(item: Mapping[str, Any]) -> str:
    return f"{item['host']} · {item['build']} · {text.clock(item['at'])}"


def _row(item: Mapping[str, Any]) -> Row:
    record = item["record"]
    speeds = [
        f"{text.clean(row.get('test'), 30)} {text.rate(row.get('avg_ts'))} ± {text.rate(row.get('stddev_ts'))}"
        for row in text.rows_of(record, "rows")
    ]
    devices = record.get("devices") or []
    cells = {
        "when": {"t": text.clock(item["at"]), "sort": item["at"]},
        "host": {"t": item["host"], "href": tables.where(item["host"])},
        "model": text.clean(item["model"], 120),
        "build": text.clean(item["build"], 80),
        "devices": ", ".join(
            text.clean(device.get("name") if isinstance(device, Mapping) else device, 60) for device in devices
        )
        if isinstance(devices, list)
        else "",
        "best": "  ".join(speeds),
    }
    return {"id": str(item["id"]), "tone": "", "cells": cells}


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Row]:
    """What changed from one result to another, test by test, and whether it is more than noise."""
    return [_compared(item) for item in benches.compare(first, second)]


def _compared(item: benches.Difference) -> Row:
    name, change = text.clean(item.test, 40), item.ratio - 1
    tones = {"faster": "ok", "slower": "error"}
    cells = {
        "test": name,
        "first": text.rate(item.left),
        "second": text.rate(item.right),
        "change": {"t": f"{100 * change:+.1f} %", "sort": change},
        "band": f"± {100 * item.band:.1f} %",
        "verdict": {"t": "noise" if item.verdict == "same" else item.verdict, "tone": tones.get(item.verdict, "off")},
    }
    return {"id": name, "tone": "", "cells": cells}
