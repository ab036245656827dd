# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API under /api/v1: the same functions of the panel that the pages call."""

from __future__ import annotations

from fastapi import FastAPI

from ..panel import Panel
from . import auth, health


def add_to(app: FastAPI, panel: Panel) -> None:
    app.include_router(health.router)
    app.include_router(auth.routes(panel), prefix="/api/v1")
