# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel: one object that holds its parts, which the pages and the API receive."""

from __future__ import annotations

import fcntl
import os
from typing import Any

from .access.access import Access
from .settings import Settings
from .store import Store, StoreError


class Panel:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.database)
        self.access = Access(self.store, settings)
        self.fleet: Any = None
        self.jobs: Any = None
        self.changes: Any = None
        self._lock: int | None = None

    def open(self) -> None:
        """Take the state folder, for one panel alone. Raises StoreError."""
        self.store.database.open()
        self._lock = os.open(self.settings.state / "panel.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.store.database.close()
            raise StoreError(
                f"another panel uses {self.settings.state}: stop it, or give this one another --state"
            ) from error

    async def start(self) -> None:
        await self.access.start()

    async def stop(self) -> None:
        await self.access.stop()
        self.store.database.close()
        if self._lock is not None:
            os.close(self._lock)
