# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of instances, with no gaps: each line has a cursor to go on from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from ..access.guard import Viewer
from ..fleet.fleet import HostError
from ..panel import Panel
from .hosts import HostName, known

Instance = Annotated[str, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Cursor = Annotated[str, Query(max_length=300, description="of the last line that was read")]


class Lines(BaseModel):
    """lines: {cursor, at, text, level}, the oldest first."""

    lines: list[dict[str, Any]]


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(prefix="/hosts/{host}/logs", tags=["logs"])

    @router.get("")
    async def logs(
        by: Viewer,
        host: HostName,
        instance: Instance,
        cursor: Cursor = "",
        since: Annotated[str, Query(max_length=60)] = "",
        lines: Annotated[int, Query(ge=1, le=5000)] = 500,
    ) -> Lines:
        known(panel, host)
        given = {"instance": instance, "lines": lines} | _said(cursor=cursor, since=since)
        answer = await panel.fleet.ask(host, "logs", **given)
        found = answer.get("lines")
        return Lines(lines=[line for line in found if isinstance(line, dict)] if isinstance(found, list) else [])

    @router.get("/text", response_class=PlainTextResponse)
    async def download(by: Viewer, host: HostName, instance: Instance) -> PlainTextResponse:
        """As a file."""
        found = await logs(by, host, instance, lines=5000)
        text = "".join(f"{line.get('text', '')}\n" for line in found.lines)
        name = f'attachment; filename="{instance}.log"'
        return PlainTextResponse(text, headers={"content-disposition": name})

    def room(by: Viewer, host: HostName) -> None:
        known(panel, host)
        panel.streams.refuse_more(by)

    @router.get("/events", response_class=EventSourceResponse, dependencies=[Depends(room)])
    async def follow(
        by: Viewer, host: HostName, instance: Instance, cursor: Cursor = ""
    ) -> AsyncIterator[ServerSentEvent]:
        """Lines as they come; the id of an event is the cursor of its last line."""
        given: dict[str, Any] = {"instance": instance, "follow": True} | _said(cursor=cursor)
        try:
            async for answer in panel.streams.of(by, panel.fleet.follow(host, "logs", **given)):
                yield ServerSentEvent(event="lines", data=answer, id=_last(answer))
        except HostError as error:
            yield ServerSentEvent(event="error", data={"detail": error.message, "remedy": error.remedy})

    return router


def _said(**given: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value}


def _last(answer: dict[str, Any]) -> str | None:
    lines = answer.get("lines")
    last = lines[-1].get("cursor") if isinstance(lines, list) and lines and isinstance(lines[-1], dict) else None
    return str(last) if last is not None and not set(str(last)) & set("\r\n\0") else None
