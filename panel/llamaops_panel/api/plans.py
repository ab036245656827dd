# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fits where: the plan of an instance on one host or on many, before anything is changed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ..access.guard import Viewer
from ..fleet.fleet import HostError
from ..panel import Panel
from .hosts import HostName, known


class Wanted(BaseModel):
    """fields: of an instance, as in the inventory."""

    fields: dict[str, Any]


class WantedOn(Wanted):
    hosts: Annotated[list[str], Field(min_length=1, max_length=200)]


class Plan(BaseModel):
    """plan: as llama-host says it; error and remedy where there is none."""

    host: str
    plan: dict[str, Any] | None = None
    error: str = ""
    remedy: str = ""


class CommandLine(BaseModel):
    command: Annotated[str, Field(min_length=1, max_length=20_000)]


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(tags=["plans"])

    @router.post("/hosts/{host}/plan")
    async def plan(by: Viewer, host: HostName, body: Wanted) -> Plan:
        known(panel, host)
        return Plan(host=host, plan=await panel.fleet.ask(host, "plan", fields=body.fields))

    @router.post("/plans")
    async def plans(by: Viewer, body: WantedOn) -> list[Plan]:
        """On each of these hosts, side by side."""
        for host in body.hosts:
            known(panel, host)
        return list(await asyncio.gather(*(_plan(panel, host, body.fields) for host in body.hosts)))

    @router.post("/hosts/{host}/paste")
    async def paste(by: Viewer, host: HostName, body: CommandLine) -> dict[str, Any]:
        """A command line of llama-server as the fields of an instance."""
        known(panel, host)
        return await panel.fleet.ask(host, "paste", command=body.command)

    return router


async def _plan(panel: Panel, host: str, fields: dict[str, Any]) -> Plan:
    try:
        return Plan(host=host, plan=await panel.fleet.ask(host, "plan", fields=fields))
    except HostError as error:
        return Plan(host=host, error=error.message, remedy=error.remedy)
