# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of benchmarks: what hosts measured, kept after their own files are gone."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from .database import Database


class Benches:
    """record: one result as llama_bench returns it, with at (unix seconds), build_id, model, rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, host: str, key: str, at: float, build: str, model: str, record: dict[str, Any]) -> None:
        """What is there already stays as it is."""
        row = (host, key, at, build, model, json.dumps(record))
        await self._database.write(
            lambda db: db.execute(
                "INSERT INTO benches (host, key, at, build, model, record) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                row,
            )
        )

    async def list(
        self,
        *,
        host: str | None = None,
        model: str | None = None,
        build: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[dict[str, Any]]:
        """Newest first: id, host, key, at, build, model, record."""
        return await self._database.read(lambda db: _list(db, host, model, build, limit, before))

    async def get(self, id: int) -> dict[str, Any] | None:
        rows = await self._database.read(lambda db: db.execute("SELECT * FROM benches WHERE id = ?", (id,)).fetchall())
        return _record(rows[0]) if rows else None


def _list(
    db: sqlite3.Connection, host: str | None, model: str | None, build: str | None, limit: int, before: int | None
) -> list[dict[str, Any]]:
    rows = db.execute(
        "SELECT * FROM benches WHERE (?1 IS NULL OR host = ?1) AND (?2 IS NULL OR model = ?2) "
        "AND (?3 IS NULL OR build = ?3) AND (?4 IS NULL OR id < ?4) ORDER BY id DESC LIMIT ?5",
        (host, model, build, before, limit),
    )
    return [_record(row) for row in rows]


def _record(row: sqlite3.Row) -> dict[str, Any]:
    return dict(row) | {"record": json.loads(row["record"])}
