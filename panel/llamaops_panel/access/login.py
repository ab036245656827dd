# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes by which a browser comes and goes."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import Headers

from ..pages import login as page
from ..settings import Settings
from . import guard
from .access import Access, LoginRefused
from .headers import from_our_pages

YEAR = 31_536_000


def routes(access: Access, settings: Settings) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    async def show(request: Request, next: str = "/") -> Response:
        if request.state.identity is not None:
            return RedirectResponse(own_path(next), 303)
        return HTMLResponse(page.render(next=own_path(next)))

    @router.post("/login")
    async def login(request: Request) -> Response:
        form = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        name, password, next = (form.get(field, [""])[0] for field in ("name", "password", "next"))
        next = own_path(next)
        try:
            secret, device = await enter(access, settings, request, name, password)
        except LoginRefused as error:
            status = 429 if error.wait else 401
            headers = {"retry-after": f"{error.wait:.0f}"} if error.wait else {}
            return HTMLResponse(page.render(next=next, name=name, message=str(error)), status, headers)
        response = RedirectResponse(next, 303)
        give(response, settings, secret, device)
        return response

    @router.post("/logout")
    @router.get("/logout")
    async def logout(request: Request) -> Response:
        """A link on our own pages will do; one elsewhere only leads to the first page."""
        ours = from_our_pages(request.headers, request.headers.get("host", ""), secure=settings.secure)
        if request.method == "GET" and not ours:
            return RedirectResponse("/", 303)
        identity = guard.current_identity(request)
        if identity.via == "session":
            await access.end_session(identity.key, identity.who, "logout")
        response = RedirectResponse("/login", 303)
        take(response, settings)
        response.headers["clear-site-data"] = '"cache", "storage"'
        return response

    return router


async def enter(access: Access, settings: Settings, request: Request, name: str, password: str) -> tuple[str, str]:
    """A new session, in place of the one that the browser had. Raises LoginRefused."""
    sent = guard.cookies(Headers(scope=request.scope))
    secret, device = await access.login(
        name,
        password,
        address=request.client.host if request.client else "",
        agent=request.headers.get("user-agent", ""),
        device=sent.get(guard.device_cookie(settings)),
    )
    before = sent.get(guard.session_cookie(settings))
    if before:
        await access.logout(before)
    return secret, device


def give(response: Response, settings: Settings, secret: str, device: str) -> None:
    cookie = guard.session_cookie(settings)
    response.set_cookie(cookie, secret, path="/", httponly=True, samesite="lax", secure=settings.secure)
    cookie = guard.device_cookie(settings)
    response.set_cookie(
        cookie, device, path="/", max_age=YEAR, httponly=True, samesite="strict", secure=settings.secure
    )


def take(response: Response, settings: Settings) -> None:
    response.delete_cookie(
        guard.session_cookie(settings), path="/", httponly=True, samesite="lax", secure=settings.secure
    )


def own_path(next: str) -> str:
    """A path of this panel to go on to; anything else leads to the first page."""
    try:
        parts = urlsplit(next)
    except ValueError:
        return "/"
    plain = next.startswith("/") and not next.startswith("//") and not set(next) & set("\\\r\n\t") and next.isascii()
    return next if plain and not parts.scheme and not parts.netloc and parts.path not in ("/login", "/logout") else "/"
