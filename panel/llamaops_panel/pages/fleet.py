# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first page: what needs a human, the hosts, their instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import layout, parts, tables, text
from .grid import Grid
from .layout import View
from .parts import Box, Said

if TYPE_CHECKING:
    from ..panel import Panel


def build(panel: Panel) -> None:
    @layout.page(panel, "/", "Fleet")
    async def fleet(view: View) -> None:
        with parts.headline("Fleet"):
            figures = Box(classes="figures").style("margin: 0")
        found, rows = view.panel.fleet, view.panel.fleet.rows()
        needs = Grid(tables.ATTENTION, tables.attention(found.attention()), label="What needs a human", step=8,
                     empty="Nothing needs a human.")  # fmt: skip
        parts.heading("Hosts")
        hosts = Grid(tables.HOSTS, tables.hosts(found.hosts.values(), rows), label="hosts", find=True,
                     empty="The inventory has no host.")  # fmt: skip
        parts.heading("Instances")
        instances = Grid(tables.INSTANCES, tables.instances(rows), label="instances", find=True,
                         empty="No instance yet: make one under Instances.")  # fmt: skip

        def draw() -> None:
            rows = found.rows()
            needs.show(tables.attention(found.attention()))
            hosts.show(tables.hosts(found.hosts.values(), rows))
            instances.show(tables.instances(rows))
            summary(figures, view, rows)

        summary(figures, view, rows)
        layout.live(view, draw)


def summary(box: Box, view: View, rows: list[dict[str, Any]]) -> None:
    """The numbers of the whole fleet."""
    hosts = list(view.panel.fleet.hosts.values())
    mine = [row for row in rows if row["instance"]]
    gpus = [gpu for host in hosts for gpu in tables.gpus_of(host)]
    total, free = (sum(int(gpu.get(key) or 0) for gpu in gpus) for key in ("total", "free"))
    speed = sum(row["tokens_per_second"] or 0 for row in mine)
    pairs = [
        ("hosts connected", f"{sum(host.link.state == 'connected' for host in hosts)}/{len(hosts)}"),
        ("instances ready", f"{sum(row['state'] == 'ready' for row in mine)}/{len(mine)}"),
        ("GPUs", str(len(gpus))),
        ("GPU memory in use", f"{text.size(total - free)} of {text.size(total)}" if total else "–"),
        ("tok/s", text.rate(speed) if speed else "–"),
    ]
    shown = [list(item.default_slot.children) for item in box.default_slot.children]
    if shown:
        for (_name, value), (number, _label) in zip(pairs, shown, strict=True):
            if isinstance(number, Said) and number.text != value:
                number.text = value
        return
    with box:
        for name, value in pairs:
            with Box():
                Said(value, "b")
                Said(name, "span", "soft")
