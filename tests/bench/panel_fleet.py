# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a large fleet costs the panel: hosts simulated over a script instead of ssh, the fleet in a process of its own.

    PYTHONPATH=.build/collections:panel:tests python tests/bench/panel_fleet.py [HOSTS GPUS INSTANCES SECONDS LOOKED_AT]

Prints one JSON line: how long until all hosts are there, the latency from a change on a host to the notice of it with
its rows made (seconds), memory (bytes) and CPU (percent of one core) of the process that holds the fleet.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil
from fixtures.simulated_fleet import SimulatedFleet, talking
from llamaops_panel.fleet.fleet import Fleet


async def hold(source: str, hosts: int, seconds: float, looked: int) -> None:
    """The process that is measured: it does for each notice what a page of the fleet does."""
    me, began = psutil.Process(), time.monotonic()
    fleet = Fleet([source], Path(source).parent)
    await fleet.start()
    latencies, told, ready, longest = [], {}, 0.0, 0.0
    busy = sum(me.cpu_times()[:2])
    ends = time.monotonic() + 120
    with_looks: list[object] = []
    async for names in fleet.watch():
        there = sum(1 for host in fleet.hosts.values() if host.status)
        started = time.perf_counter()
        rows, needs = fleet.rows(), fleet.attention()
        longest = max(longest, time.perf_counter() - started)
        now = time.time()
        for name in names & set(fleet.hosts):
            at = fleet.hosts[name].load.get("at")
            if ready and at and told.get(name) != at:
                latencies.append(now - at)
            told[name] = at
        if not ready and there == hosts:
            ready = time.monotonic() - began
            busy, measured = sum(me.cpu_times()[:2]), time.monotonic()
            ends = measured + seconds
            for name in list(fleet.hosts)[:looked]:
                look = fleet.look(name)
                look.__enter__()
                with_looks.append(look)
        if time.monotonic() > ends:
            break
    cpu = 100 * (sum(me.cpu_times()[:2]) - busy) / seconds
    latencies.sort()
    print(
        json.dumps(
            {
                "hosts": there, "rows": len(rows), "needs": len(needs), "all_there": round(ready, 2),
                "notices": len(latencies), "latency_median": round(statistics.median(latencies), 3),
                "latency_p95": round(latencies[int(0.95 * len(latencies))], 3), "latency_max": round(latencies[-1], 3),
                "rows_and_attention_longest": round(longest, 4),
                "memory": me.memory_info().rss, "cpu_percent": round(cpu, 1),
            }
        ),
        flush=True,
    )  # fmt: skip
    await fleet.stop()


async def main(hosts: int, gpus: int, instances: int, seconds: float, looked: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with SimulatedFleet(folder, talking(gpus, max(instances // hosts, 1))) as simulated:
            known = {f"gpu{number:03}": {"ansible_ssh_executable": str(simulated.ssh)} for number in range(hosts)}
            (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": known}}))
            words = [__file__, "--hold", str(folder / "inventory.json"), str(hosts), str(seconds), str(looked)]
            child = await asyncio.create_subprocess_exec(sys.executable, *words, env={**os.environ})
            await child.wait()


if __name__ == "__main__":
    if "--hold" in sys.argv:
        asyncio.run(hold(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])))
    else:
        given = [float(word) for word in sys.argv[1:]] + [100, 8, 500, 30, 5][len(sys.argv) - 1 :]
        asyncio.run(main(int(given[0]), int(given[1]), int(given[2]), given[3], int(given[4])))
