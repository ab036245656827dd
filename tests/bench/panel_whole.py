# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the whole panel costs and how soon it answers, over a large simulated fleet; it runs as a process of its own.

    PYTHONPATH=.build/collections:panel:tests python tests/bench/panel_whole.py [HOSTS GPUS INSTANCES SECONDS CLIENTS]

Prints one JSON line. Each client asks one page of the API a second; the latency of updates is from a host's word to the
event at a client; paint is what Chromium says of the page of the fleet, where it and playwright are there. Seconds,
bytes, percent of one core.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from fixtures.panel_process import PASSWORDS, PanelProcess, inventory_of, simulated
from fixtures.simulated_fleet import talking

PAGES = ("/hosts?limit=50", "/instances?limit=100", "/attention", "/jobs", "/hosts/gpu001", "/operations")
said: dict[str, float] = {}  # when a host last said anything


def tell(name: str) -> None:
    said[name] = time.monotonic()


async def client(api: httpx.AsyncClient, until: float, times: dict[str, list[float]]) -> None:
    await asyncio.sleep(random.random())
    while time.monotonic() < until:
        page = random.choice(PAGES)
        began = time.perf_counter()
        answer = await api.get(f"/api/v1{page}")
        times.setdefault(page, []).append(time.perf_counter() - began)
        answer.raise_for_status()
        await asyncio.sleep(max(0.0, 1 - (time.perf_counter() - began)))


async def listener(api: httpx.AsyncClient, until: float, late: list[float]) -> None:
    async with api.stream("GET", "/api/v1/events") as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                now = time.monotonic()
                late += [now - said[name] for name in json.loads(line[5:])["hosts"] if name in said]
            if time.monotonic() > until:
                return


async def ask(panel: PanelProcess, seconds: float, clients: int) -> dict[str, Any]:
    times: dict[str, list[float]] = {}
    late: list[float] = []
    until = time.monotonic() + seconds
    panel.program("ann").close()
    headers = {"authorization": f"Bearer {panel.tokens['ann']}"}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=panel.url, headers=headers, timeout=30, limits=limits) as api:
        await api.get("/api/v1/me")  # the first use of a token compares its hash
        await asyncio.gather(listener(api, until, late), *(client(api, until, times) for _number in range(clients)))
    every = sorted(one for found in times.values() for one in found)
    late.sort()
    late = late or [math.nan]  # too short for a host to say anything
    return {
        "requests": len(every), "api_median": round(statistics.median(every), 4), "api_p95": round(p95(every), 4),
        "api_max": round(every[-1], 4), "p95_of": {page: round(p95(sorted(found)), 4) for page, found in times.items()},
        "updates": len(late), "update_median": round(statistics.median(late), 3), "update_p95": round(p95(late), 3),
    }  # fmt: skip


def p95(values: list[float]) -> float:
    return values[min(len(values) - 1, int(0.95 * len(values)))]


def paint(panel: PanelProcess) -> dict[str, Any]:
    """Of the second visit, as of somebody who works with it, and of the first one, which brings all files."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {"paint": "no playwright"}
    script = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{panel.url}/login")
        page.fill("[name=name]", "ann")
        page.fill("[name=password]", PASSWORDS["ann"])
        page.click("button")
        found = {}
        for visit in ("first", "again"):
            page.goto(f"{panel.url}/?visit={visit}")
            page.wait_for_function(script)
            found[f"paint_{visit}"] = round(page.evaluate(script) / 1000, 3)
            began = time.monotonic()
            page.get_by_text("gpu001").first.wait_for()
            found[f"table_{visit}"] = round(found[f"paint_{visit}"] + time.monotonic() - began, 3)
            time.sleep(2)
        browser.close()
    return found


def main(hosts: int, gpus: int, instances: int, seconds: float, clients: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with simulated(folder, talking(gpus, max(instances // hosts, 1), tell)) as fleet:
            known = {f"gpu{number:03}": {"ansible_ssh_executable": str(fleet.ssh)} for number in range(hosts)}
            panel = PanelProcess(folder, "--inventory", str(inventory_of(folder, known)))
            panel.command("user", "add", "ann", "--password-file", "-", typed=f"{PASSWORDS['ann']}\n")
            panel.start()
            try:
                panel.add_users()
                panel.connected(hosts)
                time.sleep(10)
                process = psutil.Process(panel.process.pid if panel.process else 0)
                found: dict[str, Any] = {"hosts": hosts, "gpus": gpus, "instances": instances, "clients": clients}
                for kind in ("idle", "asked"):
                    before, began = sum(process.cpu_times()[:2]), time.monotonic()
                    found |= asyncio.run(ask(panel, seconds, clients) if kind == "asked" else
                                         asyncio.sleep(seconds, {}))  # fmt: skip
                    used = sum(process.cpu_times()[:2]) - before
                    found[f"cpu_{kind}"] = round(100 * used / (time.monotonic() - began), 1)
                found |= paint(panel)
                found["memory"] = process.memory_info().rss
            finally:
                panel.stop()
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]] + [100, 8, 500, 30, 20][len(sys.argv) - 1 :]
    main(int(given[0]), int(given[1]), int(given[2]), given[3], int(given[4]))
