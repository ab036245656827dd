# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel's one file: opened with care, brought forward, and refused with the way out; never wiped."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

import pytest
from llamaops_panel.panel import Panel
from llamaops_panel.settings import Settings
from llamaops_panel.store import Store, StoreError, audit, schema, users
from llamaops_panel.store.database import Database
from llamaops_panel.store.schema import APPLICATION, MIGRATIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "panel.db"


def made(path: Path) -> Path:
    """A database with one user."""
    database = Database(path)
    database.open()
    database.write_now(lambda db: users.add(db, "ann", "admin", "hash", "test"))
    database.close()
    return path


def older(path: Path, version: int) -> None:
    """A database as an older panel left it."""
    path.parent.mkdir(exist_ok=True)
    with sqlite3.connect(path) as db:
        db.executescript("".join(MIGRATIONS[:version]))
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("INSERT INTO users (name, role, password, created, changed) VALUES ('old', 'admin', 'x', 1, 1)")
    db.close()


def refusal(path: Path) -> str:
    """What opening says, with the file and its folder as they were before."""
    before, files = hashlib.sha256(path.read_bytes()).digest(), sorted(path.parent.iterdir())
    with pytest.raises(StoreError) as refused:
        Database(path).open()
    assert hashlib.sha256(path.read_bytes()).digest() == before, "the file was touched"
    assert [file for file in sorted(path.parent.iterdir()) if not file.name.endswith(("-wal", "-shm"))] == files
    return str(refused.value)


def test_a_new_file_is_for_one_user_alone_and_kept(path):
    made(path)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    again = Database(path)
    again.open()
    assert list(again.read_now(users.load).users) == ["ann"]
    with pytest.raises(StoreError, match="is not open"):
        Database(path).read_now(users.load)
    again.close()


@pytest.mark.parametrize("part", ["head", "middle", "all"])
def test_a_damaged_file_is_refused_with_the_way_out(path, part):
    content = bytearray(made(path).read_bytes())
    assert len(content) > 3 * 4096
    place = {"head": slice(0, 100), "middle": slice(4096, 3 * 4096), "all": slice(0, len(content))}[part]
    content[place] = os.urandom(len(content[place]))
    path.write_bytes(content)
    said = refusal(path)
    assert "is damaged" in said and "restore a backup" in said and ".recover" in said and "not changed" in said


def test_a_newer_file_is_refused_with_the_way_back(path):
    with sqlite3.connect(made(path)) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    said = refusal(path)
    assert "newer panel (schema 99" in said and f"panel.db.schema-{len(MIGRATIONS)}" in said


def test_the_file_of_another_program_is_left_alone(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    assert "another program" in refusal(path)


@pytest.fixture
def powerless():
    """A folder that somebody owns who is not root: root may write what is read-only."""
    folder = Path(tempfile.mkdtemp(prefix="llama-store-"))
    me = os.geteuid()
    if me == 0:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    os.seteuid(me)
    shutil.rmtree(folder)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_cannot_be_written_is_said_at_the_start(powerless, what):
    path = made(powerless / "state" / "panel.db")
    (path if what == "file" else path.parent).chmod(0o400 if what == "file" else 0o500)
    try:
        said = refusal(path)
        assert "cannot be written" in said and "own user" in said and "nothing was changed" in said
        settings = Settings(state=path.parent)
        with pytest.raises(StoreError, match="cannot be written"):
            Panel(settings).open()
    finally:
        path.parent.chmod(0o700)


def test_a_file_that_becomes_read_only_refuses_changes_and_still_answers(path):
    store = Store(made(path))
    store.database.open()
    store.database.read_now(lambda db: None)
    connection = store.database._connection
    assert connection
    connection.execute("PRAGMA query_only = 1")  # what SQLite says then is what a read-only disk makes it say
    with pytest.raises(StoreError, match="cannot be written.*nothing was changed"):
        store.database.write_now(lambda db: users.add(db, "bob", "viewer", "x", "test"))
    with pytest.raises(StoreError):
        store.audit.ready_now()
    assert list(store.database.read_now(users.load).users) == ["ann"]
    store.database.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_an_older_file_is_brought_forward_and_a_copy_kept(path, version):
    older(path, version)
    database = Database(path)
    database.open()
    assert list(database.read_now(users.load).users) == ["old"]
    assert database.read_now(lambda db: db.execute("PRAGMA user_version").fetchone()[0]) == len(MIGRATIONS)
    assert database.read_now(lambda db: db.execute("SELECT count(*) FROM jobs").fetchone()[0]) == 0
    database.close()
    copy = path.with_name(f"panel.db.schema-{version}")
    assert copy.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(copy) as db:
        assert db.execute("SELECT name FROM users").fetchall() == [("old",)]
        assert db.execute("PRAGMA user_version").fetchone()[0] == version
    db.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(path):
    older(path, 1)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE benches_at (in_the_way)")  # the index of this name comes after a table
    db.close()
    with pytest.raises(StoreError, match="benches_at"):
        Database(path).open()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1
        assert db.execute("SELECT name FROM users").fetchall() == [("old",)]
        assert not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'benches'").fetchall()
    db.close()


SUMS = ["2d4a845034e1", "0d2c21a822b0", "6678b5d3bf53"]


def test_released_migrations_stay_as_they_are():
    sums = [hashlib.sha256(script.encode()).hexdigest()[:12] for script in MIGRATIONS]
    assert sums == SUMS, "a migration that is released is never edited: append a further one"


def test_a_change_and_its_entry_in_the_audit_log_stand_together(path):
    database = Database(made(path))
    database.open()

    def fails(db: sqlite3.Connection) -> None:
        users.set_role(db, "ann", "admin", "eve")
        raise RuntimeError("after the change")

    with pytest.raises(RuntimeError):
        database.write_now(fails)
    rows = asyncio.run(audit.Audit(database).list())
    assert [(row.who, row.what, row.target) for row in rows] == [("test", "user.add", "ann")]
    database.close()


def test_the_audit_log_is_paged_and_cuts_what_is_long(path):
    async def story() -> None:
        store = Store(path)
        store.database.open()
        for number in range(5):
            await store.audit.write(f"u{number % 2}", "test", "\x00<b>" + "x" * 100_000, f"command {number}")
        rows = await store.audit.list(limit=2)
        assert [row.command for row in rows] == ["command 4", "command 3"]
        assert len(rows[0].target) == audit.LONGEST and rows[0].at <= time.time()
        rows = await store.audit.list(limit=9, before=rows[-1].id)
        assert [row.command for row in rows] == ["command 2", "command 1", "command 0"]
        assert [row.command for row in await store.audit.list(who="u1")] == ["command 3", "command 1"]
        store.database.close()

    asyncio.run(story())


def test_one_folder_is_for_one_panel(tmp_path):
    settings = Settings(state=tmp_path / "state", project=tmp_path)
    first = Panel(settings)
    first.open()
    with pytest.raises(StoreError, match="another panel uses"):
        Panel(settings).open()
    first.store.database.close()
    first._unlock()
    second = Panel(settings)
    second.open()
    second.store.database.close()
    second._unlock()


def test_benches_are_kept_once_and_paged(path):
    async def story() -> None:
        store = Store(path)
        store.database.open()
        for at in (1.0, 2.0, 2.0):
            await store.benches.add("gpu01", "key", at, "b1", "m1", {"rows": [at]})
        found = await store.benches.list(host="gpu01", model="m1", build="b1", limit=1)
        assert [row["record"] for row in found] == [{"rows": [2.0]}]
        assert [row["at"] for row in await store.benches.list(before=found[0]["id"])] == [1.0]
        assert await store.benches.get(99) is None and (await store.benches.list(host="gpu02")) == []
        store.database.close()

    asyncio.run(story())


def test_the_tables_say_whom_they_belong_to(path):
    with sqlite3.connect(made(path)) as db:
        assert db.execute("PRAGMA application_id").fetchone()[0] == schema.APPLICATION
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    db.close()
