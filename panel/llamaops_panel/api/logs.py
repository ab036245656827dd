# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of instances, with no gaps: each line has a cursor to go on from."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from ..access.guard import Viewer
from ..fleet.fleet import HostError
from ..panel import Panel
from .hosts import HostName, known

Instance = Annotated[str, Query(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Cursor = Annotated[str, Query(max_length=400, description="of the last line that was read")]
Since = Annotated[str, Query(max_length=60, description="a time such as `10 min ago`")]
MOST = 5000  # lines at once
PATIENCE = 60.0  # seconds for them


class Lines(BaseModel):
    """lines: {cursor, at, text, level}, the oldest first."""

    lines: list[dict[str, Any]]


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(prefix="/hosts/{host}/logs", tags=["logs"])

    async def read(host: str, **given: Any) -> list[dict[str, Any]]:
        known(panel, host)
        found: list[dict[str, Any]] = []
        try:
            async with (
                asyncio.timeout(PATIENCE),
                contextlib.aclosing(panel.fleet.follow(host, "logs", follow=False, **given)) as answers,
            ):
                async for answer in answers:
                    found += answer["lines"]
        except TimeoutError:
            raise HostError(f"{host} did not tell its log within {PATIENCE:.0f} s.", "Ask for fewer lines.") from None
        return found[:MOST]

    @router.get("")
    async def logs(
        by: Viewer,
        host: HostName,
        instance: Instance,
        cursor: Cursor = "",
        since: Since = "",
        lines: Annotated[int, Query(ge=1, le=MOST)] = 500,
    ) -> Lines:
        """The last lines; with a cursor those after it."""
        return Lines(lines=await read(host, name=instance, after=cursor, since=since, lines=lines))

    @router.get("/text", response_class=PlainTextResponse)
    async def download(by: Viewer, host: HostName, instance: Instance, since: Since = "") -> PlainTextResponse:
        """As a file."""
        found = await read(host, name=instance, since=since, lines=MOST)
        text = "".join(f"{line.get('text', '')}\n" for line in found)
        name = f'attachment; filename="{instance}.log"'
        return PlainTextResponse(text, headers={"content-disposition": name})

    def room(by: Viewer, host: HostName) -> None:
        known(panel, host)
        panel.streams.refuse_more(by)

    @router.get("/events", response_class=EventSourceResponse, dependencies=[Depends(room)])
    async def follow(
        by: Viewer,
        host: HostName,
        instance: Instance,
        cursor: Cursor = "",
        since: Since = "",
        last_event_id: Annotated[str, Header(max_length=400)] = "",
    ) -> AsyncIterator[ServerSentEvent]:
        """Lines as they come; the id of an event is the cursor of its last line, so that none is lost or doubled."""
        given = {"name": instance, "after": last_event_id or cursor, "since": since, "follow": True}
        try:
            async for answer in panel.streams.of(by, panel.fleet.follow(host, "logs", **given)):
                yield ServerSentEvent(event="lines", data=answer, id=_last(answer))
        except HostError as error:
            yield ServerSentEvent(event="error", data={"detail": error.message, "remedy": error.remedy})

    return router


def _last(answer: dict[str, Any]) -> str | None:
    lines = answer.get("lines")
    last = lines[-1].get("cursor") if isinstance(lines, list) and lines and isinstance(lines[-1], dict) else None
    return str(last) if last is not None and not set(str(last)) & set("\r\n\0") else None
