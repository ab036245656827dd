# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one SQLite file of the panel: opened with care, used from one thread, never wiped."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from .schema import APPLICATION, MIGRATIONS

T = TypeVar("T")
BUSY = 10.0  # seconds that a write waits for another process


class StoreError(Exception):
    """The file cannot be used as it is; the text says why and the way out."""


class Database:
    """`await read(work)` and `await write(work)` run work(connection) in the thread of the database; a write is one
    transaction. `read_now` and `write_now` do the same at once, for the command line. Raises StoreError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "database")
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open, check, and bring to this version's schema; a copy of an older file stays beside it."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreError(_unwritable(self.path, error.strerror or "it cannot be opened")) from error
        try:
            connection = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        except sqlite3.DatabaseError as error:
            raise self._refusal(error) from error
        try:
            connection.row_factory = sqlite3.Row
            self._check(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._migrate(connection)
        except StoreError:
            connection.close()
            raise
        except sqlite3.DatabaseError as error:
            connection.close()
            raise self._refusal(error) from error
        self._connection = connection

    def close(self) -> None:
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.read_now, work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.write_now, work)

    def read_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return self._use(work, "BEGIN")

    def write_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return self._use(work, "BEGIN IMMEDIATE")

    def _use(self, work: Callable[[sqlite3.Connection], T], begin: str) -> T:
        with self._lock:
            if self._connection is None:
                raise StoreError(f"{self.path} is not open")
            try:
                self._connection.execute(begin)
                try:
                    result = work(self._connection)
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
                return result
            except sqlite3.IntegrityError:
                raise  # a question of the data, which the caller answers
            except sqlite3.DatabaseError as error:
                raise self._refusal(error) from error

    def _check(self, connection: sqlite3.Connection) -> None:
        """Refuse a file that is damaged, another program's, or of a newer panel."""
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            raise StoreError(_damaged(self.path, "; ".join(found)))
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if owner != APPLICATION and (tables or version):
            raise StoreError(
                f"{self.path} is the database of another program. Give the panel a state folder of its own."
            )
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{self.path} was written by a newer panel (schema {version}; this one knows up to {len(MIGRATIONS)}). "
                f"Install that version again, or stop the panel and put back the copy {self.path.name}.schema-"
                f"{len(MIGRATIONS)} that was made when it was brought forward. Nothing was changed."
            )

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if 0 < version < len(MIGRATIONS):
            copy = self.path.with_name(f"{self.path.name}.schema-{version}")
            copy.unlink(missing_ok=True)
            connection.execute("VACUUM INTO ?", (str(copy),))
            copy.chmod(0o600)
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {number};"
            connection.executescript(f"BEGIN IMMEDIATE; {script} {marks} COMMIT;")
        # proves that the file can be written, now and not at the first login
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")

    def _refusal(self, error: sqlite3.DatabaseError) -> StoreError:
        code = getattr(error, "sqlite_errorname", "") or ""
        if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            return StoreError(_damaged(self.path, str(error)))
        if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR")):
            return StoreError(_unwritable(self.path, str(error)))
        if code.startswith("SQLITE_BUSY"):
            return StoreError(f"{self.path} is in use by another process for more than {BUSY:.0f} s. Try again.")
        return StoreError(f"{self.path}: {error}")


def _damaged(path: Path, reason: str) -> str:
    return (
        f"{path} is damaged: {reason}. Stop the panel and restore a backup of it, or save what can be read with "
        f"'sqlite3 {path.name} .recover'. To begin anew (users, tokens and histories are lost, no host is touched), "
        "move the file away. It was not changed."
    )


def _unwritable(path: Path, reason: str) -> str:
    return (
        f"{path} cannot be written: {reason}. The panel needs the file and its folder writable by its own user, and "
        "space on the disk. Correct that and try again; nothing was changed."
    )
