# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of jobs. What they wrote lies in their folders; here is what lists and the queue need."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ..jobs.job import OPEN, Job

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, op TEXT NOT NULL, checks INTEGER NOT NULL, by TEXT NOT NULL, state TEXT NOT NULL,
    created REAL NOT NULL, started REAL, ended REAL, rc INTEGER, summary TEXT NOT NULL DEFAULT '',
    hosts TEXT NOT NULL, given TEXT NOT NULL, command TEXT NOT NULL, recap TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (created DESC, id DESC);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state);
"""
_COLUMNS = ("id", "op", "checks", "by", "state", "created", "started", "ended", "rc", "summary")
_DOCUMENTS = ("hosts", "given", "command", "recap")
Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]


class JobStore:
    """`transaction()` gives a connection for one unit of work, which is committed at its end."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def save(self, job: Job) -> None:
        """Insert or replace."""
        names = (*_COLUMNS, *_DOCUMENTS)
        row = _row(job)
        marks = ", ".join("?" for _name in names)
        with self._transaction() as db:
            db.execute(f"INSERT OR REPLACE INTO jobs ({', '.join(names)}) VALUES ({marks})", [row[n] for n in names])

    def get(self, job_id: str) -> Job | None:
        with self._transaction() as db:
            found = db.execute(f"{_SELECT} WHERE id = ?", (job_id,)).fetchone()
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
        where, values = ["1"], []
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
        with self._transaction() as db:
            rows = db.execute(
                f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY created DESC, id DESC LIMIT ?",
                (*values, max(1, min(limit, 1000))),
            ).fetchall()
        return [_job(row) for row in rows]

    def open(self) -> list[Job]:
        """What is queued or runs, oldest first."""
        with self._transaction() as db:
            rows = db.execute(f"{_SELECT} WHERE state IN (?, ?) ORDER BY created, id", OPEN).fetchall()
        return [_job(row) for row in rows]

    def forget(self, keep: int) -> list[str]:
        """Remove all but the newest closed jobs; returns the ids of those that were removed."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT id FROM jobs WHERE state NOT IN (?, ?) ORDER BY created DESC, id DESC LIMIT -1 OFFSET ?",
                (*OPEN, keep),
            ).fetchall()
            db.executemany("DELETE FROM jobs WHERE id = ?", [(row[0],) for row in rows])
        return [str(row[0]) for row in rows]


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
