# Copyright (c) 2026, LlamaOps contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cookie of a device on which a user logged in before: it opens nothing, it only has tries to log in of its own."""

from __future__ import annotations

import hmac
import secrets


def make(key: bytes, name: str) -> str:
    nonce = secrets.token_hex(8)
    return f"{nonce}.{_mac(key, name, nonce)}"


def read(key: bytes, cookie: str | None, name: str) -> str | None:
    """The device of this cookie, if it was made for this user."""
    nonce, _sep, mac = (cookie or "").partition(".")
    return nonce if nonce and hmac.compare_digest(mac.encode(), _mac(key, name, nonce).encode()) else None


def _mac(key: bytes, name: str, nonce: str) -> str:
    return hmac.new(key, f"{name}\0{nonce}".encode(), "sha256").hexdigest()
