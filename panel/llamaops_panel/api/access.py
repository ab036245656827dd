# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, tokens and the audit log."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from ..access.guard import Admin, Viewer, in_person
from ..panel import Panel
from .paging import After, Before, Limit, Page, counted, page

Role = Literal["viewer", "operator", "admin"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
NamePath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
Password = Annotated[str, Field(min_length=1, max_length=200)]
DAY = 86400


class UserOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    name: str
    role: Role
    created: float
    changed: float


class NewUser(BaseModel):
    name: Name
    role: Role = "viewer"
    password: Password


class UserChange(BaseModel):
    """A new password ends the sessions of the user."""

    role: Role | None = None
    password: Password | None = None


class TokenOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    user: str
    label: str
    role: Role
    created: float
    expires: float | None
    used: float | None


class NewToken(BaseModel):
    """days: how long it is valid."""

    label: Annotated[str, Field(min_length=1, max_length=80)]
    role: Role = "viewer"
    days: Annotated[int, Field(ge=1, le=3650)] = 90


class MadeToken(BaseModel):
    """token: shown here and never again."""

    id: str
    token: str


class AuditOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    at: float
    who: str
    what: str
    target: str
    command: str
    result: str


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(tags=["access"])
    _users(router, panel)
    _tokens(router, panel)

    @router.get("/audit")
    async def audit(by: Admin, limit: Limit = 100, before: Before = None) -> Page[AuditOut]:
        """Every change, newest first."""
        rows = await panel.store.audit.list(limit=limit + 1, before=before)
        return counted([AuditOut.model_validate(row) for row in rows], lambda row: row.id, limit)

    return router


def _users(router: APIRouter, panel: Panel) -> None:
    @router.get("/users")
    async def users(by: Admin, limit: Limit = 100, after: After = "") -> Page[UserOut]:
        return page([UserOut.model_validate(row) for row in panel.access.users()], lambda row: row.name, after, limit)

    @router.post("/users", status_code=201)
    async def add(by: Admin, body: NewUser) -> UserOut:
        await panel.access.add_user(body.name, body.role, body.password, by.who)
        return _user(panel, body.name)

    @router.patch("/users/{name}")
    async def change(by: Admin, name: NamePath, body: UserChange) -> UserOut:
        _user(panel, name)
        if body.role is not None:
            await panel.access.set_role(name, body.role, by.who)
        if body.password is not None:
            await panel.access.set_password(name, body.password, by.who)
        return _user(panel, name)

    @router.delete("/users/{name}", status_code=204, response_class=Response)
    async def remove(by: Admin, name: NamePath) -> None:
        _user(panel, name)
        await panel.access.remove_user(name, by.who)


def _tokens(router: APIRouter, panel: Panel) -> None:
    @router.get("/tokens")
    async def tokens(by: Viewer, limit: Limit = 100, after: After = "") -> Page[TokenOut]:
        """One's own; an admin sees those of everybody."""
        rows = panel.access.tokens(None if by.user.allows("admin") else by.user.name)
        return page([TokenOut.model_validate(row) for row in rows], lambda row: row.id, after, limit)

    @router.post("/tokens", status_code=201)
    async def add(by: Viewer, body: NewToken) -> MadeToken:
        """In a browser, or at the panel's command line: a token makes no further ones."""
        in_person(by)
        if not by.user.allows(body.role):
            raise HTTPException(403, f"{by.user.role} cannot make a token that is {body.role}")
        expires = time.time() + body.days * DAY
        id, token = await panel.access.add_token(by.user.name, body.label, body.role, expires, by.who)
        return MadeToken(id=id, token=token)

    @router.delete("/tokens/{id}", status_code=204, response_class=Response)
    async def revoke(by: Viewer, id: Annotated[str, Path(pattern="^[0-9a-f]{12}$")]) -> None:
        """A token may end itself, and no other."""
        if id != by.key:
            in_person(by)
        mine = {row.id for row in panel.access.tokens(None if by.user.allows("admin") else by.user.name)}
        if id not in mine:
            raise HTTPException(404, f"there is no token {id} of yours")
        await panel.access.revoke_token(id, by.who)


def _user(panel: Panel, name: str) -> UserOut:
    for row in panel.access.users():
        if row.name == name:
            return UserOut.model_validate(row)
    raise HTTPException(404, f"there is no user {name}")
