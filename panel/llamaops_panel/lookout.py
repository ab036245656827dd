# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that a job changes are watched closely, so that pages show at once what came of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

from .fleet.fleet import Fleet
from .jobs.jobs import Jobs

STEP, AFTER = 1.0, 20.0  # seconds between two looks at the jobs; and that a host is watched after its job ended


class Lookout:
    def __init__(self, fleet: Fleet, jobs: Jobs) -> None:
        self._fleet, self._jobs = fleet, jobs
        self._until: dict[str, float] = {}
        self._held: dict[str, ExitStack] = {}

    async def watch(self) -> None:
        """Runs until it is cancelled."""
        try:
            while True:
                self._look(time.monotonic())
                await asyncio.sleep(STEP)
        finally:
            for held in self._held.values():
                held.close()

    def _look(self, now: float) -> None:
        for job in self._jobs.running:
            if not job.check:
                self._until.update(dict.fromkeys(job.hosts, now + AFTER))
        for host in [host for host in self._until if host not in self._held]:
            self._held[host] = ExitStack()
            self._held[host].enter_context(self._fleet.look(host))
        for host in [host for host, until in self._until.items() if until < now]:
            del self._until[host]
            self._held.pop(host).close()
