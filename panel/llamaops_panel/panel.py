# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel: one object that holds its parts, which the pages and the API receive."""

from __future__ import annotations

import asyncio
import fcntl
import os

from prometheus_client import CollectorRegistry

from . import environment
from .access.access import Access
from .audited import AuditedChanges, AuditedJobs
from .fleet.fleet import Fleet
from .lag import Lag
from .lookout import Lookout
from .settings import Settings
from .store import Store, StoreError
from .streams import Streams


class Panel:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.database)
        self.access = Access(self.store, settings)
        inventory = [str(source) for source in settings.inventory]
        self.fleet = Fleet(inventory, settings.project, environment.files(settings))
        self.jobs = AuditedJobs(
            *(self.store.audit, settings.state / "jobs", self.store.jobs, inventory, settings.project),
            lambda: self.fleet.hosts,
            keep=settings.keep_jobs,
        )
        self.changes = AuditedChanges(
            *(self.store.audit, inventory, lambda: self.fleet.hosts),
            project=settings.project,
            commit=settings.commit_changes,
        )
        self.streams = Streams()
        self.metrics = CollectorRegistry()
        self.lag = Lag()
        self.lookout = Lookout(self.fleet, self.jobs)
        self._lock: int | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Take the state folder, for one panel alone. Raises StoreError."""
        state = self.settings.state
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(state / "panel.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"{state} cannot be written: {error.strerror}. Give the panel a folder of its own user, with --state."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._unlock()
            raise StoreError(f"another panel uses {state}: stop it, or give this one another --state") from error
        try:
            self.store.database.open()  # after the lock: it may bring the file forward
        except StoreError:
            self._unlock()
            raise

    async def start(self) -> None:
        await self.access.start()
        await self.fleet.start()
        await self.jobs.start()
        self._tasks = [asyncio.create_task(self.lag.watch()), asyncio.create_task(self.lookout.watch())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.jobs.stop()
        await self.fleet.stop()
        await self.access.stop()
        self.store.database.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
