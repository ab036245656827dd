# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API under /api/v1: the same functions of the panel that the pages call."""

from __future__ import annotations

from fastapi import FastAPI

from ..panel import Panel
from . import access, benches, builds, docs, errors, health, hosts, instances, jobs, logs, me, metrics, models, plans

SUBJECTS = (me, access, hosts, instances, builds, models, plans, benches, jobs, logs, metrics)


def add_to(app: FastAPI, panel: Panel) -> None:
    app.include_router(health.router)
    for subject in SUBJECTS:
        app.include_router(subject.routes(panel), prefix="/api/v1", responses=errors.ANSWERS)
    app.include_router(docs.routes(app))
    errors.add_to(app)
    metrics.add_to(app, panel)
