# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application: the API, the pages on it, and the guard before both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from nicegui import ui
from starlette.staticfiles import StaticFiles

from . import api, pages
from .access import login
from .access.guard import Guard
from .nonce import put_into_pages
from .panel import Panel
from .settings import Settings
from .version import VERSION

HERE = Path(__file__).parent
RECONNECT = 30.0  # seconds that a page waits on the server for its browser to come back


def create_app(settings: Settings, *, with_pages: bool = True) -> FastAPI:
    """The application of a panel, whose state folder is opened. Raises StoreError. With pages once in a process only,
    for NiceGUI keeps its own in the module.
    """
    panel = Panel(settings)
    panel.open()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await panel.start()
        yield
        await panel.stop()

    app = FastAPI(
        title="llama.cpp panel", version=VERSION, lifespan=life, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.panel = panel
    app.include_router(login.routes(panel.access, settings))
    api.add_to(app, panel)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    if with_pages:
        pages.register(panel)
        put_into_pages()
        ui.run_with(
            app,
            title="llama.cpp panel",
            dark=None,
            language="en-US",
            reconnect_timeout=RECONNECT,
            show_welcome_message=False,
        )
    app.add_middleware(Guard, access=panel.access, settings=settings)
    return app
