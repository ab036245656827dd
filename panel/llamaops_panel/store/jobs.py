# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of jobs. What they wrote lies in their folders; here is what lists and the queue need."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from ..jobs.job import OPEN, Job
from .database import Database

_COLUMNS = ("id", "op", "checks", "by", "state", "created", "started", "ended", "rc", "summary")
_DOCUMENTS = ("hosts", "given", "command", "recap")


class JobStore:
    """Reading one job or a page of them takes less than a millisecond and is done at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, job: Job) -> None:
        """Insert or replace."""
        names = (*_COLUMNS, *_DOCUMENTS)
        row = _row(job)
        marks = ", ".join("?" for _name in names)
        words = f"INSERT OR REPLACE INTO jobs ({', '.join(names)}) VALUES ({marks})"
        await self._database.write(lambda db: db.execute(words, [row[name] for name in names]))

    def get(self, job_id: str) -> Job | None:
        found = self._database.read_now(lambda db: db.execute(f"{_SELECT} WHERE id = ?", (job_id,)).fetchone())
        return _job(found) if found else None

    def find(
        self,
        host: str | None = None,
        op: str | None = None,
        state: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Job]:
        """The newest first; `before` is the id of the last one of the page before."""
        where: list[str] = ["1"]
        values: list[Any] = []
        for column, value in (("op", op), ("state", state)):
            if value:
                where.append(f"{column} = ?")
                values.append(value)
        if host:
            where.append("EXISTS (SELECT 1 FROM json_each(jobs.hosts) WHERE value = ?)")
            values.append(host)
        if before:
            where.append("(created, id) < (SELECT created, id FROM jobs WHERE id = ?)")
            values.append(before)
        words = f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY created DESC, id DESC LIMIT ?"
        values.append(max(1, min(limit, 1000)))
        rows = self._database.read_now(lambda db: db.execute(words, values).fetchall())
        return [_job(row) for row in rows]

    async def open(self) -> list[Job]:
        """What is queued or runs, oldest first."""
        words = f"{_SELECT} WHERE state IN (?, ?) ORDER BY created, id"
        rows = await self._database.read(lambda db: db.execute(words, OPEN).fetchall())
        return [_job(row) for row in rows]

    async def forget(self, keep: int) -> list[str]:
        """Remove all but the newest closed jobs; returns the ids of those that were removed."""

        def work(db: sqlite3.Connection) -> list[str]:
            rows = db.execute(
                "SELECT id FROM jobs WHERE state NOT IN (?, ?) ORDER BY created DESC, id DESC LIMIT -1 OFFSET ?",
                (*OPEN, keep),
            ).fetchall()
            db.executemany("DELETE FROM jobs WHERE id = ?", [(row[0],) for row in rows])
            return [str(row[0]) for row in rows]

        return await self._database.write(work)


_SELECT = f"SELECT {', '.join((*_COLUMNS, *_DOCUMENTS))} FROM jobs"


def _row(job: Job) -> dict[str, Any]:
    document = job.document()
    return {
        **{name: document[name] for name in _COLUMNS if name != "checks"},
        **{name: json.dumps(document[name]) for name in _DOCUMENTS},
        "checks": int(job.check),
    }


def _job(row: Any) -> Job:
    found = dict(zip((*_COLUMNS, *_DOCUMENTS), row, strict=True))
    documents = {name: json.loads(found.pop(name)) for name in _DOCUMENTS}
    check = bool(found.pop("checks"))
    hosts, command = tuple(documents["hosts"]), tuple(documents["command"])
    return Job(**found, check=check, hosts=hosts, command=command, given=documents["given"], recap=documents["recap"])
