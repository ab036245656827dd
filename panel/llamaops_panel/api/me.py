# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Oneself: role, password, sessions, preferences, tickets."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request, Response
from pydantic import BaseModel, Field

from ..access import tickets
from ..access.access import SHOWN
from ..access.guard import Viewer, in_person
from ..panel import Panel

Secret = Annotated[str, Field(min_length=1, max_length=200)]


class Me(BaseModel):
    """via: session or token."""

    name: str
    role: str
    via: str
    preferences: dict[str, Any]


class NewPassword(BaseModel):
    old: Secret
    new: Secret


class Preferences(BaseModel):
    """theme and whatever else the pages keep; 4096 bytes at most."""

    values: dict[str, Any]


class Session(BaseModel):
    """id: the beginning of its hash. created, seen: unix seconds."""

    id: str
    created: float
    seen: float
    address: str
    agent: str
    current: bool


class TicketFor(BaseModel):
    """path: of the stream that it shall open, without the query."""

    path: Annotated[str, Field(pattern=r"^/api/v1/[^?#]{1,300}$")]


class Ticket(BaseModel):
    ticket: str
    seconds: float


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(prefix="/me", tags=["oneself"])

    @router.get("")
    async def me(by: Viewer) -> Me:
        return Me(name=by.user.name, role=by.user.role, via=by.via, preferences=panel.access.preferences(by.user.name))

    @router.put("/preferences", status_code=204, response_class=Response)
    async def set_preferences(by: Viewer, body: Preferences) -> None:
        in_person(by)
        await panel.access.set_preferences(by.user.name, body.values)

    @router.put("/password", status_code=204, response_class=Response)
    async def set_password(by: Viewer, body: NewPassword, request: Request) -> None:
        """Ends every session of the user, this one too."""
        in_person(by)
        address = request.client.host if request.client else ""
        if not await panel.access.right_password(by.user.name, body.old, address):
            raise HTTPException(403, "the old password is another one")
        await panel.access.set_password(by.user.name, body.new, by.who)

    @router.get("/sessions")
    async def sessions(by: Viewer) -> list[Session]:
        return [
            Session(
                id=row.id[:SHOWN],
                created=row.created,
                seen=row.seen,
                address=row.address,
                agent=row.agent,
                current=row.id == by.key,
            )
            for row in panel.access.sessions(by.user.name)
        ]

    @router.delete("/sessions/{id}", status_code=204, response_class=Response)
    async def end_session(by: Viewer, id: Annotated[str, Path(pattern=f"^[0-9a-f]{{{SHOWN}}}$")]) -> None:
        in_person(by)
        for row in panel.access.sessions(by.user.name):
            if row.id.startswith(id):
                await panel.access.end_session(row.id, by.who)
                return
        raise HTTPException(404, "there is no such session of yours")

    @router.post("/tickets", status_code=201)
    async def ticket(by: Viewer, body: TicketFor) -> Ticket:
        """Opens that stream once, given as `?ticket=`, where no header can be set."""
        return Ticket(ticket=panel.access.ticket(by, body.path), seconds=tickets.LIFE)

    return router
