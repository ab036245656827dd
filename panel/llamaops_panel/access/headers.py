# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers: what a browser may do with our answers, and whether a request comes from our own pages. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

YEAR = 31_536_000
# NiceGUI needs 'unsafe-eval' (Vue compiles its templates in the browser) and inline styles (Quasar sets them);
# every script is from here or carries the nonce of its page, so none that text brings in can run.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' {socket}; manifest-src 'self'; "
    "worker-src 'self' blob:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def answered(content_type: str, nonce: str, host: str, *, secure: bool, kept: bool) -> dict[str, str]:
    """Headers of an answer. kept: it is a file that does not change, which a browser may keep."""
    headers = dict(ALWAYS)
    if content_type.startswith("text/html"):
        socket = f"{'wss' if secure else 'ws'}://{host}"
        headers["content-security-policy"] = PAGE_POLICY.format(nonce=nonce, socket=socket)
    else:
        headers["content-security-policy"] = DATA_POLICY
    if content_type.startswith("application/json"):
        headers["content-disposition"] = 'attachment; filename="answer.json"'  # never shown as a page
    if secure:
        headers["strict-transport-security"] = f"max-age={YEAR}"
    if not kept:
        headers["cache-control"] = "no-store"
    return headers


def host_allowed(host: str, names: frozenset[str]) -> bool:
    """Whether a request may be addressed to this Host: a name of ours, or a plain address, which no DNS can rebind."""
    if not host or set(host) & set("/?#@\\ ,\"'<>;"):
        return False
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets without an address
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rstrip(".") in names
    return True


def from_our_pages(headers: Mapping[str, str], host: str, *, secure: bool) -> bool:
    """Whether a browser says that one of our own pages makes this request. What says nothing is not from them."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None:
        return origin.lower() == f"{'https' if secure else 'http'}://{host}".lower() and site in (None, "same-origin")
    return site == "same-origin"
