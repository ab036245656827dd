# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds of llama.cpp, per host."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from ..access.guard import Viewer
from ..panel import Panel
from .hosts import HostName, known
from .paging import After, Limit, Page, page


class BuildOut(BaseModel):
    """build: as llama_build_info says it: id, active, previous, version, commit, backend, capabilities..."""

    host: str
    id: str
    build: dict[str, Any]


class Capabilities(BaseModel):
    """What the binaries of a build accept. build: its id."""

    build: str
    document: dict[str, Any]


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(tags=["builds"])

    @router.get("/builds")
    async def builds(by: Viewer, limit: Limit = 100, after: After = "", host: str | None = None) -> Page[BuildOut]:
        return page(_all(panel, host), lambda row: f"{row.host}/{row.id}", after, limit)

    @router.get("/hosts/{host}/capabilities")
    async def capabilities(by: Viewer, host: HostName, build: str = "active") -> Capabilities:
        known(panel, host)
        said = await panel.fleet.ask(host, "capabilities", build=build)
        document = said.get("document")
        return Capabilities(build=str(said.get("build", "")), document=document if isinstance(document, dict) else {})

    return router


def _all(panel: Panel, only: str | None) -> list[BuildOut]:
    return [
        BuildOut(host=name, id=str(build.get("id", "")), build=build)
        for name, host in panel.fleet.hosts.items()
        if only in (None, name)
        for build in dicts(host.builds.get("builds"))
    ]


def dicts(found: Any) -> list[dict[str, Any]]:
    """What a host said, if it is a list of objects."""
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
