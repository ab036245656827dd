# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, sessions, tokens and tickets of a running panel.

Who may come in is kept in memory, so that a request asks no disk. The database stays the truth: each change is written
first, and changes of another process (the command line) are noticed within a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..settings import Settings
from ..store import Store, StoreError, audit, users
from ..store.users import ROLES, SessionRow, Snapshot, TokenRow, UserRow
from . import devices, passwords
from .hashing import Hashing, LoginRefused
from .identity import Identity, User
from .limits import LoginLimits
from .tickets import Tickets

__all__ = ["Access", "LoginRefused"]
T = TypeVar("T")
LOOK = 1.0  # seconds between looks for changes and for what has expired
AHEAD = 300.0  # seconds that a session may seem to begin in the future; more, and the clock was wrong
REFUSED = 10_000  # wrong logins that the audit log keeps
UNKNOWN = "(unknown)"  # a name that nobody has is not kept: it may be a password in the wrong field
WRITE_USED = 60.0  # seconds between writes of when sessions and tokens were last used
TOKEN_PREFIX = "llp"
SHOWN = 16  # characters of the id of a session that are shown


class Access:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._database = store.database
        self._settings = settings
        self._snapshot = Snapshot({}, {}, {})
        self._identities: dict[tuple[str, str], Identity] = {}  # by (via, key)
        self._used: dict[tuple[str, str], float] = {}
        self._proven: dict[str, bytes] = {}  # token id -> sha256 of the secret that its argon2 hash was compared with
        self._hashing = Hashing()
        self._limits = LoginLimits()
        self._tickets: Tickets[tuple[str, str]] = Tickets()
        self._device_key = b""
        self._version = -1
        self._written = time.time()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._device_key = await self._database.write(lambda db: users.secret(db, "device"))
        await self._reload()
        self._task = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(StoreError):
            await self._write_used()
        self._hashing.stop()

    # ---- who is it

    def by_session(self, secret: str, now: float | None = None) -> Identity | None:
        return self._identity("session", _digest(secret), now or time.time())

    async def by_token(self, text: str, now: float | None = None) -> Identity | None:
        prefix, _sep, rest = text.partition("_")
        id, _sep, secret = rest.partition("_")
        if prefix == TOKEN_PREFIX and id not in self._snapshot.tokens:
            with contextlib.suppress(StoreError):  # then it is refused
                await self._look()
        row = self._snapshot.tokens.get(id)
        if prefix != TOKEN_PREFIX or row is None or not secret:
            return None
        digest = hashlib.sha256(secret.encode()).digest()
        if not secrets.compare_digest(self._proven.get(id, b""), digest):
            if not await self._hashing.do(passwords.token_matches, row.secret, secret):
                return None
            self._proven[id] = digest
        return self._identity("token", id, now or time.time())

    def by_ticket(self, key: str, path: str) -> Identity | None:
        holder = self._tickets.redeem(key, path, time.monotonic())
        return None if holder is None else self._identity(holder[0], holder[1], time.time())

    def user(self, identity: Identity) -> User | None:
        """The user as they are now; None if the session or token is over."""
        found = self._identity(identity.via, identity.key, time.time(), use=False)
        return found.user if found is not None else None

    def ticket(self, identity: Identity, path: str) -> str:
        return self._tickets.issue(path, (identity.via, identity.key), time.monotonic())

    def _identity(self, via: str, key: str, now: float, *, use: bool = True) -> Identity | None:
        user = self._valid(via, key, now)
        known = self._identities.get((via, key))
        if known is not None and known.user != user:
            self._identities.pop((via, key)).ended.set()
            known = None
        if user is None:
            return None
        if use:
            self._used[via, key] = now
        if known is None:
            known = Identity(user, "session" if via == "session" else "token", key, asyncio.Event())
            self._identities[via, key] = known
        return known

    def _valid(self, via: str, key: str, now: float) -> User | None:
        """Whose session or token it is, if that is not over."""
        if via == "session":
            session = self._snapshot.sessions.get(key)
            if session is None or not -AHEAD < now - session.created < self._settings.session_absolute:
                return None
            if now - max(session.seen, self._used.get((via, key), 0.0)) >= self._settings.session_idle:
                return None
            owner = self._snapshot.users.get(session.user)
            return User(owner.name, owner.role) if owner is not None else None
        token = self._snapshot.tokens.get(key)
        if token is None or (token.expires is not None and token.expires <= now):
            return None
        owner = self._snapshot.users.get(token.user)
        return User(owner.name, min(token.role, owner.role, key=ROLES.index)) if owner is not None else None

    # ---- coming and going

    async def login(self, name: str, password: str, *, address: str, agent: str, device: str | None) -> tuple[str, str]:
        """The secret of a new session, and the cookie of this device. Raises LoginRefused."""
        now, tried = time.time(), time.monotonic()  # a clock that is set must neither keep people out nor let them in
        known = devices.read(self._device_key, device, name)
        wait = self._limits.wait(name, address, known, tried)
        if wait > 0:
            raise LoginRefused(f"too many wrong logins: try again in {wait:.0f} s", max(wait, 1.0))
        # counted before the slow comparison, or many tries at once would all be let in
        self._limits.failed(name, address, known, tried)
        row, right = await self._compare(name, password, known is not None)
        if row is None or not right:
            who = row.name if row else UNKNOWN
            await self._change(lambda db: audit.add(db, who, "login", address, result="refused"), reload=False)
            raise LoginRefused("this name and password do not go together")
        self._limits.succeeded(name, address, known)
        secret = secrets.token_urlsafe(32)
        session = SessionRow(_digest(secret), name, now, now, address, agent)

        def write(db: sqlite3.Connection) -> None:
            users.add_session(db, session)
            audit.add(db, name, "login", address)

        await self._change(write)
        return secret, device if known is not None and device else devices.make(self._device_key, name)

    async def logout(self, secret: str) -> None:
        """Of what no longer is, nothing."""
        row = self._snapshot.sessions.get(_digest(secret))
        if row is not None:
            await self.end_session(row.id, row.user, "logout")

    async def end_session(self, id: str, by: str, what: str = "session.end") -> None:
        def write(db: sqlite3.Connection) -> None:
            users.end_sessions(db, [id])
            audit.add(db, by, what, id[:SHOWN])

        await self._change(write)

    # ---- changes

    async def add_user(self, name: str, role: str, password: str, by: str) -> None:
        """Raises UserError, WeakPassword."""
        stored = await self._new_password(password, name)
        await self._change(lambda db: users.add(db, name, role, stored, by))

    async def set_password(self, name: str, password: str, by: str) -> None:
        stored = await self._new_password(password, name)
        await self._change(lambda db: users.set_password(db, name, stored, by))

    async def set_role(self, name: str, role: str, by: str) -> None:
        await self._change(lambda db: users.set_role(db, name, role, by))

    async def remove_user(self, name: str, by: str) -> None:
        await self._change(lambda db: users.remove(db, name, by))

    async def right_password(self, name: str, password: str, address: str) -> bool:
        """Whether it is the user's, asked before a change of it; counts as a try to log in. Raises LoginRefused."""
        key, now = f"change:{name}", time.monotonic()
        wait = self._limits.wait(name, address, key, now)
        if wait > 0:
            raise LoginRefused(f"too many wrong passwords: try again in {wait:.0f} s", max(wait, 1.0))
        self._limits.failed(name, address, key, now)
        row = self._snapshot.users.get(name)
        if row is None or not await self._hashing.do(passwords.matches, row.password, password):
            return False
        self._limits.succeeded(name, address, key)
        return True

    async def add_token(self, user: str, label: str, role: str, expires: float | None, by: str) -> tuple[str, str]:
        """The id, and the token, which is never seen again. Raises UserError."""
        secret = secrets.token_urlsafe(32)
        stored = await self._hashing.do(passwords.token_hashed, secret)
        id = await self._change(lambda db: users.add_token(db, user, label, role, stored, expires, by))
        return id, token_text(id, secret)

    async def revoke_token(self, id: str, by: str) -> None:
        await self._change(lambda db: users.revoke_token(db, id, by))

    def preferences(self, name: str) -> dict[str, Any]:
        row = self._snapshot.users.get(name)
        found = json.loads(row.preferences) if row is not None else {}
        return found if isinstance(found, dict) else {}

    async def set_preferences(self, name: str, preferences: dict[str, Any]) -> None:
        await self._change(lambda db: users.set_preferences(db, name, preferences))

    # ---- lists

    def users(self) -> list[UserRow]:
        return list(self._snapshot.users.values())

    def tokens(self, user: str | None = None) -> list[TokenRow]:
        return [row for row in self._snapshot.tokens.values() if user in (None, row.user)]

    def sessions(self, user: str) -> list[SessionRow]:
        now = time.time()
        return [
            row for row in self._snapshot.sessions.values() if row.user == user and self._valid("session", row.id, now)
        ]

    # ---- inside

    async def _compare(self, name: str, password: str, known: bool) -> tuple[UserRow | None, bool]:
        """The user and whether this is the password; once more where another process has just changed the user."""
        while True:
            row = self._snapshot.users.get(name)
            stored = row.password if row else passwords.NOBODY
            right = await self._hashing.do(passwords.matches, stored, password, known=known)
            await self._look()  # after the comparison, of which only so many wait
            if self._snapshot.users.get(name) == row:
                return row, right

    async def _new_password(self, password: str, name: str) -> str:
        def make() -> str:
            passwords.check(password, name)
            return passwords.hashed(password)

        return await self._hashing.do(make)

    async def _change(self, work: Callable[[sqlite3.Connection], T], *, reload: bool = True) -> T:
        result = await self._database.write(work)
        if reload:
            await self._reload()
        return result

    async def _reload(self) -> None:
        self._snapshot = await self._database.read(users.load)
        self._proven = {id: digest for id, digest in self._proven.items() if id in self._snapshot.tokens}
        self._sweep(time.time())

    async def _look(self) -> None:
        """Take over what another process, such as the command line, has written."""
        version = await self._database.read(lambda db: int(db.execute("PRAGMA data_version").fetchone()[0]))
        if version != self._version:
            self._version = version
            await self._reload()

    def _sweep(self, now: float) -> None:
        """End what is over: its sockets and streams close."""
        for (via, key), identity in list(self._identities.items()):
            if self._valid(via, key, now) != identity.user:
                identity.ended.set()
                del self._identities[via, key]

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            with contextlib.suppress(StoreError):  # said by whoever writes next; who is in memory may go on looking
                await self._look()
                self._sweep(time.time())
                if time.time() - self._written >= WRITE_USED:
                    await self._write_used()

    async def _write_used(self) -> None:
        self._written, used = time.time(), dict(self._used)
        over = [id for id in self._snapshot.sessions if not self._valid("session", id, time.time())]
        sessions = {key: at for (via, key), at in used.items() if via == "session"}
        tokens = {key: at for (via, key), at in used.items() if via == "token"}

        def write(db: sqlite3.Connection) -> None:
            users.mark_used(db, sessions, tokens)
            users.end_sessions(db, over)
            audit.forget(db, "login", "refused", REFUSED)

        await self._change(write)
        self._used = {key: at for key, at in self._used.items() if at != used.get(key)}


def token_text(id: str, secret: str) -> str:
    return f"{TOKEN_PREFIX}_{id}_{secret}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
