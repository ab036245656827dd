# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of the panel itself, as Prometheus reads them."""

from __future__ import annotations

import time
from collections import Counter as Count
from collections.abc import Iterator

from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..access.guard import Viewer
from ..panel import Panel
from ..version import VERSION

PREFIX = "llamaops_panel"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class State:
    """What the panel is at the moment of the question."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def collect(self) -> Iterator[Metric]:
        panel = self._panel
        yield _gauge("info", "The version that runs", "version", {VERSION: 1})
        yield _gauge("hosts", "Hosts of the inventory", "link", Count(h.link.state for h in panel.fleet.hosts.values()))
        rows = [row for row in panel.fleet.rows() if row.get("instance")]
        yield _gauge("instances", "Instances of the fleet", "state", Count(str(row["state"]) for row in rows))
        needs = Count(str(row["severity"]) for row in panel.fleet.attention())
        yield _gauge("attention", "What needs a human", "severity", needs)
        yield _gauge("users", "Who may log in", "role", Count(user.role for user in panel.access.users()))
        yield GaugeMetricFamily(f"{PREFIX}_streams", "Streams of events that are open", panel.streams.open)
        yield GaugeMetricFamily(f"{PREFIX}_loop_lag_seconds", "Longest wait of the event loop of late", panel.lag.worst)


class Measured:
    """Counts and times the requests of the API; a stream is not timed."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        labels = ("method", "route", "status")
        self._count = Counter(f"{PREFIX}_requests", "Requests of the API", labels, registry=registry)
        self._time = Histogram(
            f"{PREFIX}_request_seconds", "How long they took", ("route",), registry=registry, buckets=BUCKETS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")  # the pattern, not what was typed
            self._count.labels(scope["method"], route, str(status)).inc()
            if not route.endswith("/events"):
                self._time.labels(route).observe(time.perf_counter() - started)


def add_to(app: FastAPI, panel: Panel) -> None:
    app.add_middleware(Measured, registry=panel.metrics)


def routes(panel: Panel) -> APIRouter:
    panel.metrics.register(State(panel))
    ProcessCollector(registry=panel.metrics)
    router = APIRouter(tags=["metrics"])

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics(by: Viewer) -> PlainTextResponse:
        """Read it with an API token of a viewer as bearer token."""
        return PlainTextResponse(generate_latest(panel.metrics), media_type=TEXT)

    return router


def _gauge(name: str, text: str, label: str, values: dict[str, int] | Count[str]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
