# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings: oneself, users and tokens, the inventory in use, and who changed what."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..store.users import ROLES
from . import layout, parts, text
from .grid import Grid, Row, column
from .layout import View

if TYPE_CHECKING:
    from ..panel import Panel

_TOKENS = (
    column("label", "Token"),
    column("user", "User", "tight"),
    column("role", "Role", "tight"),
    column("created", "Made", "tight"),
    column("expires", "Expires", "tight"),
    column("used", "Used", "tight"),
    column("acts", "", "acts"),
)
_USERS = (
    column("name", "User"),
    column("role", "Role", "tight"),
    column("created", "Since", "tight"),
    column("acts", "", "acts"),
)
_SESSIONS = (
    column("agent", "Browser", "wide"),
    column("address", "Address", "mono"),
    column("seen", "Seen", "tight"),
    column("acts", "", "acts"),
)
_AUDIT = (
    column("at", "When", "tight"),
    column("who", "Who", "tight"),
    column("what", "What", "tight"),
    column("target", "Target", "mono"),
    column("command", "Command", "mono"),
    column("result", "Result", "wide"),
)
DAY = 86400


def build(panel: Panel) -> None:
    @layout.page(panel, "/settings", "Settings")
    async def settings(view: View) -> None:
        with parts.headline("Settings"):
            parts.tag(f"{view.user.name}: {view.user.role}", "info")
            parts.gap()
            parts.button("Theme: light, dark, as the system", lambda: layout.switch_theme(view))
            parts.link("API", "/docs", "act")
        with parts.columns():
            _password(view)
            _inventory(view)
        Tokens(view).fill()
        _sessions(view)
        if view.user.allows("admin"):
            Users(view).fill()
            await _audit(view)


async def attempt(do: Callable[[], Awaitable[object]], said: str) -> bool:
    """Do something, and tell how it went."""
    try:
        await do()
    except layout.TROUBLE as exc:
        parts.tell(layout.explained(exc), "error")
        return False
    parts.tell(said)
    return True


def _password(view: View) -> None:
    access, name = view.panel.access, view.user.name
    with parts.sheet("form"):
        parts.heading("Password").classes("wide")
        old, new = (
            parts.field(label, password=True, password_toggle_button=True)
            for label in ("The present one", "The new one")
        )

        async def change() -> None:
            view.sure("viewer")
            if not await access.right_password(name, str(old.value or ""), layout.address()):
                raise ValueError("The present password is another one.")
            await access.set_password(name, str(new.value or ""), name)

        async def pressed() -> None:
            if await attempt(change, "The password is changed; log in again."):
                old.value = new.value = ""

        parts.button("Change it", pressed)


def _inventory(view: View) -> None:
    panel = view.panel
    with parts.sheet():
        parts.heading("Inventory in use")
        parts.facts(
            [
                ("Sources", ", ".join(str(item) for item in panel.settings.inventory)),
                ("Hosts", str(len(panel.fleet.hosts))),
                ("State of the panel", str(panel.settings.state)),
                ("Changes are committed", "yes" if panel.settings.commit_changes else "no"),
            ]
        )

        async def reload() -> None:
            await attempt(panel.fleet.reload, "The inventory was read again.")

        parts.button("Read it again", reload)


class Tokens:
    """API tokens: a user's own, for admins all."""

    def __init__(self, view: View) -> None:
        self.view, self.access = view, view.panel.access

    def fill(self) -> None:
        parts.heading("API tokens")
        with parts.Box(classes="headline"):
            self.label = parts.field("For what").classes("w-40")
            mine = ROLES[: ROLES.index(self.view.user.role) + 1]
            self.role = parts.choice("Role", list(mine), "viewer").classes("w-32")
            self.days = parts.field("Valid for days", "90").classes("w-32")
            parts.button("Make a token", self._make)
        self.shown = parts.Box()
        self.grid = Grid(_TOKENS, self._rows(), label="tokens", empty="No token yet.", on_act=self._revoke)

    def _rows(self) -> list[Row]:
        user = None if self.view.user.allows("admin") else self.view.user.name
        found = []
        for item in self.access.tokens(user):
            times = {key: text.clock(getattr(item, key)) for key in ("created", "expires", "used")}
            acts = {"acts": [{"name": "revoke", "t": "Revoke", "tone": "error"}]}
            cells = {"label": text.clean(item.label, 80), "user": item.user, "role": item.role, **times, "acts": acts}
            found.append({"id": item.id, "tone": "", "cells": cells})
        return found

    async def _make(self) -> None:
        user = self.view.sure(str(self.role.value))
        days = str(self.days.value or "").strip()
        try:
            expires = time.time() + float(days) * DAY if days not in ("", "0") else None
            _id, token = await self.access.add_token(
                user.name, str(self.label.value or ""), str(self.role.value), expires, user.name
            )
        except layout.TROUBLE as exc:
            parts.tell(layout.explained(exc), "error")
            return
        self.shown.clear()
        with self.shown:
            parts.notice("Copy it now: it is not shown again.", "warning")
            parts.code(token, label="The new token")
        self.grid.show(self._rows())

    async def _revoke(self, _name: str, token: str) -> None:
        user = self.view.sure("viewer")
        mine = {item.id for item in self.access.tokens(None if user.allows("admin") else user.name)}
        if token in mine and await attempt(lambda: self.access.revoke_token(token, user.name), "The token is revoked."):
            self.grid.show(self._rows())


def _sessions(view: View) -> None:
    access, name = view.panel.access, view.user.name
    parts.heading("Where you are logged in")

    def rows() -> list[Row]:
        acts = {"acts": [{"name": "end", "t": "End", "tone": "error"}]}
        return [
            {
                "id": row.id,
                "tone": "",
                "cells": {
                    "agent": text.clean(row.agent, 160),
                    "address": text.clean(row.address, 60),
                    "seen": text.clock(row.seen),
                    "acts": acts,
                },
            }
            for row in access.sessions(name)
        ]

    async def end(_name: str, session: str) -> None:
        if session in {row.id for row in access.sessions(view.sure("viewer").name)}:
            await attempt(lambda: access.end_session(session, name), "That session is over.")
            grid.show(rows())

    grid = Grid(_SESSIONS, rows(), label="sessions", on_act=end)


class Users:
    """Who may log in, for admins."""

    def __init__(self, view: View) -> None:
        self.view, self.access = view, view.panel.access

    def fill(self) -> None:
        parts.heading("Users")
        with parts.Box(classes="headline"):
            self.name = parts.field("Name").classes("w-40")
            self.password = parts.field("Password", password=True, password_toggle_button=True).classes("w-40")
            self.role = parts.choice("Role", list(ROLES), "viewer").classes("w-32")
            parts.button("Add", self._add)
        self.grid = Grid(_USERS, self._rows(), label="users", on_act=self._act)

    def _rows(self) -> list[Row]:
        found = []
        for item in self.access.users():
            others = [role for role in ROLES if role != item.role]
            acts = [{"name": role, "t": f"Make {role}"} for role in others] + [
                {"name": "remove", "t": "Remove", "tone": "error"}
            ]
            cells = {"name": item.name, "role": item.role, "created": text.clock(item.created), "acts": {"acts": acts}}
            found.append({"id": item.name, "tone": "", "cells": cells})
        return found

    async def _add(self) -> None:
        by = self.view.sure("admin").name
        name, password = str(self.name.value or ""), str(self.password.value or "")
        if await attempt(lambda: self.access.add_user(name, str(self.role.value), password, by), f"{name} may log in."):
            self.name.value = self.password.value = ""
            self.grid.show(self._rows())

    async def _act(self, act: str, name: str) -> None:
        by = self.view.sure("admin").name
        if act == "remove":
            said = f"{name}'s sessions and tokens end with it."
            if await parts.confirm(f"Remove {name}", said, "Remove") is None:
                return
            await attempt(lambda: self.access.remove_user(name, by), f"{name} is removed.")
        elif act in ROLES:
            await attempt(lambda: self.access.set_role(name, act, by), f"{name} is {act} now.")
        self.grid.show(self._rows())


async def _audit(view: View) -> None:
    parts.heading("Who changed what")
    found = await view.panel.store.audit.list(limit=200)
    rows = [
        {
            "id": str(item.id),
            "tone": "warning" if item.result in ("refused", "failed") else "",
            "cells": {
                "at": {"t": text.clock(item.at), "sort": item.at},
                **{key: text.clean(getattr(item, key), 400) for key in ("who", "what", "target", "command", "result")},
            },
        }
        for item in found
    ]
    Grid(_AUDIT, rows, label="audit log", find=True, step=40)
