# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands about users and tokens; they work while the panel runs."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
import time
from pathlib import Path

from .access import passwords
from .access.access import token_text
from .settings import Settings
from .store import Store, users
from .store.users import UserError

DAY = 86400


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Raises StoreError, UserError."""
    store = Store(settings.database)
    store.database.open()
    try:
        command = {"user": _user, "token": _token}[arguments.command]
        print(command(arguments, store, f"cli:{getpass.getuser()}"))
    finally:
        store.database.close()
    return 0


def _user(arguments: argparse.Namespace, store: Store, by: str) -> str:
    change, name = store.database.write_now, getattr(arguments, "name", "")
    found = store.database.read_now(users.load).users
    if arguments.action == "list":
        return "\n".join(f"{user.name:<20} {user.role}" for user in found.values()) or "nobody yet"
    if arguments.action == "role":
        change(lambda db: users.set_role(db, name, arguments.role, by))
        return f"{name} is {arguments.role} now"
    if arguments.action == "remove":
        change(lambda db: users.remove(db, name, by))
        return f"{name} is removed"
    if arguments.action == "password":
        if name not in found:
            raise UserError(f"there is no user {name}")
        stored = _new_password(name, arguments.password_file)
        change(lambda db: users.set_password(db, name, stored, by))
        return f"{name} has a new password, and no session"
    role = arguments.role or ("viewer" if found else "admin")
    if not users.NAME.fullmatch(name) or name in found:
        change(lambda db: users.add(db, name, role, "", by))  # says why not, before it asks for a password
    stored = _new_password(name, arguments.password_file)
    change(lambda db: users.add(db, name, role, stored, by))
    return f"{name} is {role}"


def _token(arguments: argparse.Namespace, store: Store, by: str) -> str:
    change = store.database.write_now
    if arguments.action == "list":
        rows = store.database.read_now(users.load).tokens.values()
        return "\n".join(f"{row.id}  {row.user:<20} {row.role:<9} {row.label}" for row in rows) or "none yet"
    if arguments.action == "revoke":
        change(lambda db: users.revoke_token(db, arguments.id, by))
        return f"{arguments.id} is revoked"
    secret = secrets.token_urlsafe(32)
    stored = passwords.token_hashed(secret)
    expires = time.time() + arguments.days * DAY if arguments.days > 0 else None
    id = change(lambda db: users.add_token(db, arguments.name, arguments.label, arguments.role, stored, expires, by))
    return token_text(id, secret)


def _new_password(name: str, file: Path | None) -> str:
    if file is not None:
        try:
            text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read the password from {file}: {error}") from error
        password = text.rstrip("\r\n")
    else:
        password = getpass.getpass(f"Password of {name}: ")
        if getpass.getpass("Once more: ") != password:
            raise UserError("the two are not the same")
    try:
        passwords.check(password, name)
    except passwords.WeakPassword as error:
        raise UserError(str(error)) from error
    return passwords.hashed(password)
