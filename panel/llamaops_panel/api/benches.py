# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of benchmarks, and two results side by side."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from ..access.guard import Viewer
from ..benches import Difference, compare
from ..panel import Panel
from .paging import Before, Limit, Page, counted

Id = Annotated[int, Query(ge=1, le=2**62)]


class BenchOut(BaseModel):
    """record: as llama_bench returns it. at: unix seconds."""

    id: int
    host: str
    key: str
    at: float
    build: str
    model: str
    record: dict[str, Any]


class Comparison(BaseModel):
    """Of two results: each test that both ran."""

    left: BenchOut
    right: BenchOut
    tests: list[Difference]


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(prefix="/benches", tags=["benches"])

    @router.get("")
    async def benches(
        by: Viewer,
        limit: Limit = 100,
        before: Before = None,
        host: str | None = None,
        model: str | None = None,
        build: str | None = None,
    ) -> Page[BenchOut]:
        rows = await panel.store.benches.list(host=host, model=model, build=build, limit=limit + 1, before=before)
        return counted([BenchOut(**row) for row in rows], lambda row: row.id, limit)

    @router.get("/compare")
    async def compared(by: Viewer, left: Id, right: Id) -> Comparison:
        """Two results with their noise: a difference within it is none."""
        a, b = await panel.store.benches.get(left), await panel.store.benches.get(right)
        if a is None or b is None:
            raise HTTPException(404, f"there is no result {left if a is None else right}")
        return Comparison(left=BenchOut(**a), right=BenchOut(**b), tests=compare(a["record"], b["record"]))

    return router
