# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The description of the API, and a page to read it, whose files come with us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from ..access.guard import Viewer

FILES = Path(fastapi_offline.__file__).parent / "static"


def routes(app: FastAPI) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    app.mount("/static/swagger", StaticFiles(directory=FILES))

    @router.get("/openapi.json")
    async def openapi(by: Viewer) -> dict[str, Any]:
        return description(app)

    @router.get("/docs")
    async def docs(by: Viewer, request: Request) -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/static/swagger/swagger-ui-bundle.js",
            swagger_css_url="/static/swagger/swagger-ui.css",
            swagger_favicon_url="/static/swagger/favicon.png",
        )
        text = bytes(page.body).decode()
        return HTMLResponse(text.replace("<script", f'<script nonce="{request.state.nonce}"'))

    return router


def description(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes)
        for methods in found["paths"].values():
            for operation in methods.values():
                _refusals_are_json(operation["responses"])
        app.openapi_schema = found
    return app.openapi_schema


def _refusals_are_json(responses: dict[str, Any]) -> None:
    """Of routes that answer texts or streams too, which FastAPI describes by the kind of the good answer."""
    for status, response in responses.items():
        if status >= "400" and "content" in response:
            response["content"] = {"application/json": next(iter(response["content"].values()))}
