# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side: routes, keys, errors and metrics, in the shapes that llama-server has."""

from __future__ import annotations

import asyncio
import base64
import hmac
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .batching import Batcher, Overloaded
from .model import BadInput, Model
from .schema import Embeddings, Rerank

OPEN = ("/health", "/v1/health")
TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 501: "not_supported_error"}
RERANK = ("/rerank", "/reranking", "/v1/rerank", "/v1/reranking")
EMBED = ("/embeddings", "/v1/embeddings")


class Service:
    """What the routes share: the model once it is loaded, the keys, and counters."""

    def __init__(self, alias: str, keys: Sequence[str]) -> None:
        self.alias = alias
        self.keys = [key.encode() for key in keys]
        self.model: Model | None = None
        self.batcher: Batcher | None = None
        self.processing = 0
        self.created = int(time.time())

    def begin(self, model: Model, batcher: Batcher) -> None:
        self.model, self.batcher = model, batcher

    def end(self) -> None:
        if self.batcher is not None:
            self.batcher.stop()

    def may(self, request: Request) -> bool:
        """Does the request carry one of the keys? All are compared, so that time tells nothing."""
        scheme, _space, bearer = request.headers.get("authorization", "").partition(" ")
        given = bearer if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
        matches = [hmac.compare_digest(given.strip().encode(), key) for key in self.keys]
        return not self.keys or any(matches)

    async def compute(self, task: str, query: str, texts: Sequence[str], instruction: str | None) -> tuple[Any, int]:
        """The result of each text and how many tokens they had."""
        if self.model is None or self.batcher is None:
            raise HTTPException(503, "Loading model")
        if self.model.task != task:
            raise HTTPException(501, f"This server does not support {task}; its model is for {self.model.task}.")
        items = await asyncio.to_thread(self.model.encode, query, texts, instruction)
        try:
            futures = self.batcher.submit(items)
        except Overloaded as exc:
            raise HTTPException(503, str(exc), headers={"Retry-After": "1"}) from exc
        self.processing += 1
        try:
            results = await asyncio.gather(*map(asyncio.wrap_future, futures))
        finally:
            self.processing -= 1
            for future in futures:
                future.cancel()  # a client that went away waits for nothing any more
        return results, sum(len(item.tokens) for item in items)

    def collect(self) -> list[Any]:
        """Metrics, under llama-server's names where they mean the same."""
        model, batcher = self.model, self.batcher
        counters = {
            "llamacpp:prompt_tokens": ("Tokens computed.", batcher.tokens if batcher else 0),
            "llamacpp:prompt_seconds": ("Seconds spent on them.", batcher.seconds if batcher else 0),
            "llama_reranker_inputs": ("Documents and inputs computed.", batcher.items if batcher else 0),
            "llama_reranker_batches": ("Batches computed.", batcher.batches if batcher else 0),
            "llama_reranker_truncated": (
                "Inputs that were cut to the model's length.",
                model.truncated if model else 0,
            ),
        }
        gauges = {
            "llamacpp:requests_processing": ("Requests worked on.", self.processing),
            "llamacpp:requests_deferred": ("Inputs that wait for a batch.", batcher.waiting if batcher else 0),
        }
        found: list[Any] = [CounterMetricFamily(name, text, value) for name, (text, value) in counters.items()]
        return found + [GaugeMetricFamily(name, text, value) for name, (text, value) in gauges.items()]


class Bounded:
    """Refuses bodies of more than `most` bytes, whatever their headers say."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.most:
                raise HTTPException(413, f"The request has more than {self.most} bytes.")
            return message

        await self.app(scope, counted if scope["type"] == "http" else receive, send)


def error(status: int, message: str, headers: Any = None) -> JSONResponse:
    kind = TYPES.get(status, "unavailable_error" if status == 503 else "server_error")
    return JSONResponse({"error": {"code": status, "message": message, "type": kind}}, status, headers)


def create_app(service: Service, max_body: int) -> FastAPI:
    """The application; it answers 503 until `service.begin` was called."""
    app = FastAPI(title="llama_reranker", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Bounded, most=max_body)
    _handlers(app)

    @app.middleware("http")
    async def keyed(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path not in OPEN and not service.may(request):
            return error(401, "Invalid API Key")
        return await call_next(request)

    async def health() -> Response:
        return JSONResponse({"status": "ok"}) if service.model else error(503, "Loading model")

    async def models() -> dict[str, Any]:
        entry = {"id": service.alias, "object": "model", "created": service.created, "owned_by": "llama_reranker"}
        return {"object": "list", "data": [entry]}

    async def slots() -> list[dict[str, Any]]:
        computed = service.batcher.tokens if service.batcher else 0  # it grows as long as the model is not stuck
        return [{"id": 0, "is_processing": service.processing > 0, "n_prompt_tokens_processed": computed}]

    registry = CollectorRegistry()
    registry.register(service)  # type: ignore[arg-type]  it has collect()

    async def metrics() -> Response:
        return PlainTextResponse(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    # bodies are read whatever their content type says, as llama-server does
    async def rerank(request: Request) -> Any:
        body = Rerank.model_validate_json(await request.body())
        results, tokens = await service.compute("rerank", body.query, _strings(body), body.instruction)
        return ranked(body, results, tokens, service.alias)

    async def embeddings(request: Request) -> Any:
        body = Embeddings.model_validate_json(await request.body())
        results, tokens = await service.compute("embedding", "", body.strings(), None)
        return embedded(body, results, tokens, service.alias)

    routes: dict[Callable[..., Any], tuple[str, tuple[str, ...]]] = {
        health: ("GET", OPEN),
        models: ("GET", ("/models", "/v1/models")),
        slots: ("GET", ("/slots",)),
        metrics: ("GET", ("/metrics",)),
        rerank: ("POST", RERANK),
        embeddings: ("POST", EMBED),
    }
    for function, (method, paths) in routes.items():
        for path in paths:
            app.add_api_route(path, function, methods=[method], response_model=None)
    return app


def ranked(body: Rerank, scores: Sequence[float], tokens: int, alias: str) -> Any:
    """Scores as the client asked for them, best first."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[: body.top_n or body.top_k]
    if body.texts is not None:  # the form of Text Embeddings Inference
        texts = body.strings()
        more = [{"text": texts[index]} if body.return_text else {} for index in order]
        return [{"index": index, "score": scores[index], **text} for index, text in zip(order, more, strict=True)]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in order]
    if body.return_documents:
        for result in results:
            document = body.given[result["index"]]
            result["document"] = {"text": document} if isinstance(document, str) else document
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"model": body.model or alias, "object": "list", "usage": usage, "results": results}


def embedded(body: Embeddings, vectors: Sequence[Sequence[float]], tokens: int, alias: str) -> dict[str, Any]:
    """Vectors as OpenAI's API returns them."""
    data: list[dict[str, Any]] = []
    for index, vector in enumerate(vectors):
        shown: Any = vector
        if body.encoding_format == "base64":
            shown = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": shown})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"model": body.model or alias, "object": "list", "usage": usage, "data": data}


def _strings(body: Rerank) -> list[str]:
    try:
        return body.strings()
    except ValueError as exc:
        raise BadInput(str(exc)) from exc


def _handlers(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def refused(request: Request, exc: HTTPException) -> Response:
        return error(exc.status_code, str(exc.detail), exc.headers)

    @app.exception_handler(BadInput)
    async def bad(request: Request, exc: BadInput) -> Response:
        return error(400, str(exc))

    @app.exception_handler(ValidationError)
    async def invalid(request: Request, exc: ValidationError) -> Response:
        first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return error(400, f"{where}: {first['msg']}" if where else str(first["msg"]))

    @app.exception_handler(Exception)
    async def failed(request: Request, exc: Exception) -> Response:
        return error(500, f"{type(exc).__name__} while computing; the log of the service says more.")
