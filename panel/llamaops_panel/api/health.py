# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one question that is answered to everybody."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from ..version import VERSION

router = APIRouter(tags=["health"])


class Health(BaseModel):
    ok: bool
    version: str


@router.get("/api/health")
async def health() -> Health:
    return Health(ok=True, version=VERSION)
