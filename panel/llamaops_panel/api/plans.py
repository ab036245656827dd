# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fits where: the plan of an instance on one host or on many, as llama-host answers; nothing is changed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from .. import planned
from ..access.guard import Operator, Viewer
from ..access.identity import User
from ..fleet.fleet import HostError
from ..panel import Panel
from .hosts import HostName, known

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Build = Annotated[str, Field(max_length=200)]


class Wanted(BaseModel):
    """fields: of an instance, as in the inventory."""

    fields: dict[str, Any]
    name: Name = "new"


class WantedOn(Wanted):
    hosts: Annotated[list[str], Field(min_length=1, max_length=200)]


class Plan(BaseModel):
    """plan: as `llama_plan` returns it; error and remedy where there is none. warnings: what it leaves out."""

    host: str
    plan: dict[str, Any] | None = None
    command_line: str = ""
    warnings: list[str] = []
    error: str = ""
    remedy: str = ""


class CommandLine(BaseModel):
    """build: whose options it is read with."""

    command: Annotated[str, Field(min_length=1, max_length=20_000)]
    build: Build = "active"


class Source(BaseModel):
    """source: owner/repo:quantisation, an address, a path, or builtin:tiny."""

    source: Annotated[str, Field(min_length=1, max_length=2000)]


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(tags=["plans"])

    @router.post("/hosts/{host}/plan")
    async def plan(by: Viewer, host: HostName, body: Wanted) -> Plan:
        """Of a model that lies elsewhere, which the host has to ask for, an operator's."""
        known(panel, host)
        return await _plan(panel, by.user, host, body)

    @router.post("/plans")
    async def plans(by: Viewer, body: WantedOn) -> list[Plan]:
        """On each of these hosts, side by side."""
        for host in body.hosts:
            known(panel, host)
        planned.may_ask(by.user, body.fields)
        return list(await asyncio.gather(*(_tried(panel, by.user, host, body) for host in body.hosts)))

    @router.post("/hosts/{host}/preview")
    async def preview(by: Viewer, host: HostName, body: Wanted) -> dict[str, Any]:
        """The unit and the command line that the host would get: `{command_line, unit, plan, build_id, warning}`."""
        known(panel, host)
        return await panel.fleet.ask(host, "preview", instance={**body.fields, "name": body.name})

    @router.post("/hosts/{host}/paste")
    async def paste(by: Viewer, host: HostName, body: CommandLine) -> dict[str, Any]:
        """A command line of llama-server as an instance: `{name, definition, yaml, notes}`."""
        known(panel, host)
        return await panel.fleet.ask(host, "paste", text=body.command, build=body.build)

    @router.post("/hosts/{host}/resolve")
    async def resolve(by: Operator, host: HostName, body: Source) -> dict[str, Any]:
        """What a reference means there, as `gguf_info` or with candidates. The host goes out for it."""
        known(panel, host)
        return await panel.fleet.ask(host, "resolve", source=body.source)

    return router


async def _plan(panel: Panel, user: User, host: str, wanted: Wanted) -> Plan:
    said = await planned.plan(panel.fleet, user, host, wanted.name, wanted.fields)
    plan, line, notes = said.get("plan"), said.get("command_line"), said.get("warnings")
    return Plan(
        host=host,
        plan=plan if isinstance(plan, dict) else None,
        command_line=str(line or ""),
        warnings=[str(note) for note in notes] if isinstance(notes, list) else [],
    )


async def _tried(panel: Panel, user: User, host: str, wanted: Wanted) -> Plan:
    try:
        return await _plan(panel, user, host, wanted)
    except HostError as error:
        return Plan(host=host, error=error.message, remedy=error.remedy)
