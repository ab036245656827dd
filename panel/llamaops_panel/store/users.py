# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, their sessions and their tokens, as rows. Each function works within the transaction that it is given."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from . import audit

ROLES = ("viewer", "operator", "admin")  # each may what those before it may
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
PREFERENCES = 4096  # bytes


class UserError(Exception):
    """A user or token cannot be as asked; the text says why."""


@dataclass(frozen=True)
class UserRow:
    name: str
    role: str
    password: str  # an argon2 hash
    created: float
    changed: float
    preferences: str  # a JSON object


@dataclass(frozen=True)
class SessionRow:
    """id: the sha256 of the cookie. seen: when it was last used."""

    id: str
    user: str
    created: float
    seen: float
    address: str
    agent: str


@dataclass(frozen=True)
class TokenRow:
    """secret: an argon2 hash. expires, used: unix seconds or None."""

    id: str
    user: str
    label: str
    role: str
    secret: str
    created: float
    expires: float | None
    used: float | None


@dataclass(frozen=True)
class Snapshot:
    """Everybody who may come in: few enough to be kept in memory."""

    users: dict[str, UserRow]
    sessions: dict[str, SessionRow]
    tokens: dict[str, TokenRow]


def load(db: sqlite3.Connection) -> Snapshot:
    return Snapshot(
        users={row["name"]: UserRow(**dict(row)) for row in db.execute("SELECT * FROM users ORDER BY name")},
        sessions={row["id"]: SessionRow(**dict(row)) for row in db.execute("SELECT * FROM sessions")},
        tokens={row["id"]: TokenRow(**dict(row)) for row in db.execute("SELECT * FROM tokens ORDER BY created")},
    )


def add(db: sqlite3.Connection, name: str, role: str, password: str, by: str) -> None:
    if not NAME.fullmatch(name):
        raise UserError(
            "a name has 1 to 40 of: small letters, digits, dot, dash, underscore; it begins with one of the first two"
        )
    check_role(role)
    now = time.time()
    try:
        db.execute(
            "INSERT INTO users (name, role, password, created, changed) VALUES (?, ?, ?, ?, ?)",
            (name, role, password, now, now),
        )
    except sqlite3.IntegrityError as error:
        raise UserError(f"there is a user {name} already") from error
    audit.add(db, by, "user.add", name, result=role)


def set_password(db: sqlite3.Connection, name: str, password: str, by: str) -> None:
    """Ends the sessions of the user; tokens stay, they have secrets of their own."""
    _update(db, name, "password", password)
    db.execute("DELETE FROM sessions WHERE user = ?", (name,))
    audit.add(db, by, "user.password", name)


def set_role(db: sqlite3.Connection, name: str, role: str, by: str) -> None:
    check_role(role)
    if role != "admin":
        _keep_an_admin(db, name)
    _update(db, name, "role", role)
    audit.add(db, by, "user.role", name, result=role)


def remove(db: sqlite3.Connection, name: str, by: str) -> None:
    """With sessions and tokens."""
    _keep_an_admin(db, name)
    if not db.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount:
        raise UserError(f"there is no user {name}")
    audit.add(db, by, "user.remove", name)


def set_preferences(db: sqlite3.Connection, name: str, preferences: dict[str, Any]) -> None:
    text = json.dumps(preferences)
    if len(text) > PREFERENCES:
        raise UserError(f"preferences are longer than {PREFERENCES} bytes")
    db.execute("UPDATE users SET preferences = ? WHERE name = ?", (text, name))


def add_session(db: sqlite3.Connection, row: SessionRow) -> None:
    db.execute(
        "INSERT INTO sessions (id, user, created, seen, address, agent) VALUES (?, ?, ?, ?, ?, ?)",
        (row.id, row.user, row.created, row.seen, row.address[:64], row.agent[:200]),
    )


def end_sessions(db: sqlite3.Connection, ids: list[str]) -> None:
    db.executemany("DELETE FROM sessions WHERE id = ?", [(id,) for id in ids])


def add_token(
    db: sqlite3.Connection, user: str, label: str, role: str, secret: str, expires: float | None, by: str
) -> str:
    """Its id. A token may at most what its user may, whenever it is used."""
    check_role(role)
    owner = db.execute("SELECT role FROM users WHERE name = ?", (user,)).fetchone()
    if owner is None:
        raise UserError(f"there is no user {user}")
    if ROLES.index(role) > ROLES.index(owner["role"]):
        raise UserError(f"{user} is {owner['role']}, so a token of theirs cannot be {role}")
    id = secrets.token_hex(6)
    db.execute(
        "INSERT INTO tokens (id, user, label, role, secret, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (id, user, label[:80], role, secret, time.time(), expires),
    )
    audit.add(db, by, "token.add", user, result=f"{id} {role}")
    return id


def revoke_token(db: sqlite3.Connection, id: str, by: str) -> None:
    row = db.execute("DELETE FROM tokens WHERE id = ? RETURNING user", (id,)).fetchone()
    if row is None:
        raise UserError(f"there is no token {id}")
    audit.add(db, by, "token.revoke", row["user"], result=id)


def mark_used(db: sqlite3.Connection, sessions: dict[str, float], tokens: dict[str, float]) -> None:
    db.executemany("UPDATE sessions SET seen = ? WHERE id = ?", [(at, id) for id, at in sessions.items()])
    db.executemany("UPDATE tokens SET used = ? WHERE id = ?", [(at, id) for id, at in tokens.items()])


def secret(db: sqlite3.Connection, name: str) -> bytes:
    """A random key of this panel, made at first use."""
    db.execute(
        "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", (name, secrets.token_bytes(32))
    )
    return bytes(db.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()["value"])


def check_role(role: str) -> None:
    if role not in ROLES:
        raise UserError(f"there is no role {role}; there are: {', '.join(ROLES)}")


def _update(db: sqlite3.Connection, name: str, column: str, value: str) -> None:
    if not db.execute(
        f"UPDATE users SET {column} = ?, changed = ? WHERE name = ?", (value, time.time(), name)
    ).rowcount:
        raise UserError(f"there is no user {name}")


def _keep_an_admin(db: sqlite3.Connection, name: str) -> None:
    others = db.execute("SELECT count(*) FROM users WHERE role = 'admin' AND name != ?", (name,)).fetchone()[0]
    mine = db.execute("SELECT role FROM users WHERE name = ?", (name,)).fetchone()
    if mine is not None and mine["role"] == "admin" and not others:
        raise UserError(f"{name} is the last admin: make another user one first")
