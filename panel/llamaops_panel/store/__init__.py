# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel itself remembers: users, tokens, sessions, jobs, the audit log, benchmarks."""

from __future__ import annotations

from pathlib import Path

from .audit import Audit
from .benches import Benches
from .database import Database, StoreError
from .jobs import JobStore

__all__ = ["Store", "StoreError"]


class Store:
    """The database and what reads and writes it."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.audit = Audit(self.database)
        self.benches = Benches(self.database)
        self.jobs = JobStore(self.database)
