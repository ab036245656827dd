# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model sets, per host and store."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from ..access.guard import Viewer
from ..panel import Panel
from .paging import After, Limit, Page, page


class ModelsOut(BaseModel):
    """models: what the host says of its stores and of the sets in them."""

    host: str
    models: dict[str, Any]


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(tags=["models"])

    @router.get("/models")
    async def models(by: Viewer, limit: Limit = 100, after: After = "", host: str | None = None) -> Page[ModelsOut]:
        rows = [
            ModelsOut(host=name, models=found.models)
            for name, found in panel.fleet.hosts.items()
            if host in (None, name)
        ]
        return page(rows, lambda row: row.host, after, limit)

    return router
