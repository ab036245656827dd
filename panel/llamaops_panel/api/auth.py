# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Oneself, users and tokens."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from ..access.guard import Viewer
from ..panel import Panel


class Me(BaseModel):
    name: str
    role: str


def routes(panel: Panel) -> APIRouter:
    router = APIRouter(tags=["access"])

    @router.get("/me")
    async def me(by: Viewer) -> Me:
        return Me(name=by.user.name, role=by.user.role)

    return router
