# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve: uvicorn with the application."""

from __future__ import annotations

import os
import ssl

import uvicorn

from .app import create_app
from .environment import prepare
from .settings import Settings, loopback
from .store import users

GRACE = 5  # seconds that open requests get at the end


def serve(settings: Settings) -> int:
    os.umask(0o077)  # what it writes is nobody else's
    prepare(settings)
    app = create_app(settings)
    panel = app.state.panel
    host = f"[{settings.address}]" if ":" in settings.address else settings.address
    scheme = "https" if settings.tls_certificate else "http"
    print(f"The panel listens at {scheme}://{host}:{settings.port}/ ; its state lies in {settings.state}", flush=True)
    if not panel.store.database.read_now(users.load).users:
        print(f"Nobody can log in yet: llamaops_panel user add NAME --state {settings.state}", flush=True)
    uvicorn.run(
        app,
        host=settings.address,
        port=settings.port,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips=list(settings.proxies),
        server_header=False,
        access_log=False,  # it would keep the queries
        log_level="warning" if loopback(settings.address) else "info",
        ws_max_size=1 << 20,
        timeout_graceful_shutdown=GRACE,
    )
    return 0
