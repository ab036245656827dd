# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs: runs of playbooks, and the operations that there are."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import InvalidInput
from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from ..access.guard import Operator, Viewer
from ..access.identity import Identity
from ..jobs.job import Job
from ..panel import Panel
from .paging import Limit, Page

JobId = Annotated[str, Path(pattern=r"^[0-9a-z-]{1,40}$")]
State = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
HostNames = Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=1000)]


class Wanted(BaseModel):
    """op: of /operations. given: its fields. check: look what would change, and change nothing."""

    op: Annotated[str, Field(max_length=40)]
    hosts: HostNames
    given: dict[str, Any] = {}
    check: bool = False


class JobOut(BaseModel):
    """Times are unix seconds. recap: by host Ansible's counters. command_line: as one would type it."""

    id: str
    op: str
    hosts: list[str]
    given: dict[str, Any]
    check: bool
    by: str
    state: State
    created: float
    started: float | None
    ended: float | None
    rc: int | None
    summary: str
    recap: dict[str, dict[str, int]]
    command_line: str


class OperationOut(BaseModel):
    """needs: the least role. disruptive: it may interrupt what serves. fields: name, kind, title, help, ..."""

    name: str
    title: str
    playbook: str
    help: str
    needs: str
    disruptive: bool
    fields: list[dict[str, Any]]


class CommandLine(BaseModel):
    command_line: str


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(tags=["jobs"])
    _submitting(router, panel)
    _looking(router, panel)
    return router


def _submitting(router: APIRouter, panel: Panel) -> None:
    @router.get("/operations")
    async def operations(by: Viewer) -> list[OperationOut]:
        return [OperationOut(**operation.document()) for operation in panel.jobs.operations().values()]

    @router.post("/jobs/command")
    async def command(by: Viewer, body: Wanted) -> CommandLine:
        """What would be run, without running it."""
        return CommandLine(command_line=shlex.join(panel.jobs.command(body.op, body.hosts, body.given, body.check)))

    @router.post("/jobs", status_code=202)
    async def submit(by: Operator, body: Wanted) -> JobOut:
        return await submitted(panel, by, body)

    @router.post("/jobs/{id}/cancel", status_code=202)
    async def cancel(by: Operator, id: JobId) -> JobOut:
        await _job(panel, id)
        await panel.jobs.cancel(id, by.who)
        return _out(await _job(panel, id))


def _looking(router: APIRouter, panel: Panel) -> None:
    @router.get("/jobs")
    async def jobs(
        by: Viewer,
        limit: Limit = 100,
        before: Annotated[str | None, Query(max_length=40)] = None,
        host: str | None = None,
        op: str | None = None,
        state: State | None = None,
    ) -> Page[JobOut]:
        found = await asyncio.to_thread(panel.jobs.list, host=host, op=op, state=state, limit=limit + 1, before=before)
        more = len(found) > limit
        return Page(items=[_out(job) for job in found[:limit]], next=found[limit - 1].id if more else None)

    @router.get("/jobs/{id}")
    async def one(by: Viewer, id: JobId) -> JobOut:
        return _out(await _job(panel, id))

    @router.get("/jobs/{id}/log", response_class=PlainTextResponse)
    async def log(by: Viewer, id: JobId) -> PlainTextResponse:
        """What it printed so far."""
        job = await _job(panel, id)
        text = []
        if not job.open:
            async for event in panel.jobs.events(id):
                text.append(str(event.get("text") or event.get("diff") or ""))
        name = f'attachment; filename="{id}.log"'
        return PlainTextResponse("\n".join(line for line in text if line), headers={"content-disposition": name})

    async def room(by: Viewer, id: JobId) -> None:
        await _job(panel, id)
        panel.streams.refuse_more(by)

    @router.get("/jobs/{id}/events", response_class=EventSourceResponse, dependencies=[Depends(room)])
    async def events(
        by: Viewer,
        id: JobId,
        after: Annotated[int, Query(ge=0, le=2**53)] = 0,
        last_event_id: Annotated[str, Header(max_length=20)] = "",
    ) -> AsyncIterator[ServerSentEvent]:
        """From the beginning or after an event, then live; the id of an event is its counter, so none is lost."""
        first = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else after
        async for event in panel.streams.of(by, panel.jobs.events(id, first)):
            yield ServerSentEvent(event=str(event["kind"]), data=event, id=str(event["counter"]))


async def submitted(panel: Panel, by: Identity, wanted: Wanted) -> JobOut:
    """A job, if the operation is for the role of the user."""
    operation = panel.jobs.operations().get(wanted.op)
    if operation is not None and not by.user.allows(operation.needs):
        raise HTTPException(
            403, f"{operation.title} needs the role {operation.needs}; {by.user.name} is {by.user.role}"
        )
    return _out(await panel.jobs.submit(wanted.op, wanted.hosts, wanted.given, check=wanted.check, by=by.who))


async def _job(panel: Panel, id: str) -> Job:
    try:
        return await asyncio.to_thread(panel.jobs.get, id)
    except InvalidInput as error:
        raise HTTPException(404, error.problem) from error


def _out(job: Job) -> JobOut:
    return JobOut(**job.document(), command_line=shlex.join(job.command))
