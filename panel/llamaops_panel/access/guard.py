# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard before everything the panel serves: pages, API, sockets and files alike.

Nothing but the health question and the page to log in passes without a session, a token or a ticket. Then the route
says which role it needs. A new route is thus closed until somebody opens it.
"""

from __future__ import annotations

import asyncio
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Annotated
from urllib.parse import parse_qs, quote

from fastapi import HTTPException, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from nicegui import context
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..settings import Settings
from .access import Access, LoginRefused
from .headers import answered, from_our_pages, host_allowed
from .identity import Identity, User

OPEN = frozenset({"/api/health", "/login", "/static/login.css", "/favicon.ico"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST = 1 << 20  # bytes of a request
KEPT = ("/_nicegui/", "/static/")  # files whose address changes with their content, or that are small
ENDED = 4401  # the code of a socket whose session is over


class Guard:
    def __init__(self, app: ASGIApp, access: Access, settings: Settings) -> None:
        self._app = app
        self._access = access
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {}).update(nonce=nonce, access=self._access)
        if not self._settings.behind_proxy:  # else anybody could say it
            scope["headers"] = [pair for pair in scope["headers"] if not pair[0].startswith(b"x-forwarded-")]
        send = self._with_headers(scope, send, nonce, headers.get("host", ""))
        try:
            refusal = await self._refusal(scope, headers)
        except LoginRefused as error:  # many tokens are compared at this moment
            refusal = _answer(429, str(error))
            refusal.headers["retry-after"] = f"{error.wait:.0f}"
        if refusal is not None:
            await _refuse(refusal, scope, receive, send)
            return
        identity: Identity | None = scope["state"].get("identity")
        receive = _limited(receive) if scope["type"] == "http" else receive
        if identity is None:
            await self._app(scope, receive, send)
            return
        closing = _Closing(identity.ended, receive, send, scope["type"])
        try:
            await self._app(scope, closing.receive, send)
        finally:
            closing.close()

    async def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Why this request may not pass, or None; who makes it stands then in the scope."""
        host, path, method = headers.get("host", ""), scope["path"], scope.get("method", "GET")
        if not host_allowed(host, self._settings.host_names):
            return _answer(
                421, f"this panel is not called {host[:80]!r}: give the name to it with --name, or use its address"
            )
        ours = from_our_pages(headers, host, secure=self._settings.secure)
        identity = await self._identity(scope, headers)
        scope["state"]["identity"] = identity
        if identity is None and path not in OPEN:
            return self._ask_to_log_in(scope, headers)
        if scope["type"] == "websocket" and not ours and (identity is None or identity.via == "session"):
            return _answer(403, "a socket must be opened by a page of this panel")
        by_cookie = identity is None or identity.via == "session"
        if scope["type"] == "http" and method not in SAFE and by_cookie and not ours:
            return _answer(
                403, "this change does not come from a page of this panel; programs use an API token as bearer token"
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LARGEST:
            return _answer(413, f"a request has at most {LARGEST} bytes")
        return None

    async def _identity(self, scope: Scope, headers: Headers) -> Identity | None:
        scheme, _sep, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._access.by_token(token.strip())
        if b"ticket=" in scope["query_string"] and scope.get("method", "GET") == "GET":
            given = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [])
            return self._access.by_ticket(given[0], scope["path"]) if len(given) == 1 else None
        cookie = cookies(headers).get(session_cookie(self._settings))
        return self._access.by_session(cookie) if cookie else None

    def _ask_to_log_in(self, scope: Scope, headers: Headers) -> Response:
        if scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            query = scope["query_string"].decode("latin-1")
            wanted = scope["path"] + (f"?{query}" if query else "")
            return RedirectResponse("/login" if wanted == "/" else f"/login?next={quote(wanted, safe='')}", 303)
        response = _answer(401, "log in, or send an API token as bearer token")
        response.headers["www-authenticate"] = 'Bearer realm="llamaops panel"'
        return response

    def _with_headers(self, scope: Scope, send: Send, nonce: str, host: str) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                kept = scope["path"].startswith(KEPT) and message["status"] in (200, 304)
                added = answered(headers.get("content-type", ""), nonce, host, secure=self._settings.secure, kept=kept)
                for name, value in added.items():
                    headers[name] = value
            await send(message)

        return sending


class _Closing:
    """A connection that ends when the session or token does by which it was opened."""

    def __init__(self, ended: asyncio.Event, receive: Receive, send: Send, kind: str) -> None:
        self._ended = asyncio.ensure_future(ended.wait())
        self._receive, self._send, self._kind = receive, send, kind

    async def receive(self) -> Message:
        arriving = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait({arriving, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not arriving.done():
                arriving.cancel()
        if arriving.done() and not arriving.cancelled():
            return arriving.result()
        if self._kind == "http":
            return {"type": "http.disconnect"}
        await self._send({"type": "websocket.close", "code": ENDED, "reason": "the session is over"})
        return {"type": "websocket.disconnect", "code": ENDED}

    def close(self) -> None:
        self._ended.cancel()


def _limited(receive: Receive) -> Receive:
    """A body that says no length is cut off at the largest that is allowed."""
    seen = 0

    async def receiving() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST:
            raise HTTPException(413, f"a request has at most {LARGEST} bytes")
        return message

    return receiving


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await response(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008})


def _answer(status: int, text: str) -> JSONResponse:
    return JSONResponse({"detail": text}, status)


def cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def session_cookie(settings: Settings) -> str:
    """Under TLS the prefix makes browsers refuse one that another host or plain http has set."""
    return "__Host-llama-panel" if settings.secure else f"llama-panel-{settings.port}"


def device_cookie(settings: Settings) -> str:
    return "__Secure-llama-device" if settings.secure else f"llama-device-{settings.port}"


# ---- for the API


def current_identity(request: Request) -> Identity:
    identity: Identity | None = request.state.identity
    if identity is None:
        raise HTTPException(401, "log in, or send an API token as bearer token")
    return identity


def current_user(request: Request) -> User:
    return current_identity(request).user


# both are read by the guard; here they say in the description of the API how one comes in
BY_SESSION = APIKeyCookie(
    name="llama-panel", scheme_name="session", description="the session of a browser", auto_error=False
)
BY_TOKEN = HTTPBearer(scheme_name="token", description="an API token", auto_error=False)


def needs(role: str) -> object:
    """A dependency: the identity, if it has this role, which the description of the API names."""

    def check(request: Request, session: object = Security(BY_SESSION), token: object = Security(BY_TOKEN)) -> Identity:
        identity = current_identity(request)
        if not identity.user.allows(role):
            raise HTTPException(403, f"this needs the role {role}; {identity.user.name} is {identity.user.role}")
        return identity

    return Security(check, scopes=[role])


Viewer = Annotated[Identity, needs("viewer")]
Operator = Annotated[Identity, needs("operator")]
Admin = Annotated[Identity, needs("admin")]


def in_person(by: Identity) -> None:
    """Raises HTTPException: a token must not change what its user comes in by, or it could outlive its end."""
    if by.via != "session":
        raise HTTPException(403, "this is done in a browser, not with a token")


# ---- for the pages


class NotAllowed(Exception):
    """The user of a page may not, or no longer, do this."""


def page_identity() -> Identity:
    """Who looks at the page being built or used."""
    identity: Identity = context.client.request.state.identity
    return identity


def page_user() -> User:
    """The user of the page, with the role of this moment: ask it again before each change. Raises NotAllowed."""
    access: Access = context.client.request.state.access
    user = access.user(page_identity())
    if user is None:
        raise NotAllowed("your session is over: log in again")
    return user


def page_needs(role: str) -> User:
    """Like page_user, and raises NotAllowed if the role is not enough."""
    user = page_user()
    if not user.allows(role):
        raise NotAllowed(f"this needs the role {role}; {user.name} is {user.role}")
    return user
