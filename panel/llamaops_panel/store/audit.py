# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log: who changed what, by which command, and how it ended."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from .database import Database

LONGEST = 8192  # characters of a field


@dataclass(frozen=True)
class AuditEntry:
    """id: grows. at: unix seconds. who: a user, token:<id> of one, or cli:<account>. command: as one would type it."""

    id: int
    at: float
    who: str
    what: str
    target: str
    command: str
    result: str


class Audit:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, who: str, what: str, target: str, command: str = "", result: str = "ok") -> None:
        await self._database.write(lambda db: add(db, who, what, target, command, result))

    def write_now(self, who: str, what: str, target: str, command: str = "", result: str = "ok") -> None:
        self._database.write_now(lambda db: add(db, who, what, target, command, result))

    async def ready(self) -> None:
        """Raises StoreError where nothing could be written: then nothing may be changed either."""
        await self._database.write(_touch)

    def ready_now(self) -> None:
        self._database.write_now(_touch)

    async def list(self, *, limit: int = 100, before: int | None = None, who: str | None = None) -> list[AuditEntry]:
        """Newest first; before: the id to go on from."""
        return await self._database.read(lambda db: _list(db, limit, before, who))


def add(db: sqlite3.Connection, who: str, what: str, target: str, command: str = "", result: str = "ok") -> None:
    """Within the transaction of the change itself: neither stands without the other."""
    row = [time.time(), *(text[:LONGEST] for text in (who, what, target, command, result))]
    db.execute("INSERT INTO audit (at, who, what, target, command, result) VALUES (?, ?, ?, ?, ?, ?)", row)


def forget(db: sqlite3.Connection, what: str, result: str, keep: int) -> None:
    """All but the newest of what others can make us write without end."""
    db.execute(
        "DELETE FROM audit WHERE what = ?1 AND result = ?2 AND id <= "
        "(SELECT id FROM audit WHERE what = ?1 AND result = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
        (what, result, keep),
    )


def _touch(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    db.execute(f"PRAGMA user_version = {version}")


def _list(db: sqlite3.Connection, limit: int, before: int | None, who: str | None) -> list[AuditEntry]:
    rows = db.execute(
        "SELECT * FROM audit WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR who = ?2) ORDER BY id DESC LIMIT ?3",
        (before, who, limit),
    )
    return [AuditEntry(**dict(row)) for row in rows]
