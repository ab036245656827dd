# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts, what needs a human, and a stream of what changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict

from ..access.guard import Operator, Viewer
from ..fleet.host import Host
from ..panel import Panel
from .paging import After, Limit, Page, page

HostName = Annotated[str, Path(max_length=253)]


class LinkOut(BaseModel):
    """state: connected, connecting, lost or off. since, retry_at: unix seconds. latency: seconds."""

    model_config = ConfigDict(from_attributes=True)
    state: str
    since: float
    error: str
    remedy: str
    retry_at: float | None
    latency: float | None


class HostOut(BaseModel):
    """load, facts: as the host said them last. skew: seconds that its clock is ahead. seen: unix seconds."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    groups: list[str]
    link: LinkOut
    load: dict[str, Any]
    facts: dict[str, Any]
    skew: float | None
    seen: float | None


class HostDetail(HostOut):
    """variables: of the inventory, secrets hidden. The rest: as llama-host says it."""

    variables: dict[str, Any]
    hello: dict[str, Any]
    status: dict[str, Any]
    builds: dict[str, Any]
    models: dict[str, Any]
    benches: dict[str, Any]


class Attention(BaseModel):
    """severity: error, warning or info. link: a page of the panel."""

    model_config = ConfigDict(extra="allow")
    severity: str
    host: str
    instance: str
    what: str
    why: str
    remedy: str
    link: str


class Changed(BaseModel):
    """Names of hosts that changed; an empty one stands for the inventory itself."""

    hosts: list[str]


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(tags=["hosts"])

    @router.get("/hosts")
    async def hosts(by: Viewer, limit: Limit = 100, after: After = "", state: str | None = None) -> Page[HostOut]:
        rows = [host for host in panel.fleet.hosts.values() if state in (None, host.link.state)]
        found = page(rows, lambda row: row.name, after, limit)
        return Page(items=[HostOut.model_validate(row) for row in found.items], next=found.next)

    @router.get("/hosts/{host}")
    async def one(by: Viewer, host: HostName) -> HostDetail:
        return HostDetail.model_validate(known(panel, host))

    @router.get("/attention")
    async def attention(by: Viewer) -> list[Attention]:
        """What needs a human, the worst first."""
        return [Attention.model_validate(row) for row in panel.fleet.attention()]

    @router.post("/inventory/reload", status_code=204, response_class=Response)
    async def reload(by: Operator) -> None:
        """Read the inventory again."""
        await panel.fleet.reload()
        await panel.store.audit.write(by.who, "inventory.reload", "")

    def room(by: Viewer) -> None:
        panel.streams.refuse_more(by)

    @router.get("/events", response_class=EventSourceResponse, dependencies=[Depends(room)])
    async def events(by: Viewer) -> AsyncIterator[ServerSentEvent]:
        """Which hosts changed, at most four times a second."""
        async for names in panel.streams.of(by, panel.fleet.watch()):
            yield ServerSentEvent(event="changed", data=Changed(hosts=sorted(names)))

    return router


def known(panel: Panel, name: str) -> Host:
    host = panel.fleet.hosts.get(name)
    if host is None:
        raise HTTPException(404, f"the inventory has no host {name[:80]!r}")
    return host
