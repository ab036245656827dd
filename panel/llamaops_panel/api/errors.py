# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the panel as answers: what was found, and the remedy where there is one."""

from __future__ import annotations

from typing import Any

from ansible_collections.llamaops.llama_cpp.plugins.module_utils.core.errors import (
    InvalidInput,
    LlamaOpsError,
    Prerequisite,
)
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from ..access.access import LoginRefused
from ..access.guard import NotAllowed
from ..access.passwords import WeakPassword
from ..changes.changes import EditedMeanwhile
from ..fleet.fleet import HostError
from ..store import StoreError
from ..store.users import UserError


class Refused(BaseModel):
    """detail: what is wrong. remedy: what a person can do about it."""

    detail: Any
    remedy: str = ""


ANSWERS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refused, "description": "The request cannot be read"},
    401: {"model": Refused, "description": "No session, token or ticket"},
    403: {"model": Refused, "description": "The role is not enough, or the request is not from our own pages"},
    404: {"model": Refused, "description": "There is no such thing"},
    409: {"model": Refused, "description": "It cannot be so as things stand"},
    413: {"model": Refused, "description": "The request is too long"},
    422: {"model": Refused, "description": "A value is not of its kind, or cannot be"},
    429: {"model": Refused, "description": "Too many tries"},
    502: {"model": Refused, "description": "The host did not answer, or refused"},
    503: {"model": Refused, "description": "The panel cannot write its state"},
}


def add_to(app: FastAPI) -> None:
    @app.exception_handler(HostError)
    async def host(request: Request, error: HostError) -> JSONResponse:
        return _answer(502, error.message, error.remedy)

    @app.exception_handler(LlamaOpsError)
    async def core(request: Request, error: LlamaOpsError) -> JSONResponse:
        return _answer(_status(error), error.problem, error.remedy)

    @app.exception_handler(NotAllowed)
    async def role(request: Request, error: NotAllowed) -> JSONResponse:
        return _answer(403, str(error))

    @app.exception_handler(StoreError)
    async def store(request: Request, error: StoreError) -> JSONResponse:
        return _answer(503, str(error))

    @app.exception_handler(UserError)
    @app.exception_handler(WeakPassword)
    async def conflict(request: Request, error: Exception) -> JSONResponse:
        return _answer(409, str(error))

    @app.exception_handler(LoginRefused)
    async def wait(request: Request, error: LoginRefused) -> JSONResponse:
        response = _answer(429, str(error))
        response.headers["retry-after"] = f"{max(error.wait, 1):.0f}"
        return response


def _status(error: LlamaOpsError) -> int:
    if isinstance(error, EditedMeanwhile):
        return 409
    if isinstance(error, InvalidInput):
        return 422
    return 503 if isinstance(error, Prerequisite) else 502


def _answer(status: int, detail: str, remedy: str = "") -> JSONResponse:
    return JSONResponse(Refused(detail=detail, remedy=remedy).model_dump(), status)
