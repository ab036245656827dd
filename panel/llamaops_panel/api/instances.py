# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances: how they are, how they are wanted, and changes of that."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from ..access.guard import Operator, Viewer
from ..panel import Panel
from . import jobs
from .hosts import HostName, known
from .paging import After, Limit, Page, page

InstanceName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Revision = Annotated[str, Field(max_length=64)]


class Row(BaseModel):
    """As in the table of playbooks/status.yml, with managed_by (panel, inventory or nobody) and host_state."""

    model_config = ConfigDict(extra="allow")
    host: str
    instance: str
    state: str
    managed_by: str
    host_state: str


class EntryOut(BaseModel):
    """How the inventory wants it. revision: give it back with a change, so that nobody's edit is lost."""

    name: str
    fields: dict[str, Any]
    variable: str
    file: str
    line: int
    managed_by: str
    revision: str


class InstanceOut(BaseModel):
    """row: as listed. entry: in the inventory, if it is there. status: all that the host says of it."""

    row: Row | None
    entry: EntryOut | None
    status: dict[str, Any]


class Edit(BaseModel):
    """fields: of the instance, as in the inventory; none deletes it. revision: of the entry that was edited."""

    fields: dict[str, Any] | None
    revision: Revision = ""


class ProposalOut(BaseModel):
    """diff: of file. writable: it is the panel's own file. conflicts: why hosts would refuse it."""

    host: str
    name: str
    fields: dict[str, Any] | None
    file: str
    diff: str
    base: str
    writable: bool
    conflicts: list[str]
    preview: dict[str, Any]


class Act(BaseModel):
    """check: look what would change, and change nothing. given: further fields of the operation."""

    check: bool = False
    given: dict[str, Any] = {}


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(tags=["instances"])
    _looking(router, panel)
    _changing(router, panel)
    return router


def _looking(router: APIRouter, panel: Panel) -> None:
    @router.get("/instances")
    async def instances(
        by: Viewer,
        limit: Limit = 100,
        after: After = "",
        host: str | None = None,
        state: str | None = None,
        managed_by: Literal["panel", "inventory", "nobody"] | None = None,
    ) -> Page[Row]:
        wanted = {"host": host, "state": state, "managed_by": managed_by}
        rows = [
            Row.model_validate(row)
            for row in panel.fleet.rows()
            if row.get("instance") and all(value in (None, row[name]) for name, value in wanted.items())
        ]
        return page(rows, lambda row: f"{row.host}/{row.instance}", after, limit)

    @router.get("/hosts/{host}/instances/{name}")
    async def one(by: Viewer, host: HostName, name: InstanceName) -> InstanceOut:
        status = known(panel, host).status.get("instances")
        said = status.get(name) if isinstance(status, dict) else None
        rows = [row for row in panel.fleet.rows() if (row["host"], row["instance"]) == (host, name)]
        entry = (await asyncio.to_thread(panel.changes.instances, host)).get(name)
        if not rows and entry is None and said is None:
            raise HTTPException(404, f"{host} has no instance {name}")
        return InstanceOut(
            row=Row.model_validate(rows[0]) if rows else None,
            entry=EntryOut(**entry.document()) if entry else None,
            status=said if isinstance(said, dict) else {},
        )


def _changing(router: APIRouter, panel: Panel) -> None:
    @router.post("/hosts/{host}/instances/{name}/proposal")
    async def propose(by: Viewer, host: HostName, name: InstanceName, body: Edit) -> ProposalOut:
        """What would be written; nothing is."""
        known(panel, host)
        found = await asyncio.to_thread(panel.changes.propose, host, name, body.fields, body.revision)
        return ProposalOut(**found.document())

    @router.put("/hosts/{host}/instances/{name}")
    async def write(by: Operator, host: HostName, name: InstanceName, body: Edit) -> ProposalOut:
        """Written to the inventory; then run the operation deploy on the host (or delete, without fields)."""
        known(panel, host)
        found = await asyncio.to_thread(panel.changes.propose, host, name, body.fields, body.revision)
        await asyncio.to_thread(panel.changes.write, found, by.who)
        await panel.fleet.reload()
        return ProposalOut(**found.document())

    @router.post("/hosts/{host}/instances/{name}/probe")
    async def probe(by: Operator, host: HostName, name: InstanceName) -> dict[str, Any]:
        """Have it give one real answer now."""
        known(panel, host)
        return await panel.fleet.ask(host, "probe", name=name)

    @router.post("/hosts/{host}/instances/{name}/{action}", status_code=202)
    async def act(
        by: Operator,
        host: HostName,
        name: InstanceName,
        action: Literal["deploy", "start", "stop", "restart", "delete", "adopt"],
        body: Act,
    ) -> jobs.JobOut:
        """A job for this instance alone."""
        known(panel, host)
        given = body.given | {"instance": [name]}
        return await jobs.submitted(panel, by, jobs.Wanted(op=action, hosts=[host], given=given, check=body.check))
